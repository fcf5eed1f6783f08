from collections.abc import Callable

import pytest
from tests.unit.emulator.identity.conftest import EAST, HOME, NOW, Ask

from smalt.emulator.identity.directory import VAULT_AUDIENCE, Directory
from smalt.emulator.identity.store import Store
from smalt.emulator.identity.vault import KeyVault
from smalt.emulator.refusals import Canned, Refusal

GET = "/secrets/aoai-key?api-version=7.4"


@pytest.fixture
def vault(directory: Directory) -> KeyVault:
    app = directory.spec.principals["app"]
    directory.assign(app, "Key Vault Secrets Officer", EAST, NOW)  # any ARM id will do for a vault
    return KeyVault(directory, Store({"aoai-key": "value"}, 100), EAST, lambda: "https://kv")


def refusal(vault: KeyVault, request: object) -> Canned:
    with pytest.raises(Refusal) as caught:
        vault(request, NOW)  # type: ignore[arg-type]
    return caught.value.canned


@pytest.mark.parametrize(
    ("name", "audience", "age_s", "number"),
    [
        (None, VAULT_AUDIENCE, 0, "AKV10000"),
        ("app", VAULT_AUDIENCE, 3_600, "AKV10001"),
        ("app", "https://cognitiveservices.azure.com", 0, "AKV10022"),
        ("stranger", VAULT_AUDIENCE, 0, "AKV10032"),
    ],
)
def test_the_challenge_says_where_to_get_a_token(
    vault: KeyVault,
    ask: Ask,
    bearer: Callable[..., str],
    name: str | None,
    audience: str,
    age_s: float,
    number: str,
) -> None:
    """Whatever is wrong with the token, or if there is none."""
    headers = {"authorization": bearer(name, audience, age_s)} if name else {}
    canned = refusal(vault, ask(GET, **headers))
    challenge = f'Bearer authorization="https://authority/{HOME}", resource="https://vault.azure.net"'
    assert canned.status == 401
    assert canned.headers["www-authenticate"].startswith(challenge)
    assert canned.body["error"]["message"].startswith(number)


def test_a_secret_tells_its_id_and_version(vault: KeyVault, ask: Ask, bearer: Callable[..., str]) -> None:
    """The id is the address under which it can be asked for again."""
    shown = bearer(audience=VAULT_AUDIENCE)
    told = vault(ask(GET, authorization=shown), NOW).body
    assert told["value"] == "value"
    assert told["attributes"]["created"] == 100
    path = told["id"].removeprefix("https://kv")
    assert vault(ask(f"{path}?api-version=7.4", authorization=shown), NOW).body == told


@pytest.mark.parametrize(
    ("request_line", "body", "told"),
    [
        ("GET /secrets/aoai-key", b"", (400, "BadParameter")),
        ("GET /secrets/aoai-key?api-version=6.0", b"", (400, "BadParameter")),
        ("GET /secrets/other?api-version=7.4", b"", (404, "SecretNotFound")),
        ("GET /secrets/aoai-key/0?api-version=7.4", b"", (404, "SecretNotFound")),
        ("PUT /secrets/a_b?api-version=7.4", b'{"value":"x"}', (400, "BadParameter")),
        (f"PUT {GET}", b'{"value":1}', (400, "BadParameter")),
        (f"PUT {GET}", b"\xff", (400, "BadParameter")),
        ("GET /keys/x?api-version=7.4", b"", (404, "NotFound")),
    ],
)
def test_refusals(
    vault: KeyVault,
    ask: Ask,
    bearer: Callable[..., str],
    request_line: str,
    body: bytes,
    told: tuple[int, str],
) -> None:
    """Each fault has Key Vault's code."""
    method, _, target = request_line.partition(" ")
    canned = refusal(vault, ask(target, method, body, authorization=bearer(audience=VAULT_AUDIENCE)))
    assert (canned.status, canned.body["error"]["code"]) == told


def test_reading_lists_is_not_reading_secrets(
    vault: KeyVault, directory: Directory, ask: Ask, bearer: Callable[..., str]
) -> None:
    """Lists hold no values, and the refusal names caller and action."""
    shown = bearer(audience=VAULT_AUDIENCE)
    (item,) = vault(ask("/secrets?api-version=7.4", authorization=shown), NOW).body["value"]
    assert "value" not in item
    (item,) = vault(ask("/secrets/aoai-key/versions?api-version=7.4", authorization=shown), NOW).body["value"]
    assert "value" not in item
    canned = refusal(vault, ask(GET, authorization=bearer("machine", VAULT_AUDIENCE)))
    assert canned.body["error"]["innererror"] == {"code": "ForbiddenByRbac"}
    for part in ("oid=machine-object", "secrets/getSecret/action", EAST):
        assert part in canned.body["error"]["message"]
