from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.emulator.identity.conftest import HOME, NOW, Ask, principal

from smalt.emulator.identity.directory import OPENAI_AUDIENCE, Directory
from smalt.emulator.identity.jwt import Token
from smalt.emulator.identity.metadata import Metadata
from smalt.emulator.refusals import Refusal

IMDS = f"/metadata/identity/oauth2/token?api-version=2018-02-01&resource={OPENAI_AUDIENCE}"
APP_SERVICE = f"/msi/token?api-version=2019-08-01&resource={OPENAI_AUDIENCE}"

Get = Callable[..., dict[str, Any]]


def imds(directory: Directory, ask: Ask, more: str = "", target: str = IMDS) -> dict[str, Any]:
    told = Metadata(directory, "header")(ask(f"{target}{more}", metadata="true"), NOW).body
    assert isinstance(told, dict)
    return told


def test_imds_tells_all_as_text(directory: Directory, ask: Ask) -> None:
    """Numbers too; nobody named an identity, so the system's answers."""
    told = imds(directory, ask)
    claims = Token.read(told.pop("access_token")).claims
    assert (claims["oid"], claims["appidacr"]) == ("machine-object", "2")
    assert told == {
        "client_id": "machine-client",
        "expires_in": "3599",
        "expires_on": "1800003600",
        "ext_expires_in": "3599",
        "not_before": "1800000000",
        "resource": OPENAI_AUDIENCE,
        "token_type": "Bearer",
    }


@pytest.mark.parametrize("named", ["client_id=backup-client", "object_id=backup-object", "msi_res_id={id}"])
def test_a_user_assigned_identity_is_named(directory: Directory, ask: Ask, named: str) -> None:
    """By any of its three ids."""
    group = "/subscriptions/default/resourceGroups/emulator"
    place = directory.scope(f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/backup")
    assert imds(directory, ask, f"&{named.format(id=place)}")["client_id"] == "backup-client"


@pytest.mark.parametrize(
    ("target", "headers", "told"),
    [
        (IMDS, {}, "Required metadata header not specified"),
        (IMDS, {"metadata": "true", "x_forwarded_for": "10.0.0.1"}, "X-Forwarded-For"),
        (IMDS.replace("resource", "scope"), {"metadata": "true"}, "'resource' is missing"),
        (IMDS.replace("2018", "2017"), {"metadata": "true"}, "api-version is invalid"),
        (f"{IMDS}&client_id=app-client", {"metadata": "true"}, "Identity not found"),
        (IMDS.replace(OPENAI_AUDIENCE, "api://other"), {"metadata": "true"}, "AADSTS500011"),
    ],
)
def test_imds_refusals(
    directory: Directory, ask: Ask, target: str, headers: dict[str, str], told: str
) -> None:
    """All are bad requests; an application is no identity of this machine."""
    with pytest.raises(Refusal) as caught:
        Metadata(directory, "header")(ask(target, **headers), NOW)
    assert caught.value.canned.status == 400
    assert told in str(caught.value.canned.body)


def test_without_one_of_the_system(directory: Directory, ask: Ask) -> None:
    """The only one there is answers; of several one must be named; of none none is found."""
    users = [principal(name, kind="user") for name in ("one", "two")]

    def told(count: int) -> str:
        spec = replace(directory.spec, principals={one.name: one for one in users[:count]})
        try:
            return str(imds(Directory(spec, {}), ask)["client_id"])
        except Refusal as refusal:
            return str(refusal.canned.body["error_description"])

    assert told(0) == "Identity not found"
    assert told(1) == "one-client"
    assert told(2).startswith("Multiple user assigned identities exist")


def test_app_service_knows_its_app_by_a_header(directory: Directory, ask: Ask) -> None:
    """With it there is a token, with its end as a moment; without it none."""
    metadata = Metadata(directory, "header")
    told = metadata(ask(APP_SERVICE, x_identity_header="header"), NOW).body
    assert (told["client_id"], told["expires_on"]) == ("machine-client", "1800003600")
    assert Token.read(told["access_token"]).claims["tid"] == HOME
    for headers in ({}, {"x_identity_header": "other"}):
        with pytest.raises(Refusal) as caught:
            metadata(ask(APP_SERVICE, **headers), NOW)
        assert caught.value.canned.status == 401


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (APP_SERVICE.replace("2019-08-01", "2017-09-01"), 400),
        (APP_SERVICE.replace("resource", "scope"), 400),
        (f"{APP_SERVICE}&client_id=other", 400),
        (APP_SERVICE.replace(OPENAI_AUDIENCE, "api://other"), 500),
    ],
)
def test_app_service_refusals(directory: Directory, ask: Ask, target: str, status: int) -> None:
    """In its own shape, also for a resource nobody knows."""
    with pytest.raises(Refusal) as caught:
        Metadata(directory, "header")(ask(target, x_identity_header="header"), NOW)
    canned = caught.value.canned
    assert (canned.status, canned.body["statusCode"]) == (status, status)
