"""Resources that callers bring: whom they reach, whom they cannot reach, and what they leave behind."""

import asyncio
import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.contract import world
from tests.contract.gateways import ADMIN_KEY, KEY, NARROW_KEY, Stage, eventually
from tests.integration.gateway.raw import HELLO, Answer, ask, body, request
from tests.integration.network.proxy_server import proxy_server

from smalt.config import Settings
from smalt.emulator.identity.spec import Tls
from smalt.emulator.testing import Handle, running
from smalt.gateway import brought

pytestmark = pytest.mark.security

HOST = "contoso-sweden.openai.azure.com"
SLOW_S = 2.0  # of a resolver
PUBLIC, METADATA = "20.1.2.3", "169.254.169.254"


def port_of(azure: Handle, region: str = "sweden") -> int:
    return urlsplit(azure.url(region)).port or 0


def settings(azure: Handle, *may_bring: str, **sections: Any) -> Settings:
    """Only `east` is configured; `sweden` is what callers bring."""
    told = world.written(azure, retry={"max_attempts": 2}, **sections)
    del told["resources"]["sweden"]
    return Settings.model_validate({**told, "gateway": {"callers_may_bring": may_bring}})


def bring(stage: Stage, endpoint: str, own_key: str | None, **asked: Any) -> Answer:
    """A request with its own resource. `asked`: what else is unusual about it."""
    headers = [f"X-Azure-Endpoint: {endpoint}", f"X-Azure-API-Key: {own_key}"][: 1 + (own_key is not None)]
    fields = {"model": asked.pop("model", "gpt-4o-prod"), **asked.pop("fields", {"messages": HELLO})}
    return ask(stage.url, request(*headers, content=json.dumps(fields).encode(), **asked))


class Outside:
    """What event loops of the gateway ask for: `looked_up` names, `connected` addresses. `answers`: of the
    resolver, by name, one after the other; the last one stays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, loop: type[asyncio.AbstractEventLoop]) -> None:
        self.looked_up: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self.answers: dict[str, list[list[str]]] = {}
        self.slow: set[str] = set()
        connect = loop.create_connection

        async def getaddrinfo(_loop: object, host: str, port: int, **_: object) -> list[Any]:
            self.looked_up.append(host)
            if host in self.slow:
                await asyncio.sleep(SLOW_S)
            told = self.answers.get(host)
            if not told:
                raise socket.gaierror(socket.EAI_NONAME, "nobody has that name")
            addresses = told.pop(0) if len(told) > 1 else told[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        async def create_connection(
            self_: Any, factory: Any, host: str, port: int, **more: Any
        ) -> tuple[Any, Any]:
            self.connected.append((host, port))
            return await connect(self_, factory, host, port, **more)

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(loop, "create_connection", create_connection)

    @property
    def nothing(self) -> bool:
        return not self.looked_up and not self.connected


@pytest.fixture
def outside(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Outside:
    return Outside(monkeypatch, type(stage.loop.result()))


@pytest.fixture(autouse=True)
def silent(azure: Handle, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No key of a caller is in the log, whatever happens."""
    caplog.set_level(logging.DEBUG, "smalt")
    yield
    for record in caplog.records:
        assert azure.key("sweden") not in record.getMessage()
        assert not record.exc_info


def test_req_2_5_a_caller_brings_a_resource(stage: Stage, azure: Handle) -> None:
    """It answers, shown the caller's key alone; the configured one has nothing to do with it."""
    stage.play(settings(azure, f"127.0.0.1:{port_of(azure)}"))
    answer = bring(stage, azure.url("sweden"), azure.key("sweden"))
    assert answer.status == 200
    upstream = f"brought:127.0.0.1:{port_of(azure)}/gpt-4o-prod"
    assert answer.headers["x-smalt-upstream"] == upstream
    assert float(answer.headers["x-smalt-cost-usd"]) > 0
    (entry,) = azure.log()
    assert (entry["resource"], entry["deployment"]) == ("sweden", "gpt-4o-prod")
    shown = dict(entry["headers"])
    assert shown["api-key"] == azure.key("sweden")
    assert not {name for name in shown if name.lower().startswith("x-azure")}
    assert not {KEY, azure.key("east")} & set(shown.values())
    usage = json.loads(ask(stage.url, _admin("/admin/v1/usage"), method="GET").body)
    assert usage["upstreams"][upstream]["input_tokens"] > 0
    states = ask(stage.url, _admin("/admin/v1/upstreams"), method="GET").body
    assert b"brought:" not in states


