import asyncio
import logging
from collections.abc import Mapping
from itertools import pairwise
from types import SimpleNamespace
from typing import Literal

import pytest
from pydantic import SecretStr
from tests.unit.dispatch.fakes import Office, Time, Wired, make_engine
from tests.unit.dispatch.test_upstreams import http

from smalt.auth.credentials import ApiKey
from smalt.auth.kept import Fixed
from smalt.dispatch import probing as module
from smalt.dispatch.connections import Connections, Response
from smalt.dispatch.probing import Probed, Silence, probing
from smalt.dispatch.run import SendFailed
from smalt.dispatch.target import Origin, Target
from smalt.types import FailureKind, NoticeKind

Api = Literal["classic", "v1", "openai"]
NEVER = -float("inf")
EVERY_S = 30.0
LIST = http(b'{"data":[]}')
REFUSED = SendFailed(FailureKind.CONNECT, "cannot connect to east: connection refused")
STALE = SendFailed(FailureKind.STALE, "the kept-alive connection was closed")


def answered(status: str, body: bytes = b"") -> bytes:
    return http(body, status=status.encode())


def too_long(silence: Silence, now: float, heard_s: Mapping[str, float], unit: float = 0.0) -> list[str]:
    return list(silence.too_long(heard_s, EVERY_S, now, lambda: unit))


def test_a_silent_resource_is_asked_in_each_interval() -> None:
    """Never later than that, whatever chance says."""
    for unit in (0.0, 0.5, 0.999):
        silence = Silence()
        asked = [now for now in range(300) if too_long(silence, now, {"east": NEVER}, unit)]
        assert asked[0] <= EVERY_S
        assert all(15 < later - earlier <= EVERY_S for earlier, later in pairwise(asked))


def test_a_resource_that_answers_calls_is_not_asked() -> None:
    """A call says more than a probe; once it is silent for an interval it is asked."""
    silence = Silence()
    assert not any(too_long(silence, now, {"east": now - 1}) for now in range(300))
    asked = [now for now in range(300, 400) if too_long(silence, now, {"east": 299})]
    assert 299 + 15 < asked[0] <= 299 + EVERY_S


def test_each_resource_is_asked_by_itself() -> None:
    """One that is gone from the settings is forgotten, and begins anew."""
    silence = Silence()
    heard = {"east": NEVER, "west": 99.0}
    too_long(silence, 0, heard)
    assert too_long(silence, 100, heard) == ["east"]
    too_long(silence, 101, {"west": 99.0})
    assert too_long(silence, 200, {"east": NEVER}) == []


