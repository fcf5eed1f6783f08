"""The public names, and how light it is to import them."""

import subprocess
import sys

import pytest

import smalt

NAMES = [
    "MODEL_DEPLOYMENT_MAP",
    "Agent",
    "AgentBuilder",
    "AgentResult",
    "AsyncAzureOpenAI",
    "AsyncClient",
    "AsyncOpenAI",
    "AzureOpenAI",
    "AzureOpenAIClientPool",
    "AzureOpenAISettings",
    "Client",
    "ConfigurationError",
    "Fleet",
    "InvalidDeployment",
    "InvalidEndpoint",
    "MissingAuth",
    "MissingExtra",
    "ModelNotAvailableError",
    "OpenAI",
    "Settings",
    "SmaltError",
    "azure_openai_settings",
    "explain",
    "get_azure_openai_client",
    "get_azure_openai_completion",
    "get_azure_openai_embedding",
    "progress",
    "receipt",
    "receipts",
    "session",
    "tag",
]


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_public_names() -> None:
    """They are these, and every one is there."""
    assert smalt.__all__ == NAMES
    for name in NAMES:
        assert getattr(getattr(smalt, name), "__name__", name) == name
    assert smalt.__version__


def test_req_0_3_the_plain_functions_come_from_the_root() -> None:
    """By one import, as documented."""
    names = "get_azure_openai_client, get_azure_openai_completion, get_azure_openai_embedding"
    more = "AzureOpenAIClientPool, MODEL_DEPLOYMENT_MAP, ModelNotAvailableError, azure_openai_settings"
    assert run(f"from smalt import {names}, {more}\nprint(len(MODEL_DEPLOYMENT_MAP))") == "6"


def test_an_unknown_name() -> None:
    """It is missed as from any module."""
    with pytest.raises(AttributeError, match="module 'smalt' has no attribute 'AzureOpenAi'"):
        _ = smalt.AzureOpenAi


def test_importing_is_light() -> None:
    """No heavy package is loaded before a name is used."""
    heavy = {
        "openai",
        "azure",
        "sqlalchemy",
        "pydantic",
        "msgspec",
        "httpx",
        "httpx2",
        "uvicorn",
        "starlette",
    }
    heavy |= {"ruamel", "asyncio", "typer"}
    code = f"import sys, smalt; print(sorted({heavy} & set(sys.modules)))"
    assert run(code) == "[]"


def test_errors_come_alone() -> None:
    """Catching smalt's errors costs no other package."""
    code = (
        "import sys, smalt; smalt.SmaltError; print(sorted(n for n in sys.modules if n.startswith('smalt')))"
    )
    assert run(code) == "['smalt', 'smalt.errors']"


@pytest.mark.parametrize("name", ["AzureOpenAI", "AsyncOpenAI", "Client", "get_azure_openai_client"])
def test_a_client_without_the_openai_package(name: str) -> None:
    """One line with the command that mends it."""
    code = (
        "import sys; sys.modules['openai'] = None\n"
        "import smalt\n"
        f"try:\n    smalt.{name}\n"
        "except smalt.MissingExtra as error:\n    print(error)"
    )
    assert run(code) == f"smalt.{name} needs an optional part of smalt: pip install 'smalt[openai]'"


def test_a_fleet_without_the_openai_package() -> None:
    """A fleet needs it only for its clients; the transport goes without."""
    code = (
        "import sys; sys.modules['openai'] = None\n"
        "from smalt import Fleet, Settings, MissingExtra\n"
        "told = {'resources': {'a': {'endpoint': 'https://a.example', 'api_keys': ['k'],"
        " 'deployments': {'d': {'model': 'm'}}}}}\n"
        "fleet = Fleet(Settings.model_validate(told))\n"
        "fleet.transport('httpx2').close()\n"
        "try:\n    fleet.openai()\n"
        "except MissingExtra as error:\n    print(error)"
    )
    assert run(code) == "an OpenAI client needs an optional part of smalt: pip install 'smalt[openai]'"
