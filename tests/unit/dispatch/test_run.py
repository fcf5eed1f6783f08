import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from tests.unit.dispatch.fakes import Office, Time, make_engine

from smalt.auth.credentials import ApiKey
from smalt.auth.kept import Fixed
from smalt.core.call import Send, Wait
from smalt.core.limits import TRAVEL_S
from smalt.core.reactions import REACTIONS
from smalt.core.settings import RetrySpec, Throughput
from smalt.dispatch.dispatcher import CallStopped, OpenCall
from smalt.dispatch.heads import Credential, Heads
from smalt.dispatch.run import Answer, AsyncSender, SendFailed, judge, run, run_async
from smalt.errors import NoUpstreamAvailable, RateLimited, SmaltError, UpstreamTimeout
from smalt.types import CallRecord, Facts, FailureKind, Fate, Operation, Usage

BODY = b'{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":3}}'
REFUSED = b'{"error":{"code":"invalid_request_error","message":"no such parameter"}}'
THROTTLED = Answer[Any](429, [(b"retry-after-ms", b"2500")], b"{}")
Event = Answer[Any] | BaseException
Drive = Callable[[OpenCall, "Script"], Answer[Any]]


class Script:
    """A sender that plays events in order, for either loop. `asked`: the upstreams it was sent to."""

    def __init__(self, *events: Event) -> None:
        self.asked: list[str] = []
        self._events = list(events)

    def __call__(self, upstream: str, _call: OpenCall) -> Answer[Any]:
        self.asked.append(upstream)
        event = self._events.pop(0)
        if isinstance(event, BaseException):
            raise event
        return event


def drive_sync(call: OpenCall, script: Script) -> Answer[Any]:
    return run(call, script)


def sender(script: Script) -> AsyncSender[Any]:
    async def send(upstream: str, call: OpenCall) -> Answer[Any]:
        await asyncio.sleep(0)
        return script(upstream, call)

    return send


def drive_async(call: OpenCall, script: Script) -> Answer[Any]:
    return asyncio.run(run_async(call, sender(script)))


@pytest.fixture(params=[drive_sync, drive_async], ids=["sync", "async"])
def drive(request: pytest.FixtureRequest) -> Drive:
    chosen: Drive = request.param
    return chosen


def facts(*, max_tokens: int) -> Facts:
    return Facts(Operation.CHAT, "gpt-4o", max_tokens=max_tokens)


def ok(body: bytes = BODY) -> Answer[Any]:
    return Answer(200, [], body)


def told(records: Sequence[CallRecord]) -> CallRecord:
    (record,) = records
    return record


def test_an_answer_is_given_and_the_call_stays_open(drive: Drive) -> None:
    """It ends when the answer has reached the caller."""
    office = Office()
    call = office.open()
    answer = drive(call, Script(ok()))
    assert (answer.status, answer.body, answer.usage) == (200, BODY, Usage(10, 3))
    assert (office.records, office.in_flight) == ([], 1)
    call.finish(Usage(10, 3))
    assert told(office.records).error is None
    assert office.in_flight == 0


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.CALLER_LEFT])
def test_every_kind_of_failure_is_recorded_and_answered_elsewhere(drive: Drive, kind: FailureKind) -> None:
    """What a sender cannot bring is tried on the other upstream, unless the kind is final or a time-out."""
    office = Office(make_engine("east/a", "west/a", retry=RetrySpec(base_s=0, jitter_s=0)))
    script = Script(SendFailed(kind, "its words"), ok(), ok())
    call = office.open()
    if kind is FailureKind.TIMEOUT:
        with pytest.raises(UpstreamTimeout):
            drive(call, script)
    elif REACTIONS[kind].final or kind is FailureKind.CONTEXT:  # no window here is larger
        with pytest.raises(RuntimeError):  # a sender that judged an answer itself would lose it
            drive(call, script)
    else:
        assert drive(call, script).status == 200
        call.finish(Usage(10, 3))
    record = told(office.records)
    first = record.attempts[0]
    assert (first.upstream, first.failure and first.failure.kind) == ("east/a", kind)
    assert first.fate is REACTIONS[kind].fate
    assert office.in_flight == 0


def heads_of(*keys: str) -> Heads:
    def build(credential: Credential) -> bytes | None:
        header = credential.header(bearer=False)
        return None if header is None else header[1].encode()

    return Heads(build, *(ApiKey(Fixed(SecretStr(key))) for key in keys))


