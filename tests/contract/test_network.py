"""Upstreams behind a proxy and a private CA: both doors, threads and event loops, over real TLS."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest
from tests.contract import world
from tests.contract.doors import AnyDoor, Ask, Result
from tests.contract.gateways import KEY
from tests.contract.scenarios import CHAT, EMBEDDINGS, STREAM
from tests.integration.network.proxy_server import PASSWORD, ProxyServer, proxy_server

from smalt.config import Settings
from smalt.config.advice import warnings
from smalt.emulator.identity.spec import Tls
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.security

DOORS = ("gateway-hot-openai", "gateway-asgi-openai", "library-sync", "library-async")
ONCE_EACH = {"max_attempts": len(world.REGIONS)}
HOSTS = {name: f"contoso-{name}.openai.azure.com" for name in world.REGIONS}


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest, doors: dict[str, AnyDoor]) -> AnyDoor:
    return doors[request.param]


@pytest.fixture(scope="module")
def shared_secure() -> Iterator[Handle]:
    with running(replace(world.azure(), tls=Tls(hosts=tuple(HOSTS.values())))) as handle:
        yield handle


@pytest.fixture
def secure(shared_secure: Handle) -> Handle:
    """An Azure with TLS, whose names no DNS knows."""
    shared_secure.reset()
    return shared_secure


def proxy_before(azure: Handle, *, password: bool = True) -> Any:
    leads_to = {host: ("127.0.0.1", urlsplit(azure.url(name)).port or 0) for name, host in HOSTS.items()}
    return proxy_server(leads_to, password=password)


@pytest.fixture
def proxy(secure: Handle) -> Iterator[ProxyServer]:
    with proxy_before(secure) as server:
        yield server


def settings(azure: Handle, network: dict[str, Any], *regions: str, scheme: str = "https") -> Settings:
    """The regions by their own names, the others where they listen; nobody waits for a second try."""
    told = world.written(azure, network=network, retry=ONCE_EACH)
    for name in regions or HOSTS:
        told["resources"][name] |= {"endpoint": f"{scheme}://{HOSTS[name]}", "allow_http": scheme == "http"}
    return Settings.model_validate(told)


def asked(door: AnyDoor, settings: Settings, ask: Ask = CHAT) -> Result:
    with door.open(settings) as opened:
        return opened(ask)


@pytest.mark.parametrize("ask", [CHAT, STREAM, EMBEDDINGS], ids=lambda ask: ask.kind)
def test_azure_by_a_proxy(door: AnyDoor, secure: Handle, proxy: ProxyServer, ask: Ask) -> None:
    """Answers and streams come; the proxy sees where they are from, and nothing else."""
    network = {"proxy": proxy.url, "ca_file": str(secure.ca_file)}
    result = asked(door, settings(secure, network), ask)
    assert result.error is None
    assert result.answer or result.text
    (line,) = proxy.lines
    assert line in {f"CONNECT {host}:443 HTTP/1.1" for host in HOSTS.values()}
    assert len(secure.log()) == 1
    assert secure.key("east").encode() not in proxy.wire
    assert secure.key("sweden").encode() not in proxy.wire


def test_the_proxy_of_the_environment(
    door: AnyDoor, secure: Handle, proxy: ProxyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Holds without a word in the settings; `proxy: none` is that word."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    trusting = {"ca_file": str(secure.ca_file)}
    assert asked(door, settings(secure, trusting)).error is None
    assert len(proxy.lines) == 1
    assert asked(door, settings(secure, {**trusting, "proxy": "none"})).error is not None
    assert len(proxy.lines) == 1


def test_a_proxy_that_is_down_fails_over_to_what_needs_none(
    door: AnyDoor, secure: Handle, proxy: ProxyServer
) -> None:
    """To a resource that is reached straight; each call loses one attempt at most, that was not sent."""
    network = {"proxy": proxy.url, "ca_file": str(secure.ca_file)}
    told = settings(secure, network, "east")
    with door.open(told) as opened:
        assert {opened(CHAT).headers["x-smalt-upstream"].partition("/")[0] for _ in range(8)} == set(HOSTS)
        for behaviour in ("die", "forbid", "fail", "die_in_handshake"):
            proxy.behaviour = behaviour
            with door.open(told) as afresh:
                results = [afresh(CHAT) for _ in range(4)]
            assert {result.headers["x-smalt-upstream"] for result in results} == {"sweden/gpt-4o-prod"}
            assert sum(int(result.headers["x-smalt-attempts"]) for result in results) <= 5


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [("forbid", "the proxy refuses it: 403 Forbidden"), ("die", "the proxy closed the connection")],
)
def test_the_error_names_the_proxy(
    behaviour: Any, reason: str, door: AnyDoor, secure: Handle, proxy: ProxyServer
) -> None:
    """Where nothing else is left, without its password."""
    proxy.behaviour = behaviour
    told = settings(secure, {"proxy": proxy.url, "ca_file": str(secure.ca_file)})
    error = asked(door, told).error
    assert isinstance(error, openai.InternalServerError)
    assert f"by the proxy 127.0.0.1:{proxy.port}: {reason}" in str(error)
    assert PASSWORD not in f"{error} {error!r} {error.body}"


def test_without_the_ca_nothing_is_sent(door: AnyDoor, secure: Handle, proxy: ProxyServer) -> None:
    """The text says which certificate was not trusted."""
    error = asked(door, settings(secure, {"proxy": proxy.url})).error
    assert "certificate verify failed" in str(error)
    assert secure.log() == []


def test_a_private_ca_alone(door: AnyDoor, secure: Handle) -> None:
    """No proxy is needed for it."""
    trusting = world.settings(secure, network={"ca_file": str(secure.ca_file)})
    assert asked(door, trusting).error is None
    assert asked(door, world.settings(secure, retry=ONCE_EACH)).error is not None


def test_http_by_a_proxy(door: AnyDoor, azure: Handle) -> None:
    """By the whole URL, kept alive; with a warning, since the proxy reads the key."""
    with proxy_before(azure) as proxy:
        told = settings(azure, {"proxy": proxy.url}, scheme="http")
        with door.open(told) as opened:
            for ask in (CHAT, STREAM, CHAT):
                assert opened(ask).error is None
        assert {line.partition("/openai")[0] for line in proxy.lines} <= {
            f"POST http://{host}" for host in HOSTS.values()
        }
        assert len(azure.log()) == len(proxy.lines) == 3
        assert [warning for warning in warnings(told) if "by a proxy, which reads the key" in warning]
        wrong = f"http://me:wrong@127.0.0.1:{proxy.port}"
        error = asked(door, settings(azure, {"proxy": wrong}, scheme="http")).error
    assert "the proxy refuses the user and password" in str(error)
    shown = [name.lower() for entry in azure.log() for name, _ in entry["headers"]]
    assert "proxy-authorization" not in shown


@pytest.mark.parametrize(
    ("api", "path"),
    [
        ("auto", "/team/openai/deployments/gpt-4o-prod/chat/completions"),
        ("v1", "/team/openai/v1/chat/completions"),
    ],
)
def test_a_gateway_before_azure(door: AnyDoor, azure: Handle, api: str, path: str) -> None:
    """The path of the endpoint comes before Azure's own."""
    told = world.written(azure, retry={"max_attempts": 1})
    for name in world.REGIONS:
        told["resources"][name] |= {"endpoint": f"{azure.url(name)}/team", "api": api}
    asked(door, Settings.model_validate(told))
    assert [entry["path"] for entry in azure.log()] == [path]


