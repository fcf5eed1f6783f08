from collections.abc import Callable

import pytest
from tests.unit.emulator.identity.conftest import AWAY, EAST, HOME, NOW, Ask

from smalt.emulator.identity.directory import (
    FOUNDRY_AUDIENCE,
    OPENAI_AUDIENCE,
    Directory,
    Unfit,
    UnknownAudience,
)
from smalt.emulator.identity.jwt import Signer, Token
from smalt.emulator.identity.spec import subscription_id

CHAT = "Microsoft.CognitiveServices/accounts/OpenAI/deployments/chat/completions/action"
ROLE = "Cognitive Services OpenAI User"


def reason(directory: Directory, request: object, *audiences: str, now: float = NOW) -> str:
    with pytest.raises(Unfit) as caught:
        directory.check(request, audiences or (OPENAI_AUDIENCE,), now)  # type: ignore[arg-type]
    return caught.value.reason


def test_a_token_says_what_entra_id_says(directory: Directory) -> None:
    """Version 1 for Azure's own services: who, where, for whom, from when to when."""
    app = directory.spec.principals["app"]
    grant = directory.issue(app, OPENAI_AUDIENCE, NOW)
    claims = dict(Token.read(grant.token).claims)
    assert claims.pop("uti")
    assert claims == {
        "aud": OPENAI_AUDIENCE,
        "iss": f"https://sts.windows.net/{HOME}/",
        "idp": f"https://sts.windows.net/{HOME}/",
        "iat": 1_800_000_000,
        "nbf": 1_800_000_000,
        "exp": 1_800_003_600,
        "appid": "app-client",
        "appidacr": "1",
        "idtyp": "app",
        "oid": "app-object",
        "sub": "app-object",
        "tid": HOME,
        "ver": "1.0",
    }
    assert (grant.expires_on_s, grant.expires_in_s) == (1_800_003_600, 3_599)


def test_a_token_for_an_own_application(directory: Directory) -> None:
    """Version 2, for the application's id, from the issuer that discovery names, with the roles it gave."""
    app, machine = directory.spec.principals["app"], directory.spec.principals["machine"]
    claims = Token.read(directory.issue(app, "api://gateway", NOW).token).claims
    told = {name: claims[name] for name in ("aud", "iss", "azp", "ver", "roles")}
    assert told == {
        "aud": "gateway-client",
        "iss": f"https://authority/{HOME}/v2.0",
        "azp": "app-client",
        "ver": "2.0",
        "roles": ["Chat.Use"],
    }
    assert "roles" not in Token.read(directory.issue(machine, "api://gateway", NOW).token).claims


def test_what_nobody_registered_gets_no_token(directory: Directory) -> None:
    """An application of another tenant is as unknown as none at all."""
    for name, audience in (("app", "https://example.com"), ("stranger", "api://gateway")):
        with pytest.raises(UnknownAudience):
            directory.issue(directory.spec.principals[name], audience, NOW)


def test_a_good_token_names_its_principal(directory: Directory, ask: Ask, bearer: Callable[..., str]) -> None:
    """A slash at the end of the audience makes no difference, nor does the scheme's case."""
    for header in (bearer(), bearer(audience=f"{OPENAI_AUDIENCE}/"), bearer().replace("Bearer", "bearer")):
        found = directory.check(ask("/", authorization=header), {OPENAI_AUDIENCE}, NOW)
        assert found.name == "app"


def test_what_is_wrong_with_a_token(directory: Directory, ask: Ask, bearer: Callable[..., str]) -> None:
    """Each fault is told apart."""
    assert reason(directory, ask("/")) == "missing"
    assert reason(directory, ask("/", authorization="Basic eDp5")) == "missing"
    assert reason(directory, ask("/", authorization="Bearer a.b.c")) == "invalid"
    assert reason(directory, ask("/", authorization=f"Bearer {bearer()}")) == "invalid"
    foreign = Signer().sign(Token.read(bearer().split()[1]).claims)
    assert reason(directory, ask("/", authorization=f"Bearer {foreign}")) == "invalid"
    assert reason(directory, ask("/", authorization=bearer(audience=FOUNDRY_AUDIENCE))) == "audience"
    assert reason(directory, ask("/", authorization=bearer("stranger"))) == "tenant"


def test_a_token_ends_on_the_second(directory: Directory, ask: Ask, bearer: Callable[..., str]) -> None:
    """The last moment is good, the next is not."""
    directory.token_lifetime_s = 3
    request = ask("/", authorization=bearer())
    directory.check(request, {OPENAI_AUDIENCE}, 1_800_000_002.999)
    assert reason(directory, request, now=1_800_000_003.0) == "expired"


def test_roles_reach_down_and_not_sideways(directory: Directory) -> None:
    """A role on a subscription or account holds for all below it, and for nothing beside it."""
    app, other = directory.spec.principals["app"], directory.spec.principals["machine"]

    def may(who: object, place: str) -> bool:
        return directory.allows(who, CHAT, place, NOW, data=True)  # type: ignore[arg-type]

    assert may(app, EAST)
    assert may(app, f"{EAST.upper()}/deployments/x")
    assert not may(app, f"{EAST}2")
    assert not may(other, EAST)
    directory.assign(other, ROLE, f"/subscriptions/{subscription_id('default')}", NOW)
    assert may(other, EAST)


def test_roles_come_and_go_after_the_delay(directory: Directory) -> None:
    """Both ways it takes the same time, and what was given at the start is there at once."""
    machine = directory.spec.principals["machine"]
    directory.role_delay_s = 300

    def may(now: float) -> bool:
        return directory.allows(machine, CHAT, EAST, now, data=True)

    directory.assign(machine, ROLE, EAST, NOW)
    assert (may(NOW), may(NOW + 299), may(NOW + 300)) == (False, False, True)
    directory.revoke(machine, ROLE, EAST, NOW + 1_000)
    assert (may(NOW + 1_299), may(NOW + 1_300)) == (True, False)


def test_scopes_and_tenants_go_by_names(directory: Directory) -> None:
    """Names of the fleet, ids, and a subscription's name within an id."""
    default = subscription_id("default")
    assert directory.scope("east") == EAST
    assert (
        directory.scope("/subscriptions/default/resourceGroups/x")
        == f"/subscriptions/{default}/resourceGroups/x"
    )
    assert directory.scope("/subscriptions/default") == f"/subscriptions/{default}"
    assert directory.scope("nowhere") is None
    assert subscription_id(default) == default
    assert [directory.tenant(name) for name in (HOME, "fabrikam.onmicrosoft.com", "other")] == [
        HOME,
        AWAY,
        None,
    ]
