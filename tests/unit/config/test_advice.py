"""What works but should be mended."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.config.build import resource, settings, standard

from smalt.config.advice import warnings
from smalt.config.check import check
from smalt.config.loading import read


def told(deployment: dict[str, Any]) -> tuple[str, ...]:
    return warnings(settings({"e": resource({"d": deployment})}))


@pytest.mark.parametrize(
    "deployment",
    [
        {"model": "gpt-4o"},
        standard("gpt-4o", quota_tpm=1_000),
        {"model": "gpt-4o", "sku": "ProvisionedManaged", "ptu": 50},
    ],
)
def test_good_settings_have_no_warnings(deployment: dict[str, Any]) -> None:
    """Nothing to mend."""
    assert told(deployment) == ()


def test_a_private_link_endpoint() -> None:
    """The certificate covers the public name only, and DNS leads that to the private address."""
    private = resource({"d": "m"}, endpoint="https://contoso.privatelink.openai.azure.com")
    assert warnings(settings({"e": private})) == (
        (
            "resources.e.endpoint: a privatelink host matches no TLS certificate; "
            "https://contoso.openai.azure.com is used, which DNS resolves to the private address"
        ),
    )


def test_a_token_beside_a_key() -> None:
    """The key is used."""
    both = resource({"d": "m"}, identity={"kind": "token", "token": "t"})
    assert warnings(settings({"e": both})) == (
        "resources.e.identity: api_keys are there, too, and are used; remove one of the two",
    )


def test_an_identity_may_read_the_keys() -> None:
    """In their vault; then it is not idle."""
    vault = "https://contoso.vault.azure.net/secrets/key"
    assert warnings(settings({"e": resource({"d": "m"}, identity="cli") | {"api_keys": [vault]}})) == ()


@pytest.mark.parametrize(
    ("deployment", "lacking"),
    [
        ({"model": "gpt-4o", "sku": "ProvisionedManaged"}, "ptu is not set"),
        ({"model": "m", "sku": "GlobalProvisionedManaged", "ptu": 5}, "the throughput of m is not known"),
    ],
)
def test_a_provisioned_deployment_that_cannot_be_followed(deployment: dict[str, Any], lacking: str) -> None:
    """It has no bucket here; Azure says when it is full."""
    assert told(deployment) == (
        (
            f"resources.e.deployments.d: its utilization cannot be followed, since {lacking}; "
            "calls spill over when Azure refuses them"
        ),
    )


def test_a_default_resource_beside_residency() -> None:
    """It no longer takes names that are not listed."""
    resources = {"default": resource({}), "e": resource({"d": standard("m")}, region="eastus")}
    checked = settings(resources, models={"m": {"residency": "us"}}, residency={"us": ["eastus"]})
    assert warnings(checked) == (
        "resources.default: only its listed deployments are served, because of the residency of a model",
    )


def test_a_default_that_its_own_model_refuses() -> None:
    """It would never be sent there; of an agent, too."""
    written = settings(
        {"e": resource({"d": "o3", "c": "gpt-4o"})},
        models={
            "o3": {"defaults": {"temperature": 0.2, "max_tokens": 800}},
            "gpt-4o": {"defaults": {"seed": 1}},
        },
        agents={"quick": {"model": "gpt-4o", "temperature": 0.9, "reasoning_effort": "low"}},
    )
    assert warnings(written) == (
        "models.o3.defaults.temperature: o3 does not take it; it is left out where that model answers",
        "agents.quick.reasoning_effort: gpt-4o does not take it; it is left out where that model answers",
    )


LITERAL = "the secret itself stands in the file; put ${NAME} or file:/path in its place"
KEYS = """\
resources:
  east:
    endpoint: https://contoso.openai.azure.com
    api_keys: [s3cret, "${KEY}"]
    identity: {kind: client_secret, tenant_id: t, client_id: c, client_secret: "keyring:app"}
    deployments: {d: {model: m}}
  here:
    endpoint: http://127.0.0.1:8101
    api_keys: [made-up]
    deployments: {d: {model: m}}
gateway: {admin_key: "${ADMIN:-s3cret-too}", keys: [{alias: a, key: "file:key"}]}
"""


def test_a_secret_in_the_file_itself(tmp_path: Path) -> None:
    """With its place; but not what is on this machine, as the emulator's keys are."""
    (tmp_path / "smalt.yaml").write_text(KEYS)
    (tmp_path / "key").write_text("k")
    document = read(env={"KEY": "s3cret-elsewhere"}, cwd=tmp_path)
    told = [line for line in warnings(check(document), document) if "s3cret" not in line]
    assert told == [
        (
            "smalt.yaml:5:5: resources.east.identity: api_keys are there, too, and are used; "
            "remove one of the two"
        ),
        f"smalt.yaml:4:16: resources.east.api_keys[0]: {LITERAL}",
        f"smalt.yaml:11:11: gateway.admin_key: {LITERAL}",
    ]


def test_secrets_of_environments_and_programs_are_where_they_belong(tmp_path: Path) -> None:
    """There is no file they could leave."""
    document = read(
        env={"AZURE_OPENAI_ENDPOINT": "https://c.openai.azure.com", "AZURE_OPENAI_API_KEY": "s3cret"},
        cwd=tmp_path,
    )
    assert warnings(check(document), document) == ()