def test_a_redirect_is_not_followed(azure: Handle, doors: dict[str, AnyDoor]) -> None:
    """It is an error like any other: no credential goes where the upstream points."""
    for door in doors.values():
        azure.reset()
        azure.fault(kind="redirect", resource="east", to="sweden")
        route = {"route": ["east/gpt-4o-prod"]}
        told = world.settings(azure, models={"gpt-4o": route}, retry={"max_attempts": 1})
        error = asked(door, told).error
        assert isinstance(error, openai.InternalServerError), door.name
        assert azure.log("sweden") == [], door.name
        assert azure.log("east"), door.name


@pytest.mark.parametrize("ask", [CHAT, STREAM], ids=lambda ask: ask.kind)
def test_a_callers_own_credential_is_never_forwarded(
    ask: Ask, azure: Handle, doors: dict[str, AnyDoor]
) -> None:
    """Upstreams are shown the credential that belongs to them, and no header with another one."""
    own = {
        "Authorization": f"Bearer {KEY}",
        "api-key": KEY,
        "x-api-key": KEY,
        "cookie": f"session={KEY}",
        "ocp-apim-subscription-key": KEY,
    }
    for door in doors.values():
        azure.reset()
        with door.open(world.settings(azure)) as opened:
            opened(Ask(ask.kind, {**ask.body, "extra_headers": own}))
        entries = azure.log()
        assert entries, door.name
        for entry in entries:
            headers = {name.lower(): value for name, value in entry["headers"]}
            assert headers["api-key"] == azure.key(entry["resource"]), door.name
            assert KEY not in str(entry["headers"]), door.name
            assert not headers.keys() & {"authorization", "cookie", "ocp-apim-subscription-key"}, door.name
