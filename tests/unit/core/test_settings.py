import pytest

from smalt.core.settings import EngineSettings, RetrySpec, UpstreamSpec


@pytest.mark.parametrize(
    ("name", "resource", "deployment"),
    [("east/gpt-4o", "east", "gpt-4o"), ("east/a/b", "east", "a/b"), ("east/a b/ü", "east", "a b/ü")],
)
def test_a_name_is_resource_and_deployment(name: str, resource: str, deployment: str) -> None:
    """Everything behind the first slash is the deployment's name."""
    spec = UpstreamSpec(name, "gpt-4o")
    assert (spec.resource, spec.deployment) == (resource, deployment)


def test_retries_as_promised() -> None:
    """Without configuration: 5 attempts, 1 s doubling to 32 s, up to 1 s of jitter, none after a timeout."""
    assert EngineSettings({}, {}).retry == RetrySpec(5, 1.0, 32.0, 1.0, after_timeout=False)
