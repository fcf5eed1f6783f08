"""Configuration by environment variables alone."""

import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import pytest

from smalt.config import Settings, load
from smalt.config.advice import warnings
from smalt.config.environment import OTHER_VARIABLES, VARIABLES
from smalt.config.identity import Identity
from smalt.errors import ConfigurationError, InvalidEndpoint, MissingAuth

ROOT = Path(__file__).parents[3]
LATER = f"not built yet in smalt {version('smalt')}; remove it to go on"
ENOUGH = {"AZURE_OPENAI_ENDPOINT": "https://contoso.openai.azure.com", "AZURE_OPENAI_API_KEY": "s3cret"}

Refused = Callable[[Mapping[str, str]], ConfigurationError]


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a sufficient environment and something more."""

    def of(**more: str) -> Settings:
        return load(env=ENOUGH | more, cwd=tmp_path)

    return of


def models(settings: Settings) -> dict[str, str]:
    deployments = settings.resources["default"].deployments
    return {name: deployment.model for name, deployment in deployments.items()}


def test_req_2_2_environment_alone_is_enough(settings_of: Callable[..., Settings]) -> None:
    """Endpoint and key make one resource, `default`."""
    (resource,) = settings_of().resources.values()
    assert resource.base_url == "https://contoso.openai.azure.com"
    assert resource.api_keys[0].get_secret_value() == "s3cret"
    assert resource.api_version == "2024-10-21"
    assert resource.deployments == {}


@pytest.mark.parametrize("empty", [{}, {"AZURE_OPENAI_ENDPOINT": " ", "AZURE_OPENAI_API_KEY": ""}])
def test_req_2_2_missing_variables_are_named(empty: dict[str, str], environment_problems: Refused) -> None:
    """An empty environment lists exactly what is required; empty variables count as unset."""
    error = environment_problems(empty)
    assert error.problems == (
        (
            "environment: AZURE_OPENAI_ENDPOINT: endpoint is required, "
            "for example https://contoso.openai.azure.com"
        ),
        "environment: AZURE_OPENAI_API_KEY: either APIKey or EntraToken must be provided",
    )
    assert str(error).startswith("No smalt.yaml is here, and the environment cannot be used:")


@pytest.mark.parametrize(
    ("missing", "kind"), [("AZURE_OPENAI_ENDPOINT", InvalidEndpoint), ("AZURE_OPENAI_API_KEY", MissingAuth)]
)
def test_req_2_2_one_missing_variable_has_its_own_error(
    missing: str, kind: type[ConfigurationError], environment_problems: Refused
) -> None:
    """The error names the variable."""
    error = environment_problems({name: value for name, value in ENOUGH.items() if name != missing})
    assert type(error) is kind
    assert missing in str(error)


def test_names_of_other_tools_are_understood(tmp_path: Path) -> None:
    """LiteLLM's and semantic-kernel's variables do as well."""
    settings = load(
        env={
            "AZURE_API_BASE": "https://contoso.openai.azure.com",
            "AZURE_API_KEY": "k",
            "AZURE_API_VERSION": "2024-06-01",
            "AZURE_OPENAI_CHAT_DEPLOYMENT_NAME": "chat",
        },
        cwd=tmp_path,
    )
    assert settings.resources["default"].api_version == "2024-06-01"
    assert models(settings) == {"chat": "chat"}


def test_our_names_win_over_those_of_other_tools(settings_of: Callable[..., Settings]) -> None:
    """And AZURE_OPENAI_API_VERSION over OPENAI_API_VERSION."""
    settings = settings_of(
        AZURE_API_BASE="https://other.openai.azure.com",
        OPENAI_API_VERSION="2024-06-01",
        AZURE_OPENAI_API_VERSION="2024-02-01",
    )
    assert settings.resources["default"].base_url == "https://contoso.openai.azure.com"
    assert settings.resources["default"].api_version == "2024-02-01"


def test_a_problem_names_the_variable_that_was_used(environment_problems: Refused) -> None:
    """Not the one that would have been."""
    error = environment_problems({"AZURE_API_BASE": "foo", "AZURE_OPENAI_API_KEY": "k"})
    assert "environment: AZURE_API_BASE: expected an https URL" in str(error)


def test_deployments_of_known_models(settings_of: Callable[..., Settings]) -> None:
    """Each variable gives its model a deployment."""
    settings = settings_of(
        AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME="a",
        AZURE_OPENAI_GPT4O_MINI_DEPLOYMENT_NAME="b",
        AZURE_OPENAI_GPT41_DEPLOYMENT_NAME="c",
        AZURE_OPENAI_GPT41_MINI_DEPLOYMENT_NAME="d",
        AZURE_OPENAI_GPT41_NANO_DEPLOYMENT_NAME="e",
        AZURE_OPENAI_EMBEDDING_DEPLOYMENT_NAME="f",
        AZURE_OPENAI_DEPLOYMENT="g",
    )
    assert models(settings) == {
        "a": "gpt-4o",
        "b": "gpt-4o-mini",
        "c": "gpt-4.1",
        "d": "gpt-4.1-mini",
        "e": "gpt-4.1-nano",
        "f": "text-embedding-3-small",
        "g": "g",
    }


def test_a_deployment_named_twice_serves_the_known_model(settings_of: Callable[..., Settings]) -> None:
    """The variable that says more wins."""
    settings = settings_of(AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME="prod", AZURE_OPENAI_DEPLOYMENT="prod")
    assert models(settings) == {"prod": "gpt-4o"}


def test_a_deployment_serves_one_model(environment_problems: Refused) -> None:
    """Two models on one deployment are a mistake."""
    error = environment_problems(
        ENOUGH
        | {"AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME": "prod", "AZURE_OPENAI_GPT4O_MINI_DEPLOYMENT_NAME": "prod"}
    )
    assert error.problems == (
        (
            "environment: AZURE_OPENAI_GPT4O_MINI_DEPLOYMENT_NAME: "
            "its deployment already serves gpt-4o; a deployment serves one model"
        ),
    )


def test_entra_in_place_of_a_key(settings_of: Callable[..., Settings]) -> None:
    """By the default chain of azure-identity."""
    variables = {"AZURE_OPENAI_ENDPOINT": ENOUGH["AZURE_OPENAI_ENDPOINT"], "SMALT_AUTH": "entra"}
    identity = settings_of(**variables).resources["default"].identity
    assert identity == Identity(kind="default")


def test_another_word_for_entra_is_refused(environment_problems: Refused) -> None:
    """The variable is named."""
    error = environment_problems(
        {"AZURE_OPENAI_ENDPOINT": ENOUGH["AZURE_OPENAI_ENDPOINT"], "SMALT_AUTH": "entraid"}
    )
    assert error.problems[0].startswith("environment: SMALT_AUTH: expected 'default', ")


def test_a_token_stands_for_a_key(settings_of: Callable[..., Settings]) -> None:
    """With or without the word that comes before it in the header."""
    for value in ("t0ken", "Bearer t0ken"):
        settings = settings_of(AZURE_OPENAI_API_KEY="", AZURE_OPENAI_AD_TOKEN=value)
        identity = settings.resources["default"].identity
        assert identity is not None
        assert identity.token is not None
        assert (identity.kind, identity.token.get_secret_value()) == ("token", "t0ken")


def test_a_token_is_not_shown(environment_problems: Refused) -> None:
    """What is wrong with it is said without it."""
    error = environment_problems(
        {"AZURE_OPENAI_ENDPOINT": ENOUGH["AZURE_OPENAI_ENDPOINT"], "AZURE_OPENAI_AD_TOKEN": "Bearer s3cret x"}
    )
    assert "a secret must not hold spaces" in str(error)
    assert "s3cret" not in str(error)


def test_the_gateway_is_configured_too(settings_of: Callable[..., Settings]) -> None:
    """One fixed key and where to listen."""
    gateway = settings_of(SMALT_GATEWAY_KEY="g", SMALT_LISTEN="0.0.0.0:80").gateway
    assert gateway.address == ("0.0.0.0", 80)
    assert [(key.alias, key.key.get_secret_value()) for key in gateway.keys] == [("env", "g")]


def test_req_3_22_env_example_lists_every_variable() -> None:
    """Every variable smalt reads stands in `.env.example`, and the source names no other.

    The emulator reads none: it tells its callers which variables of Azure's SDKs lead to it.
    """
    example = (ROOT / ".env.example").read_text()
    listed = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE)
    assert listed == [variable.name for variable in (*VARIABLES, *OTHER_VARIABLES)]
    emulator: list[str] = []
    others: list[str] = []
    for file in (ROOT / "src").rglob("*.py"):
        (emulator if "emulator" in file.parts else others).append(file.read_text())
    assert not [text for text in emulator if re.search(r"\benviron|\bgetenv", text)]
    named = set(re.findall(r"\"((?:AZURE|OPENAI|SMALT)_[A-Z0-9_]*[A-Z0-9])\"", "\n".join(others)))
    assert named
    assert named <= set(listed)


def test_the_example_asks_for_a_key(tmp_path: Path) -> None:
    """Copied as it is, it says what is still to be filled in."""
    (tmp_path / ".env").write_text((ROOT / ".env.example").read_text())
    with pytest.raises(ConfigurationError) as caught:
        load(env={}, cwd=tmp_path)
    assert caught.value.problems == (
        "environment: AZURE_OPENAI_API_KEY: a placeholder; put the secret itself in its place",
    )
    assert warnings(load(env={"AZURE_OPENAI_API_KEY": "k"}, cwd=tmp_path)) == ()
