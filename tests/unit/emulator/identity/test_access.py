from collections.abc import Callable

import pytest
from tests.unit.emulator.identity.conftest import AWAY, EAST, NOW, Ask

from smalt.emulator.identity.access import Caller, Gate
from smalt.emulator.identity.directory import FOUNDRY_AUDIENCE, OPENAI_AUDIENCE, Directory
from smalt.emulator.identity.keys import KeyPair
from smalt.emulator.refusals import Refusal

KEYS = KeyPair("east", ["first", "second"])
CLASSIC, V1 = "/openai/models", "/openai/v1/models"


@pytest.fixture
def gate(directory: Directory) -> Gate:
    return Gate(directory, EAST)


def refused(gate: Gate, request: object, keys: KeyPair | None = KEYS) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        gate.authenticate(request, keys, NOW)  # type: ignore[arg-type]
    canned = caught.value.canned
    return canned.status, canned.body["error"]["message"]


@pytest.mark.parametrize("path", [CLASSIC, V1])
def test_either_key_opens_both_surfaces(gate: Gate, ask: Ask, path: str) -> None:
    """The key is told by its place, as Azure names it."""
    assert gate.authenticate(ask(path, api_key="first"), KEYS, NOW) == Caller("key1")
    assert gate.authenticate(ask(path, api_key="second"), KEYS, NOW) == Caller("key2")


def test_a_key_is_a_bearer_token_on_v1_only(gate: Gate, ask: Ask) -> None:
    """What the plain OpenAI client sends works on v1; the classic surface wants tokens from Entra there."""
    assert gate.authenticate(ask(V1, authorization="Bearer first"), KEYS, NOW) == Caller("key1")
    assert refused(gate, ask(CLASSIC, authorization="Bearer first"))[1].startswith(
        "Unauthorized. Access token"
    )


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Access token is missing"),
        ({"authorization": "Bearer head.claims.signature"}, "Access token is missing"),
        ({"authorization": "Bearer wrong"}, "invalid subscription key"),
        ({"api_key": "wrong"}, "invalid subscription key"),
    ],
)
def test_no_credential_and_a_wrong_one_differ(
    gate: Gate, ask: Ask, headers: dict[str, str], message: str
) -> None:
    """Both are 401, each with its own text."""
    status, told = refused(gate, ask(V1, **headers))
    assert status == 401
    assert message in told


def test_disabled_keys_are_not_even_looked_at(gate: Gate, ask: Ask, bearer: Callable[..., str]) -> None:
    """A wrong key gets the same answer as a right one; a token goes on working."""
    for key in ("first", "wrong"):
        status, told = refused(gate, ask(CLASSIC, api_key=key), None)
        assert (status, told) == (403, "Key based authentication is disabled for this resource.")
    assert gate.authenticate(ask(CLASSIC, authorization=bearer()), None, NOW).name == "entra:app"


def test_audiences_by_surface(gate: Gate, ask: Ask, bearer: Callable[..., str]) -> None:
    """Both on v1, the older one on the classic surface."""
    for audience in (OPENAI_AUDIENCE, FOUNDRY_AUDIENCE):
        shown = ask(V1, authorization=bearer(audience=audience))
        assert gate.authenticate(shown, KEYS, NOW).name == "entra:app"
    assert refused(gate, ask(CLASSIC, authorization=bearer(audience=FOUNDRY_AUDIENCE)))[0] == 401


def test_another_tenant_is_a_bad_request(gate: Gate, ask: Ask, bearer: Callable[..., str]) -> None:
    """Not 401: the token is good, only not here."""
    told = refused(gate, ask(V1, authorization=bearer("stranger")))
    assert told == (400, f"Token tenant {AWAY} does not match resource tenant.")


def test_a_key_may_do_all_and_a_principal_what_its_role_allows(gate: Gate, directory: Directory) -> None:
    """The action that is missing is named."""
    gate.authorize(Caller("key1"), "embeddings", NOW)
    gate.authorize(Caller("entra:app", directory.spec.principals["app"]), "models", NOW)
    with pytest.raises(
        Refusal, match=r"`machine-object` lacks .* `[^`]*/OpenAI/deployments/embeddings/action`"
    ):
        gate.authorize(Caller("entra:machine", directory.spec.principals["machine"]), "embeddings", NOW)
