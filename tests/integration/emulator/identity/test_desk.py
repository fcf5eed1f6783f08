"""What the control plane knows of identity: addresses, counts, switches."""

import json
import re
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.integration.emulator.identity.conftest import Azure

OPENAI = "https://cognitiveservices.azure.com/.default"


def test_state_tells_where_everything_is(azure_world: Azure) -> None:
    """Addresses as the libraries want them; all but the machine's own service over TLS."""
    state = azure_world.handle.state()
    identity = state["identity"]
    urls = [identity["authority"], identity["arm"], state["vaults"]["kv"], azure_world.handle.url("east")]
    assert {urlsplit(url).scheme for url in urls} == {"https"}
    assert identity["imds"]["AZURE_POD_IDENTITY_AUTHORITY_HOST"].startswith("http://127.0.0.1:")
    assert identity["app_service"]["IDENTITY_ENDPOINT"].endswith("/msi/token")
    assert list(state["services"]) == ["authority", "metadata", "arm", "kv"]
    assert identity["principals"]["app"]["kind"] == "application"


def test_requests_and_tokens_are_counted(azure_world: Azure) -> None:
    """By service and by principal; the log has them too."""
    with azure_world.credential("app") as credential:
        credential.get_token(OPENAI)
        credential.get_token(OPENAI)  # from the library's own cache
    state = azure_world.handle.state()
    assert state["identity"]["principals"]["app"]["tokens_issued"] == 1
    assert state["services"]["authority"]["requests"] == 2
    discovery, token = azure_world.handle.log("authority")
    assert discovery["path"].endswith("/.well-known/openid-configuration")
    assert (token["method"], token["status"], token["outcome"]) == ("POST", 200, "answered")


def test_a_reset_undoes_everything(azure_world: Azure) -> None:
    """Keys, secrets, roles, lifetimes, switches and counters are as at the start; tokens stay good."""
    handle = azure_world.handle
    before = handle.state()
    handle.tell("resources/east/keys", keyName="Key1")
    handle.tell("identity", token_lifetime_s=3, role_delay_s=5)
    handle.tell("roles", principal="nobody", role="Reader", scope="kv")
    handle.tell("vaults/kv/secrets/aoai-key", value="x")
    handle.tell("services/kv", mode="down")
    handle.set("east", disable_local_auth=True)
    handle.reset()
    after = handle.state()
    for state in (before, after):
        state.pop("uptime_s")
    assert after == before
    assert handle.key("east") == "east-key-1"


def test_a_service_can_hang(azure_world: Azure, until: Callable[[Callable[[], bool]], None]) -> None:
    """It takes the request and never answers; the caller's leaving is noticed."""
    azure_world.handle.tell("services/metadata", mode="hang", count=1)
    address = urlsplit(azure_world.url("metadata"))
    with closing(socket.create_connection((address.hostname, address.port), timeout=10)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        until(lambda: len(azure_world.handle.log("metadata")) == 1)
        assert azure_world.handle.log("metadata")[0]["outcome"] == "waiting"
    until(lambda: azure_world.handle.log("metadata")[0]["outcome"] == "cancelled")
    assert azure_world.handle.state()["services"]["metadata"]["mode"] == "up"


@pytest.mark.parametrize(
    ("what", "body", "complaint"),
    [
        (
            "services/other",
            {"mode": "down"},
            "there is no service 'other'; there is authority, metadata, arm",
        ),
        ("services/kv", {"mode": "odd"}, "the body cannot be used"),
        ("services/kv", {"mode": "down", "count": 1}, 'count goes with mode "error" or "hang"'),
        ("services/kv", {"mode": "error", "status": 200}, "the body cannot be used"),
        ("services/kv", {"mode": "error", "status": 499}, "status 499 is not one of HTTP"),
        ("identity", {"token_lifetime_s": 0}, "the body cannot be used"),
        ("roles", {"principal": "x", "role": "Reader", "scope": "kv"}, "there is no principal 'x'"),
        ("roles", {"principal": "app", "role": "x", "scope": "kv"}, "there is no role 'x'"),
        ("roles", {"principal": "app", "role": "Reader", "scope": "x"}, "'x' is no scope"),
        ("vaults/x/secrets/y", {"value": ""}, "there is no vault 'x'; there is kv"),
        ("resources/x/keys", {"keyName": "Key1"}, "there is no resource 'x'"),
        ("resources/east/keys", {"keyName": "Key3"}, "the body cannot be used"),
    ],
)
def test_complaints(azure_world: Azure, what: str, body: dict[str, Any], complaint: str) -> None:
    """What cannot be done is told with what can."""
    with pytest.raises(ValueError, match=re.escape(complaint)):
        azure_world.handle.tell(what, **body)


def test_secrets_can_be_read_in_the_log(azure_world: Azure) -> None:
    """The log shows what was sent, which is the use of it."""
    with azure_world.credential("app") as credential:
        credential.get_token(OPENAI)
    assert "client_secret=app-secret" in json.dumps(azure_world.handle.log("authority")[-1]["body"])