class Resource:
    """A fleet of one resource in virtual time. `answers`: to its probes, one after the other; the last one
    again and again. `keys`: its credentials. `asked_s`: when they came, `written`: what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *keys: str, every_s: float = EVERY_S) -> None:
        self.time = Time(monkeypatch)
        self.answers: list[bytes | SendFailed] = [LIST]
        self.asked_s: list[float] = []
        self.written: list[bytes] = []
        self.office = Office(make_engine("east/a east/b west/a"))
        self.every_s = every_s
        self._keys = [ApiKey(Fixed(SecretStr(key))) for key in keys or ("k3y-of-east",)]
        self.use("classic")
        clock = SimpleNamespace(monotonic=lambda: self.time.now)
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(Connections, "send", staticmethod(self._send))

    def use(self, api: Api) -> None:
        target = Target(Origin("east", 443, tls=True), tuple(self._keys), api, "2024-10-21")
        self.probed = Probed(self.office.dispatcher, {"east": target}, 5.0, self.every_s)

    async def _send(
        self, _origin: Origin, head: bytes, body: bytes, *, connect_s: float, limit_s: float
    ) -> Response:
        assert (connect_s, limit_s, body) == (5.0, 5.0 + min(10.0, self.every_s), b"")
        self.asked_s.append(self.time.now)
        self.written.append(head)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, SendFailed):
            raise answer
        wired = Wired()
        response = wired.connection.request(head, body)
        wired.receive(answer)
        await response.head()
        return response

    def run(self, seconds: float, *then: bytes | SendFailed) -> None:
        """Let that time pass; and as much again, with these answers, if there are any."""

        async def meanwhile() -> None:
            async with probing(Connections(), lambda: self.probed):
                await asyncio.sleep(seconds)
                if then:
                    self.answers = list(then)
                    await asyncio.sleep(seconds)

        with asyncio.Runner(loop_factory=self.time.loop) as runner:
            runner.run(meanwhile())

    @property
    def states(self) -> dict[str, tuple[str, str | None]]:
        return {status.name: (status.state, status.reason) for status in self.office.dispatcher.status()}

    def is_avoided(self) -> bool:
        return self.states["east/a"][0] == "flagged"


@pytest.fixture
def east(monkeypatch: pytest.MonkeyPatch) -> Resource:
    return Resource(monkeypatch)


def test_a_probe_as_it_is_written(east: Resource) -> None:
    """The list of models, with the resource's own credential."""
    east.run(EVERY_S)
    first, *rest = east.written[0].split(b"\r\n")
    assert first == b"GET /openai/models?api-version=2024-10-21 HTTP/1.1"
    assert b"api-key: k3y-of-east" in rest


def test_a_resource_that_cannot_be_reached_is_avoided_within_an_interval(east: Resource) -> None:
    """All its upstreams, and nobody else's; and it is back within another one."""
    east.answers = [REFUSED]
    east.run(EVERY_S)
    assert east.states == {
        "east/a": ("flagged", str(REFUSED)),
        "east/b": ("flagged", str(REFUSED)),
        "west/a": ("available", None),
    }
    east.run(20 * EVERY_S)
    assert east.is_avoided()
    assert [notice.kind for notice in east.office.notices] == [NoticeKind.PROBE_FAILED]
    east.run(EVERY_S, LIST)
    assert not east.is_avoided()
    assert east.office.notices[-1].kind is NoticeKind.PROBE_ANSWERED


def test_a_flag_ends_when_nobody_probes_any_more(east: Resource) -> None:
    """The settings were changed."""
    east.answers = [REFUSED]
    east.run(EVERY_S)
    east.every_s = 0
    east.use("classic")
    asked = len(east.asked_s)
    east.run(4 * EVERY_S)
    assert len(east.asked_s) == asked
    assert not east.is_avoided()


def test_calls_that_are_answered_spare_the_probe(east: Resource) -> None:
    """A resource at work is not asked at all."""

    async def calls() -> None:
        async with probing(Connections(), lambda: east.probed):
            for _ in range(100):
                await asyncio.sleep(EVERY_S / 10)
                east.office.answered().abandon()

    with asyncio.Runner(loop_factory=east.time.loop) as runner:
        runner.run(calls())
    assert len(east.asked_s) <= 1  # before the first call


NO_ROLE = b'{"error":{"code":"PermissionDenied","message":"The principal lacks the required data action"}}'
NO_SCOPE = b'{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: x"}}'
WRONG_KEY = b'{"error":{"code":"401","message":"Access denied due to invalid subscription key k3y-of-east"}}'
WRONG_TENANT = b'{"error":{"code":"BadRequest","message":"Token tenant does not match resource tenant."}}'
FIREWALL = b'{"error":{"code":"403","message":"Access denied due to Virtual Network/Firewall rules."}}'


