import pytest

from smalt.emulator.deployments import Deployment, Pool, pool_of, used


def test_a_provisioned_deployment_has_units_and_no_token_limit() -> None:
    """Capacity counts PTUs or thousands of tokens, by SKU."""
    provisioned = Deployment("p", "gpt-4o", "DataZoneProvisionedManaged", 50)
    assert (provisioned.provisioned, provisioned.limit_tpm) == (True, None)
    assert Deployment("s", "gpt-4o", "GlobalStandard", 50).limit_tpm == 50_000


def test_capacity_adds_up_by_subscription_region_model_and_sku() -> None:
    """Resources of one subscription and region draw on the same pool; PTUs are pooled for all models."""
    small = Deployment("a", "gpt-4o", "Standard", 10)
    big = Deployment("b", "gpt-4o", "Standard", 20)
    ptus = [Deployment("c", model, "ProvisionedManaged", 15) for model in ("gpt-4o", "gpt-4.1")]
    placed = [("one", "eastus", small), ("one", "eastus", big), ("two", "eastus", small)]
    taken = used(placed + [("one", "eastus", ptu) for ptu in ptus])
    assert taken == {
        Pool("one", "eastus", "Standard", "gpt-4o"): 30,
        Pool("two", "eastus", "Standard", "gpt-4o"): 10,
        Pool("one", "eastus", "ProvisionedManaged", None): 30,
    }


@pytest.mark.parametrize(
    ("sku", "name"),
    [
        ("Standard", "gpt-4o Standard in eastus, subscription one"),
        ("ProvisionedManaged", "ProvisionedManaged in eastus, subscription one"),
    ],
)
def test_a_pool_says_what_it_is(sku: str, name: str) -> None:
    """Its text is that of messages."""
    assert str(pool_of("one", "eastus", Deployment("a", "gpt-4o", sku, 10))) == name
