"""A small directory and ways to ask it."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from smalt.emulator.fleet import default_fleet
from smalt.emulator.identity.directory import OPENAI_AUDIENCE, Directory
from smalt.emulator.identity.spec import Identity, Principal
from smalt.emulator.server import Request

HOME, AWAY = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
NOW = 1_800_000_000.9
EAST = default_fleet(0).resources["east"].arm_id

Ask = Callable[..., Request]


def principal(name: str, **more: object) -> Principal:
    told: dict[str, object] = {"kind": "application", "tenant_id": HOME, **more}
    return Principal(name=name, client_id=f"{name}-client", object_id=f"{name}-object", **told)  # type: ignore[arg-type]


PRINCIPALS = [
    principal(
        "app",
        secrets=("first", "second"),
        federated_subjects=("pod",),
        roles={"east": ("Cognitive Services OpenAI User",)},
        app_roles={"gateway": ("Chat.Use",)},
    ),
    principal("gateway", uri="api://gateway"),
    principal("stranger", tenant_id=AWAY, secrets=("first",)),
    principal("machine", kind="system"),
    principal("backup", kind="user"),
]


@pytest.fixture(scope="session")
def shared_directory() -> Directory:
    spec = Identity({"contoso": HOME, "fabrikam": AWAY}, {one.name: one for one in PRINCIPALS})
    directory = Directory(spec, default_fleet(0).arm_ids())
    directory.authority_url = "https://authority"
    return directory


@pytest.fixture
def directory(shared_directory: Directory) -> Directory:
    """With the same keys for all tests: making one takes its time."""
    shared_directory.reset()
    return shared_directory


@pytest.fixture
def ask() -> Ask:
    """Make a request; keywords are headers."""

    def make(target: str, method: str = "GET", body: object = b"", **headers: str) -> Request:
        path, _, query = target.partition("?")
        told = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        content = body if isinstance(body, bytes) else urlencode(body).encode()  # type: ignore[arg-type]
        return Request(method, path, query, told, content)

    return make


@pytest.fixture
def bearer(directory: Directory) -> Callable[..., str]:
    """The header of a principal's token, from one issued `age_s` ago."""

    def make(name: str = "app", audience: str = OPENAI_AUDIENCE, age_s: float = 0) -> str:
        grant = directory.issue(directory.spec.principals[name], audience, NOW - age_s)
        return f"Bearer {grant.token}"

    return make
