from dataclasses import replace
from typing import Any

import pytest
from tests.unit.emulator.identity.conftest import EAST, HOME, NOW, Ask

from smalt.emulator.identity.authority import Authority
from smalt.emulator.identity.directory import Directory
from smalt.emulator.identity.jwt import Signer, Token
from smalt.emulator.refusals import Refusal

FORM = {
    "grant_type": "client_credentials",
    "client_id": "app-client",
    "client_secret": "second",
    "scope": "https://cognitiveservices.azure.com/.default",
}
ASSERTED = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
POD = {
    "iss": "https://authority/cluster",
    "sub": "pod",
    "aud": "api://AzureADTokenExchange",
    "exp": int(NOW) + 60,
}


@pytest.fixture
def authority(directory: Directory) -> Authority:
    return Authority(directory)


def token(authority: Authority, ask: Ask, tenant: str = HOME, **changes: str | None) -> dict[str, Any]:
    """What the token endpoint tells; a change to None leaves the field out."""
    form = {name: value for name, value in {**FORM, **changes}.items() if value is not None}
    told = authority(ask(f"/{tenant}/oauth2/v2.0/token", "POST", form), NOW).body
    assert isinstance(told, dict)
    return told


def refused(
    authority: Authority, ask: Ask, tenant: str = HOME, **changes: str | None
) -> tuple[int, str, int]:
    with pytest.raises(Refusal) as caught:
        token(authority, ask, tenant, **changes)
    canned = caught.value.canned
    (number,) = canned.body["error_codes"]
    assert canned.body["error_description"].startswith(f"AADSTS{number}: ")
    return canned.status, canned.body["error"], number


def test_discovery_leads_to_keys_and_tokens(authority: Authority, ask: Ask) -> None:
    """Tenants go by id or domain; both versions name the issuer of their tokens."""
    told = authority(ask("/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration"), NOW).body
    base = f"https://authority/{HOME}"
    assert (told["issuer"], told["token_endpoint"]) == (f"{base}/v2.0", f"{base}/oauth2/v2.0/token")
    keys = authority(ask(told["jwks_uri"].removeprefix("https://authority")), NOW).body
    older = authority(ask(f"/{HOME}/.well-known/openid-configuration"), NOW).body
    assert older["issuer"] == f"https://sts.windows.net/{HOME}/"
    assert authority(ask(older["jwks_uri"].removeprefix("https://authority")), NOW).body == keys
    told = token(authority, ask)
    assert Token.read(told["access_token"]).header["kid"] == keys["keys"][0]["kid"]


def test_the_cluster_publishes_its_keys_too(authority: Authority, directory: Directory, ask: Ask) -> None:
    """As the issuer of a federated identity has to."""
    told = authority(ask("/cluster/.well-known/openid-configuration"), NOW).body
    assert told == {"issuer": POD["iss"], "jwks_uri": f"{POD['iss']}/keys"}
    assert authority(ask("/cluster/keys"), NOW).body == {"keys": [directory.cluster.jwk]}


def test_an_answer_tells_how_long_it_lasts(authority: Authority, directory: Directory, ask: Ask) -> None:
    """A long one also when it had better be refreshed."""
    told = token(authority, ask)
    assert (told["token_type"], told["expires_in"], "refresh_in" in told) == ("Bearer", 3_599, False)
    directory.token_lifetime_s = 86_400
    assert token(authority, ask)["refresh_in"] == 43_199


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tenant": "other"}, (400, "invalid_tenant", 90002)),
        ({"grant_type": None}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"client_id": "other"}, (400, "unauthorized_client", 700016)),
        ({"client_id": "stranger-client"}, (400, "unauthorized_client", 700016)),
        ({"client_id": "machine-client"}, (400, "unauthorized_client", 700016)),
        ({"client_secret": "third"}, (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (401, "invalid_client", 7000216)),
        ({"client_assertion": "x", "client_assertion_type": ASSERTED}, (401, "invalid_client", 50027)),
        ({"scope": None}, (400, "invalid_request", 900144)),
        ({"scope": "https://cognitiveservices.azure.com"}, (400, "invalid_scope", 1002012)),
        ({"scope": "api://other/.default"}, (400, "invalid_resource", 500011)),
    ],
)
def test_refusals(
    authority: Authority, ask: Ask, changes: dict[str, str | None], told: tuple[int, str, int]
) -> None:
    """Each fault by its own number."""
    assert refused(authority, ask, **changes) == told  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"iss": "https://elsewhere"}, 700211),
        ({"aud": "api://other"}, 700212),
        ({"sub": "other"}, 700213),
        ({"exp": int(NOW) - 1}, 700024),
        ({"exp": "soon"}, 700024),
        ({"nbf": int(NOW) + 60}, 700024),
        ({"iss": "app-client"}, 700027),
    ],
)
def test_what_a_cluster_must_say(
    authority: Authority, directory: Directory, ask: Ask, changes: dict[str, object], number: int
) -> None:
    """Issuer, subject, audience and times must fit what the application trusts."""
    as_asked: dict[str, Any] = {"client_secret": None, "client_assertion_type": ASSERTED}
    good = directory.cluster.sign(POD)
    assert token(authority, ask, **as_asked, client_assertion=good)["access_token"]
    bad = directory.cluster.sign({**POD, **changes})
    assert refused(authority, ask, **as_asked, client_assertion=bad) == (401, "invalid_client", number)


def test_a_cluster_nobody_trusts(authority: Authority, ask: Ask) -> None:
    """The right words under a foreign signature are worth nothing."""
    bad = Signer().sign(POD)
    told = refused(authority, ask, client_assertion_type=ASSERTED, client_assertion=bad, client_secret=None)
    assert told == (401, "invalid_client", 50013)


def test_what_a_certificate_must_sign(directory: Directory, ask: Ask) -> None:
    """An assertion about the application itself, for this authority, with a key it registered."""
    key = Signer()
    app = replace(directory.spec.principals["app"], certificates=(Signer().public_key, key.public_key))
    known = Directory(replace(directory.spec, principals={"app": app}), {"east": EAST})
    known.authority_url = "https://authority"
    about = {"iss": "app-client", "sub": "app-client", "exp": int(NOW) + 60}
    about["aud"] = f"https://authority/{HOME}/oauth2/v2.0/token"
    as_asked: dict[str, Any] = {"client_secret": None, "client_assertion_type": ASSERTED}
    assert token(Authority(known), ask, **as_asked, client_assertion=key.sign(about))["access_token"]
    faults: list[tuple[dict[str, object], int]] = [
        ({"sub": "other"}, 700023),
        ({"aud": "https://elsewhere"}, 700023),
        ({"exp": 1}, 700024),
    ]
    for changes, number in faults:
        bad = key.sign({**about, **changes})
        told = refused(Authority(known), ask, **as_asked, client_assertion=bad)
        assert told == (401, "invalid_client", number)


def test_other_paths_are_not_found(authority: Authority, ask: Ask) -> None:
    """As a page, not as JSON."""
    canned = authority(ask("/"), NOW)
    assert (canned.status, canned.headers["content-type"]) == (404, "text/html")