@pytest.mark.parametrize(
    ("keys", "kind", "asked"),
    [
        ("ab", FailureKind.KEY, ["east/a", "east/a"]),
        ("a", FailureKind.CREDENTIAL, ["east/a", "west/a"]),
    ],
    ids=["two", "one"],
)
def test_a_refused_key_turns_to_the_other(
    drive: Drive, keys: str, kind: FailureKind, asked: list[str]
) -> None:
    """The same upstream is asked again if there is one."""
    office = Office()
    call = office.open()
    script = Script(Answer(401, [], b"{}", head=heads_of(*keys).obtain(0.0)), ok())
    drive(call, script)
    assert script.asked == asked
    failure = call.attempts[0].failure
    assert failure is not None
    assert failure.kind is kind
    call.finish(Usage(10, 3))


def test_what_only_looks_like_a_refused_key_turns_nothing(drive: Drive) -> None:
    """A role that lacks is no key."""
    heads = heads_of("a", "b")
    denied = Answer[Any](401, [], b'{"error":{"code":"PermissionDenied"}}', head=heads.obtain(0.0))
    call = Office().open()
    drive(call, Script(denied, ok()))
    assert heads.obtain(0.0).data == b"a"
    call.finish(Usage(10, 3))


def test_both_loops_tell_the_same() -> None:
    """For one script the records differ in nothing but time."""

    def tell(drive: Drive) -> list[object]:
        office = Office(make_engine("east/a", "west/a", "north/a"))
        events: list[Event] = [
            SendFailed(FailureKind.CONNECT, "refused"),
            Answer(429, [(b"retry-after-ms", b"900")], b"{}"),
            ok(),
        ]
        call = office.open()
        drive(call, Script(*events))
        call.finish(Usage(10, 3))
        record = told(office.records)
        return [(a.upstream, a.number, a.fate, a.failure) for a in record.attempts] + [
            record.upstream,
            record.usage,
            record.error,
        ]

    assert tell(drive_sync) == tell(drive_async)


def test_a_refusal_is_relayed_as_it_came(drive: Drive) -> None:
    """What is wrong with the request is wrong everywhere; the upstream's own answer says so."""
    office = Office()
    script = Script(Answer(400, [(b"x-ms-region", b"East")], REFUSED))
    answer = drive(office.open(), script)
    assert (answer.status, answer.body) == (400, REFUSED)
    assert len(script.asked) == 1
    assert told(office.records).error == "request"
    assert office.in_flight == 0


@pytest.mark.parametrize(
    ("status", "code"),
    [(431, "invalid_request_error"), (413, "payload_too_large"), (405, "invalid_request_error")],
)
def test_a_refusal_nobody_can_read_gets_our_shape(drive: Drive, status: int, code: str) -> None:
    """A proxy's page says nothing to an SDK; its status stays."""
    page = Answer[Any](status, [(b"content-type", b"text/html"), (b"x-ms-region", b"East")], b"<h1>No</h1>")
    answer = drive(Office().open(), Script(page))
    error = msgspec.json.decode(answer.body)["error"]
    assert (answer.status, error["code"]) == (status, code)
    assert f"east/a refused the request: HTTP {status}" in error["message"]
    assert sorted(answer.headers) == [(b"content-type", b"application/json"), (b"x-ms-region", b"East")]


def test_a_repeated_credential_goes_no_further(drive: Drive) -> None:
    """Not to the caller, and not into the record that logs are written from."""
    key = b"k3y-of-the-resource"
    credential = ApiKey(Fixed(SecretStr(key.decode())))
    head = Heads(lambda _credential: b"host: x\r\napi-key: " + key + b"\r\n\r\n", credential).obtain(0.0)
    body = b'{"error":{"code":"x","message":"no: ' + key + b'"}}'
    office = Office()
    answer = drive(office.open(), Script(Answer(400, [(b"x-ms-echo", key)], body, head=head)))
    assert (answer.headers, answer.body) == (
        [(b"x-ms-echo", b"**********")],
        body.replace(key, b"**********"),
    )
    (attempt,) = office.records[0].attempts
    assert attempt.failure is not None
    assert attempt.failure.text == "no: **********"


def test_renamed_tools_are_called_by_the_callers_names(drive: Drive) -> None:
    """The names of the attempt that was answered are put back in its answer."""
    call = Office(make_engine("east/a", "west/a")).open()
    failed, answered = Answer[Any](503, [], b"{}"), ok(b'{"choices":[{"message":{"name":"a_b_1"}}]}')
    failed.renamed, answered.renamed = {b"a_b_1": b'"other"'}, {b"a_b_1": b'"a.b"'}
    assert drive(call, Script(failed, answered)).body == b'{"choices":[{"message":{"name":"a.b"}}]}'