def _admin(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_KEY}\r\n\r\n".encode()


@pytest.mark.parametrize(
    "target",
    [
        "/openai/deployments/gpt-4o-prod/chat/completions?api-version=2024-02-01",
        "/openai/v1/chat/completions",
        "/v1/responses",
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_every_surface(stage: Stage, azure: Handle, target: str, streamed: bool) -> None:
    """Streamed and whole; `azure/` before the name changes nothing."""
    stage.play(settings(azure, f"127.0.0.1:{port_of(azure)}"))
    said = {"input": "hello"} if "responses" in target else {"messages": HELLO}
    answer = bring(
        stage,
        azure.url("sweden"),
        azure.key("sweden"),
        model="azure/gpt-4o-prod",
        target=target,
        fields={"stream": streamed, **said},
    )
    assert answer.status == 200, answer.body
    assert (b"data: " in answer.body) is streamed
    assert [entry["resource"] for entry in azure.log()] == ["sweden"]


@pytest.mark.parametrize("may_bring", [[], ["*.openai.azure.com"]], ids=["off", "on"])
@pytest.mark.parametrize(
    "endpoint",
    [
        f"http://{METADATA}",
        f"https://{METADATA}/metadata/instance",
        "https://[fd00:ec2::254]",
        "https://[::ffff:169.254.169.254]",
        "https://2852039166",
        "http://localhost:8000",
        "https://evil.example",
        f"https://{HOST}.evil.example",
        f"https://{HOST}@evil.example",
        f"https://{HOST}:8443",
        f"https://{HOST}.",
        f"http://{HOST}",
        "",
    ],
)
def test_req_2_5_what_is_not_on_the_list(
    stage: Stage, azure: Handle, outside: Outside, may_bring: list[str], endpoint: str
) -> None:
    """403, and no name is looked up, no connection made: not even to what is configured."""
    stage.play(settings(azure, *may_bring))
    for key in (azure.key("sweden"), None):
        answer = bring(stage, endpoint, key)
        assert (answer.status, answer.error["code"]) == (403, "permission_denied")
        assert answer.error["resolution"]
        assert "X-Azure-Endpoint" in answer.error["message"]
        assert answer.headers["x-should-retry"] == "false"
    assert outside.nothing
    assert azure.log() == []


def test_req_2_5_off_unless_asked_for(stage: Stage, azure: Handle, outside: Outside) -> None:
    """Without a list even an honest resource is refused, and a key alone, too."""
    stage.play(settings(azure))
    answer = bring(stage, azure.url("sweden"), azure.key("sweden"))
    assert (answer.status, "takes no resources" in answer.error["message"]) == (403, True)
    answer = ask(stage.url, request(f"X-Azure-API-Key: {azure.key('sweden')}", content=body()))
    assert answer.status == 403
    assert outside.nothing


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["X-Azure-API-Key: "],
        ["X-Azure-API-Key: a b"],
        ["X-Azure-API-Key: k\xe9y"],
        ["X-Azure-API-Key: first", "X-Azure-API-Key: second"],
        ["X-Azure-API-Key: first", "X-Azure-Endpoint: https://127.0.0.1"],
    ],
)
def test_both_headers_once(stage: Stage, azure: Handle, outside: Outside, more: list[str]) -> None:
    """Half of it, or twice of it, is a mistake that is told."""
    stage.play(settings(azure, f"127.0.0.1:{port_of(azure)}"))
    answer = ask(stage.url, request(f"X-Azure-Endpoint: {azure.url('sweden')}", *more))
    assert (answer.status, answer.error["code"]) == (400, "invalid_request_error")
    assert outside.nothing


def test_the_gateway_key_is_needed(stage: Stage, azure: Handle, outside: Outside) -> None:
    """A key for a resource is none for the gateway; a key for one model stays so."""
    stage.play(settings(azure, f"127.0.0.1:{port_of(azure)}"))
    url, key = azure.url("sweden"), azure.key("sweden")
    assert bring(stage, url, key, key=None).status == 401
    assert bring(stage, url, key, key=key).status == 401
    assert bring(stage, url, key, key=NARROW_KEY).status == 403
    assert outside.nothing