@pytest.mark.parametrize("api", ["classic", "v1", "openai"])
@pytest.mark.parametrize(
    "answer",
    [
        LIST,
        answered("404 Not Found"),
        answered("405 Method Not Allowed"),
        answered("429 Too Many Requests"),
        answered("400 Bad Request", b"what?"),
        answered("302 Found"),
        answered("501 Not Implemented"),
        answered("401 Unauthorized", NO_ROLE),
        answered("403 Forbidden", NO_SCOPE),
        http(b"x" * 2_000_000),
    ],
    ids=lambda answer: answer.split(b"\r\n")[0].decode(),
)
def test_who_speaks_is_there(east: Resource, answer: bytes, api: Api) -> None:
    """Although the path is not known, the quota is spent, or models may not be listed."""
    east.use(api)
    east.answers = [answer]
    east.run(2 * EVERY_S)
    assert east.asked_s
    assert not east.is_avoided()


@pytest.mark.parametrize(
    "answer",
    [
        answered("500 Internal Server Error"),
        answered("503 Service Unavailable"),
        answered("401 Unauthorized", WRONG_KEY),
        answered("403 Forbidden", FIREWALL),
        answered("400 Bad Request", WRONG_TENANT),
    ],
    ids=lambda answer: answer.split(b"\r\n")[0].decode(),
)
def test_who_would_refuse_calls_is_avoided(east: Resource, answer: bytes) -> None:
    """What it said is not repeated: some servers show the key they refuse."""
    east.answers = [answer]
    east.run(EVERY_S)
    status = answer.split()[1].decode()
    assert east.states["east/a"] == ("flagged", f"GET /openai/models on east:443 was answered by {status}")


def test_another_server_may_hide_its_models(east: Resource) -> None:
    """Only a key that is not known counts there: what stands before such servers may let no such path in."""
    east.use("openai")
    east.answers = [answered("403 Forbidden", FIREWALL)]
    east.run(EVERY_S)
    assert not east.is_avoided()
    east.answers = [answered("401 Unauthorized")]
    east.run(EVERY_S)
    assert east.is_avoided()


def test_a_stale_connection_is_no_trouble(east: Resource) -> None:
    """It was closed while nobody asked; the same question goes again at once."""
    east.answers = [STALE, LIST]
    east.run(EVERY_S)
    assert east.asked_s[0] == east.asked_s[1]
    assert not east.is_avoided()


def test_a_refused_key_turns_to_the_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a call would: later calls carry the second key, too."""
    east = Resource(monkeypatch, "first-key", "second-key")
    east.answers = [answered("401 Unauthorized", WRONG_KEY), LIST]
    east.run(EVERY_S)
    assert b"api-key: first-key" in east.written[0]
    assert b"api-key: second-key" in east.written[1]
    assert not east.is_avoided()
    assert b"second-key" in east.probed.targets["east"].heads.obtain(0).data


def test_both_keys_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is nothing to call with."""
    east = Resource(monkeypatch, "first-key", "second-key")
    east.answers = [answered("401 Unauthorized", WRONG_KEY)]
    east.run(EVERY_S)
    assert east.is_avoided()


def test_one_probe_at_a_time(east: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the answer takes."""
    under_way: list[int] = [0, 0]

    async def slow(*_args: object, **_limits: float) -> Response:
        under_way[0] += 1
        under_way[1] = max(under_way)
        try:
            await asyncio.sleep(3 * EVERY_S)
        finally:
            under_way[0] -= 1
        raise REFUSED

    monkeypatch.setattr(Connections, "send", staticmethod(slow))
    east.run(10 * EVERY_S)
    assert under_way == [0, 1]


def test_a_fault_of_ours_ends_one_probe(
    east: Resource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next one is made."""
    make, faults = east._send, [ValueError("a fault")]

    async def faulty(origin: Origin, head: bytes, body: bytes, **limits: float) -> Response:
        if faults:
            raise faults.pop()
        return await make(origin, head, body, **limits)

    monkeypatch.setattr(Connections, "send", staticmethod(faulty))
    with caplog.at_level(logging.ERROR, "smalt.probes"):
        east.run(3 * EVERY_S)
    assert [record.getMessage() for record in caplog.records] == ["east: the probe failed inside"]
    assert east.asked_s