def test_the_error_of_the_last_resort(drive: Drive) -> None:
    """When every attempt has failed, the error names them all, and the call is told once."""
    office = Office(make_engine("east/a", "west/a", retry=RetrySpec(max_attempts=2)))
    script = Script(SendFailed(FailureKind.CONNECT, "refused"), SendFailed(FailureKind.RESET, "cut"))
    with pytest.raises(NoUpstreamAvailable, match=r"east/a \(eastus\): refused; .*west/a \(eastus\): cut"):
        drive(office.open(), script)
    assert told(office.records).error == NoUpstreamAvailable.code
    assert office.in_flight == 0


def test_no_attempt_at_all(drive: Drive) -> None:
    """An upstream that rests longer than the caller waits is not asked."""
    office = Office(make_engine("east/a", retry=RetrySpec(max_attempts=1)))
    with pytest.raises(RateLimited):
        drive(office.open(total_s=0), Script(Answer(429, [(b"retry-after", b"30")], b"{}")))
    script = Script()
    with pytest.raises(RateLimited):
        drive(office.open(total_s=0), script)
    assert script.asked == []
    assert [record.attempts == () for record in office.records] == [False, True]


@pytest.mark.usefixtures("time")
class TestWaiting:
    """With nothing free a call waits in line, in a thread or in an event loop."""

    @pytest.fixture
    def time(self, monkeypatch: pytest.MonkeyPatch) -> Time:
        return Time(monkeypatch)

    @pytest.fixture(params=["sync", "async"])
    def drive(self, request: pytest.FixtureRequest, time: Time) -> Drive:
        if request.param == "sync":
            return drive_sync

        def drive(call: OpenCall, script: Script) -> Answer[Any]:
            with asyncio.Runner(loop_factory=time.loop) as runner:
                return runner.run(run_async(call, sender(script)))

        return drive

    def test_waiting_takes_as_long_as_it_must(self, drive: Drive, time: Time) -> None:
        """Until the upstream takes calls again, and no longer."""
        office = Office(make_engine("east/a"))
        assert drive(office.open(), Script(THROTTLED, ok())).status == 200
        assert time.waited == [2.5]
        assert office.waiting == 0

    def test_what_ends_wakes_who_waits(self, drive: Drive, time: Time) -> None:
        """An answer of few tokens leaves room in the bucket of a provisioned deployment: at once."""
        office = Office(make_engine("east/a", throughput=Throughput(60, 1.0)))
        other = office.answered(facts(max_tokens=300))
        time.meanwhile = [lambda: other.finish(Usage(1, 1))]
        assert drive(office.open(facts(max_tokens=1)), Script(ok())).status == 200
        assert time.waited == []

    def test_a_caller_who_leaves_wakes_who_waits(self, drive: Drive, time: Time) -> None:
        """The next in line does not wait for the time at which that one would have gone."""
        office = Office(make_engine("east/a", limit_rpm=60))
        office.answered()
        ahead = office.open()
        assert isinstance(ahead.next(), Wait)
        time.meanwhile = [ahead.abandon]
        assert drive(office.open(), Script(ok())).status == 200
        assert sum(time.waited) == pytest.approx(1 + TRAVEL_S)

    def test_woken_before_it_waits(self, drive: Drive, time: Time) -> None:
        """What happens between the decision to wait and the wait is not missed."""
        office = Office(make_engine("east/a"))
        call = office.open()
        call._wake()
        assert drive(call, Script(THROTTLED, ok())).status == 200
        assert time.waited == [2.5]  # it was asked once more, and waited for the rest

    def test_woken_too_early(self, drive: Drive, time: Time) -> None:
        """Being woken is no promise: who finds nothing free waits on."""
        office = Office(make_engine("east/a"))
        call = office.open()
        time.meanwhile = [call._wake] * 3
        assert drive(call, Script(THROTTLED, ok())).status == 200
        assert (time.waited, time.meanwhile) == ([2.5], [])

    def test_stopped_while_it_waits(self, time: Time) -> None:
        """It gives back its place in the line, and nothing is sent any more."""
        office = Office(make_engine("east/a", limit_rpm=60))
        office.answered()
        call, script = office.open(), Script()
        time.meanwhile = [call.stop]
        with pytest.raises(CallStopped):
            run(call, script)
        assert (script.asked, time.waited, office.waiting) == ([], [], 0)
        assert told(office.records).error == "abandoned"

    def test_no_longer_than_the_caller_waits(self, drive: Drive, time: Time) -> None:
        """Who is behind others cannot know when its turn comes; it gives up when its time is over."""
        office = Office(make_engine("east/a", limit_rpm=60))
        office.answered()
        ahead = office.open()
        ahead.next()
        with pytest.raises(RateLimited):
            drive(office.open(total_s=2), Script())
        assert sum(time.waited) == pytest.approx(2)
        assert office.waiting == 1

    def test_who_finds_the_line_stuck_gets_it_moving(self, time: Time) -> None:
        """Whoever was first when its event loop was closed holds up nobody: the next call wakes it."""
        office = Office(make_engine("east/a", limit_rpm=60))
        office.answered()
        loop = time.loop()
        lost = loop.create_task(run_async(office.open(), sender(Script())))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        behind = office.open()
        assert isinstance(behind.next(), Wait)
        time.now += 2
        latest = office.open()
        assert isinstance(latest.next(), Wait)
        assert behind.woken
        assert isinstance(behind.next(), Send)
        assert office.waiting == 1
        forget(lost)