@pytest.mark.parametrize("model", ["..", ".", "azure/", "x" * 65, "a\nb"])
def test_names_that_are_no_deployment(stage: Stage, azure: Handle, outside: Outside, model: str) -> None:
    """Not asked for."""
    stage.play(settings(azure, f"127.0.0.1:{port_of(azure)}"))
    assert bring(stage, azure.url("sweden"), azure.key("sweden"), model=model).status in {400, 404}
    assert outside.nothing


def test_a_wrong_key_is_the_callers_fault(stage: Stage, azure: Handle) -> None:
    """401, without a try elsewhere; the next caller, with the right key, is not kept waiting for it."""
    stage.play(settings(azure, f"127.0.0.1:{port_of(azure)}"))
    answer = bring(stage, azure.url("sweden"), "wrong-key-of-a-caller")
    assert (answer.status, answer.error["code"]) == (401, "unauthorized")
    assert "X-Azure-API-Key" in str(answer.error["resolution"])
    assert "wrong-key-of-a-caller" not in answer.body.decode()
    assert {entry["resource"] for entry in azure.log()} == {"sweden"}
    assert bring(stage, azure.url("sweden"), azure.key("sweden")).status == 200


def test_failures_are_the_callers_own(stage: Stage, azure: Handle) -> None:
    """A resource that fails, fails for who brought it: nothing fails over, and the same resource as
    configured goes on for everybody else."""
    told = settings(azure, f"127.0.0.1:{port_of(azure, 'east')}")
    stage.play(told)
    azure.fault("error", error="server_error", resource="east", times=2)
    answer = bring(stage, azure.url("east"), azure.key("east"))
    assert answer.status >= 500
    assert {entry["resource"] for entry in azure.log()} == {"east"}
    before = len(azure.log())
    answer = ask(stage.url, request(content=body()))
    assert (answer.status, answer.headers["x-smalt-attempts"]) == (200, "1")
    assert len(azure.log()) == before + 1
    health = ask(stage.url, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", method="GET")
    assert json.loads(health.body)["status"] == "ok"


@pytest.fixture(scope="module")
def shared_secure() -> Iterator[Handle]:
    with running(replace(world.azure(), tls=Tls(hosts=(HOST,)))) as handle:
        yield handle


@pytest.fixture
def secure(shared_secure: Handle) -> Handle:
    """With a certificate for HOST."""
    shared_secure.reset()
    return shared_secure


def by_name(secure: Handle, *may_bring: str, **network: Any) -> Settings:
    told = {"ca_file": str(secure.ca_file), **network}
    return settings(secure, f"*.openai.azure.com:{port_of(secure)}", *may_bring, network=told)


def test_req_2_5_the_address_that_was_checked(stage: Stage, secure: Handle, outside: Outside) -> None:
    """The name is looked up once, and the connection goes to what came of it, with TLS for the name; that
    another look would find something else by then (DNS rebinding) changes nothing."""
    stage.play(by_name(secure, "127.0.0.0/8"))
    outside.answers[HOST] = [["127.0.0.1"], [METADATA]]
    endpoint = f"https://{HOST}:{port_of(secure)}"
    for _ in range(3):
        answer = bring(stage, endpoint, secure.key("sweden"))
        assert answer.status == 200
    assert outside.looked_up == [HOST]
    assert outside.connected == [("127.0.0.1", port_of(secure))]
    assert dict(secure.log()[0]["headers"])["host"] == f"{HOST}:{port_of(secure)}"


def test_a_slow_name_keeps_its_place_until_it_is_looked_up(
    stage: Stage, secure: Handle, outside: Outside
) -> None:
    """Nobody waits for it any more, and still no second one begins beside it: the other place is ours."""
    told = by_name(secure, "127.0.0.0/8")
    stage.play(told.model_copy(update={"timeouts": told.timeouts.model_copy(update={"connect_s": 0.2})}))
    outside.slow = {HOST}
    other = f"other.{HOST.partition('.')[2]}"
    outside.answers[other] = [["127.0.0.1"]]
    for host in (HOST, other):
        answer = bring(stage, f"https://{host}:{port_of(secure)}", secure.key("sweden"))
        assert "cannot be found" in answer.body.decode()
    assert outside.looked_up == [HOST]

    def looked_up() -> bool:
        bring(stage, f"https://{other}:{port_of(secure)}", secure.key("sweden"))
        return outside.looked_up == [HOST, other]

    eventually(looked_up)


def test_req_2_5_a_name_that_changes_its_address(
    stage: Stage, secure: Handle, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time it is looked up anew, it is checked anew."""
    monkeypatch.setattr(brought, "KEPT_S", 0.0)
    stage.play(by_name(secure, "127.0.0.0/8"))
    outside.answers[HOST] = [["127.0.0.1"], [METADATA]]
    endpoint = f"https://{HOST}:{port_of(secure)}"
    assert bring(stage, endpoint, secure.key("sweden")).status == 200
    answer = bring(stage, endpoint, secure.key("sweden"))
    assert (answer.status, "not public" in answer.error["message"]) == (403, True)
    assert METADATA not in answer.body.decode()
    assert len(outside.connected) == 1


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], [METADATA], [PUBLIC, "10.0.0.1"], ["::ffff:127.0.0.1", PUBLIC], []]
)
def test_req_2_5_a_name_that_leads_inside(
    stage: Stage, secure: Handle, outside: Outside, found: list[str]
) -> None:
    """One address that is not public is enough; no connection is made."""
    stage.play(by_name(secure))
    outside.answers[HOST] = [found]
    answer = bring(stage, f"https://{HOST}:{port_of(secure)}", secure.key("sweden"))
    assert (answer.status, answer.error["code"]) == (403, "permission_denied")
    assert outside.connected == []


def test_a_name_that_nobody_has(stage: Stage, secure: Handle, outside: Outside) -> None:
    """503: it may be known later."""
    stage.play(by_name(secure))
    answer = bring(stage, f"https://{HOST}:{port_of(secure)}", secure.key("sweden"))
    assert (answer.status, answer.error["code"]) == (503, "no_upstream_available")
    assert outside.looked_up == [HOST]
    assert outside.connected == []


def test_a_certificate_for_another_name(stage: Stage, secure: Handle, outside: Outside) -> None:
    """Nothing is sent to whoever has the address but not the name."""
    other = "somebody-else.openai.azure.com"
    stage.play(by_name(secure, "127.0.0.0/8"))
    outside.answers[other] = [["127.0.0.1"]]
    answer = bring(stage, f"https://{other}:{port_of(secure)}", secure.key("sweden"))
    assert answer.status == 503
    assert secure.log() == []


def test_a_proxy_would_look_the_name_up_itself(stage: Stage, secure: Handle, outside: Outside) -> None:
    """So what is reached by one is refused, unless no_proxy names the host."""
    leads_to = {HOST: ("127.0.0.1", port_of(secure))}
    outside.answers[HOST] = [["127.0.0.1"]]
    with proxy_server(leads_to, password=False) as proxy:
        stage.play(by_name(secure, "127.0.0.0/8", proxy=proxy.url))
        answer = bring(stage, f"https://{HOST}:{port_of(secure)}", secure.key("sweden"))
        assert (answer.status, "by a proxy" in answer.error["message"]) == (403, True)
        assert outside.nothing
        stage.play(by_name(secure, "127.0.0.0/8", proxy=proxy.url, no_proxy=[HOST]))
        assert bring(stage, f"https://{HOST}:{port_of(secure)}", secure.key("sweden")).status == 200
        assert proxy.heads == []


def test_a_redirect_is_not_followed(stage: Stage, azure: Handle, outside: Outside) -> None:
    """The key goes nowhere else."""
    stage.play(settings(azure, f"127.0.0.1:{port_of(azure)}"))
    azure.fault("redirect", resource="sweden", to="east")
    answer = bring(stage, azure.url("sweden"), azure.key("sweden"))
    assert answer.status >= 400
    assert "location" not in answer.headers
    assert azure.log("east") == []
    assert set(outside.connected) == {("127.0.0.1", port_of(azure))}


def test_what_is_remembered_is_bounded(stage: Stage, azure: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many deployments and keys callers come with."""
    monkeypatch.setattr(brought, "MOST", 3)
    stage.play(settings(azure, f"127.0.0.1:{port_of(azure)}"))
    for number in range(8):
        bring(stage, azure.url("sweden"), f"guess-{number}", model=f"deployment-{number}")
    assert stage._current is not None
    known = stage._current.now.handle.__self__._brought._known  # type: ignore[attr-defined]
    assert [whose.deployment for whose in known] == [f"deployment-{number}" for number in (5, 6, 7)]
    assert azure.key("sweden") not in repr(known)
    assert "guess-7" not in repr(known)
