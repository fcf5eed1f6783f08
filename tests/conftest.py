"""What every test may rely on: no settings of the machine leak in, and nobody asks the cloud who we are."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.secrets_plugin import SecretsWatch

# The same examples every time, so that a failure is the change's fault; how long one takes is the machine's.
settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("suite")

METADATA_ADDRESS = "169.254.169.254"  # Azure's instance metadata: never asked unless configured
OURS = ("AZURE_", "OPENAI_", "SMALT_")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
LIVE = ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_DEPLOYMENT", "AZURE_OPENAI_API_KEY")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SecretsWatch())


@pytest.fixture(autouse=True, scope="session")
def machine_variables() -> Iterator[Mapping[str, str]]:
    """The variables this machine has for us, taken away from tests and their child processes."""
    with pytest.MonkeyPatch.context() as patch:
        found = {name: value for name, value in os.environ.items() if name.startswith(OURS)}
        for name in found:
            patch.delenv(name)
        for name in PROXIES:
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        yield found


@pytest.fixture
def azure(machine_variables: Mapping[str, str]) -> Mapping[str, str]:
    """The variables of a real deployment; a test that wants them is skipped without."""
    if missing := [name for name in LIVE if not machine_variables.get(name)]:
        pytest.skip(f"no real deployment: {', '.join(missing)} not set")
    return machine_variables


@pytest.fixture(autouse=True, scope="session")
def no_metadata_service() -> Iterator[None]:
    """A connection to the metadata address fails the test that makes it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    def checked(sock: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and address[0] == METADATA_ADDRESS:
            pytest.fail(f"a connection to {METADATA_ADDRESS}")
        return connect(sock, address)

    return checked