async def test_leaving_at_the_moment_of_being_woken() -> None:
    """Who is cancelled is not sent, whatever else happens at the same time."""
    office = Office(make_engine("east/a"))
    call, script = office.open(), Script(THROTTLED, ok())
    task = asyncio.ensure_future(run_async(call, sender(script)))
    for _ in range(4):
        await asyncio.sleep(0)
    assert office.waiting == 1
    call._wake()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (script.asked, office.waiting) == (["east/a"], 0)


def forget(lost: "asyncio.Task[Any]") -> None:
    """What the garbage collector does with a task whose loop was closed, without the warning."""
    lost.get_coro().close()
    lost._log_destroy_pending = False  # type: ignore[attr-defined]


def test_waking_after_the_loop_was_closed() -> None:
    """Nobody drives that call any more: it leaves the line, and the next one is woken in its place."""
    office = Office(make_engine("east/a", throughput=Throughput(60, 1.0)))
    other = office.answered(facts(max_tokens=300))
    loop = asyncio.new_event_loop()
    lost = loop.create_task(run_async(office.open(), sender(Script())))
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    behind = office.open()
    assert isinstance(behind.next(), Wait)
    assert office.waiting == 2
    other.finish(Usage(1, 1))
    assert (behind.woken, office.waiting) == (True, 1)
    assert isinstance(behind.next(), Send)
    forget(lost)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), ZeroDivisionError(), SmaltError("x"), asyncio.CancelledError()]
)
def test_a_sender_that_breaks_leaves_nothing_behind(drive: Drive, error: BaseException) -> None:
    """Whatever it raises goes on; the attempt counts as sent, with its end unknown."""
    office = Office()
    with pytest.raises(type(error)):
        drive(office.open(), Script(error))
    record = told(office.records)
    assert record.error == "abandoned"
    assert [(a.fate, a.failure and a.failure.kind) for a in record.attempts] == [
        (Fate.UNKNOWN, FailureKind.CALLER_LEFT)
    ]
    assert office.in_flight == 0


@pytest.mark.parametrize("waiting", ["send", "wait"])
async def test_cancelling_abandons(waiting: str) -> None:
    """A caller who leaves, while sending or while waiting its turn, leaves nothing in flight."""
    office = Office(make_engine("east/a"))

    async def send(_upstream: str, _call: OpenCall) -> Answer[Any]:
        if waiting == "send":
            await asyncio.get_running_loop().create_future()
        return Answer(429, [(b"retry-after", b"30")], b"{}")

    task = asyncio.ensure_future(run_async(office.open(), send))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told(office.records).error == "abandoned"
    assert office.in_flight == 0


def test_a_truncated_answer_fails_over(drive: Drive) -> None:
    """Half a JSON object is no answer."""
    office = Office()
    script = Script(ok(BODY[:-5]), ok())
    assert drive(office.open(), script).body == BODY
    assert len(script.asked) == 2


@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"\xff", b"{" * 100_000, b"<html>"])
def test_a_success_must_be_a_json_object(body: bytes) -> None:
    """Anything else is what some proxy made of it."""
    failure = judge(ok(body))
    assert failure is not None
    assert (failure.kind, failure.status) == (FailureKind.TRUNCATED, 200)


def test_a_stream_is_judged_by_its_head() -> None:
    """Its body is still to come."""
    assert judge(Answer(200, [], stream=object())) is None


def test_an_error_is_judged_by_everything_it_says() -> None:
    """Status, headers and body decide together."""
    failure = judge(Answer(429, [(b"retry-after-ms", b"1500"), (b"x-odd", b"\xff")], b"{}"))
    assert failure is not None
    assert (failure.kind, failure.wait_s) == (FailureKind.QUOTA, 1.5)
