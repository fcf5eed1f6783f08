import threading
from decimal import Decimal

import pytest
from tests.unit.dispatch.fakes import Office, make_engine, make_facts

from smalt.core.call import Fail, Relay, Send, Wait
from smalt.core.engine import Engine
from smalt.core.settings import BreakerSpec, EngineSettings, RetrySpec, Throughput, UpstreamSpec
from smalt.dispatch.dispatcher import CallStopped, Circumstances, Dispatcher
from smalt.errors import InvalidRequest, ModelNotAvailableError, QueueFull
from smalt.types import (
    AttemptRecord,
    CallRecord,
    Facts,
    Failure,
    FailureKind,
    Notice,
    NoticeKind,
    Operation,
    QuotaHints,
    Usage,
)
from smalt.wire.models import TokenPrice

QUOTA = Failure(FailureKind.QUOTA, "full", 429, wait_s=30)
REFUSED = Failure(FailureKind.REQUEST, "no such parameter", 400)
GREEDY = Facts(Operation.CHAT, "gpt-4o", max_tokens=300)
MODEST = Facts(Operation.CHAT, "gpt-4o", max_tokens=1)


def test_a_finished_call_is_told_once_with_everything() -> None:
    """Who answered, what it took, what it cost."""
    office = Office()
    call = office.answered()
    call.finish(Usage(1_000, 100))
    (record,) = office.records
    assert (record.request_id, record.operation, record.model) == ("id-1", Operation.CHAT, "gpt-4o")
    assert (record.upstream, record.usage, record.estimated) == ("east/a", Usage(1_000, 100), False)
    assert record.cost_nusd == call.cost_nusd(Usage(1_000, 100))
    assert record.cost_nusd is not None
    assert record.error is None
    assert record.duration_s >= 0
    assert call.upstream is not None
    assert call.upstream.region == "eastus"


def test_later_ends_do_nothing() -> None:
    """The first end counts, in any order of the others."""
    for first in ("finish", "abandon"):
        office = Office()
        call = office.answered()
        if first == "finish":
            call.finish(Usage(7))
        call.abandon(Usage(8))
        call.finish(Usage(9))
        call.abandon()
        (record,) = office.records
        assert record.usage == Usage(7 if first == "finish" else 8)
        assert office.in_flight == 0


def test_a_call_that_failed_is_told_by_its_last_step() -> None:
    """The driver has nothing more to do; its abandoning changes nothing."""
    office = Office(make_engine("east/a", retry=RetrySpec(max_attempts=1)))
    call = office.open(total_s=0)
    assert isinstance(call.next(), Send)
    call.record(QUOTA)
    step = call.next()
    assert isinstance(step, Fail)
    call.abandon()
    (record,) = office.records
    assert (record.upstream, record.error, record.usage) == (None, step.error.code, None)
    assert call.upstream is None
    assert office.in_flight == 0


def test_a_refused_request_is_told_when_it_is_relayed() -> None:
    """The upstream's own error is the answer."""
    office = Office()
    call = office.open()
    call.next()
    call.record(REFUSED)
    assert isinstance(call.next(), Relay)
    (record,) = office.records
    assert (record.upstream, record.error) == ("east/a", "request")


def test_an_answer_that_broke_off_is_told_with_its_error() -> None:
    """It was answered, and the caller did not get all of it."""
    office = Office()
    office.answered().finish(Usage(5), estimated=True, error="stream_interrupted")
    (record,) = office.records
    assert (record.upstream, record.error, record.estimated) == ("east/a", "stream_interrupted", True)


@pytest.mark.parametrize("sent", [True, False])
def test_a_caller_who_leaves(sent: bool) -> None:
    """Before or after sending: told once, and nothing stays in flight."""
    office = Office()
    call = office.open()
    if sent:
        call.next()
    call.abandon()
    (record,) = office.records
    assert (record.error, len(record.attempts), record.usage) == ("abandoned", int(sent), None)
    assert office.in_flight == 0


def test_an_unknown_price_is_no_price() -> None:
    """Nothing is guessed before somebody answered, or for a model without a price."""
    office = Office()
    assert office.open().cost_nusd(Usage(1)) is None


PRICED_AS = [  # deployment, its model, SKU, tier of the answer: nano-USD for one input token
    ("east/d", "gpt-4o", None, None, 2_500),
    ("east/d", "gpt-4o", "DataZoneStandard", None, 2_750),
    ("east/d", "gpt-4o", "ProvisionedManaged", None, 0),
    ("east/d", "gpt-5.5", "GlobalStandard", "priority", 12_500),
    ("east/d", "gpt-4o", None, "priority", None),
    ("east/gpt-4o-prod", "gpt-4o-prod", None, None, 2_500),
    ("east/gpt-4o-audio", "gpt-4o-audio", None, None, None),
    ("east/gpt-4o-prod", "gpt-9", None, None, None),
    ("east/d", "our-model", None, None, 1_000),
    ("east/gpt-4.1-dev", "gpt-4.1-dev", None, None, 3_000),
]


@pytest.mark.parametrize(("upstream", "model", "sku", "tier", "nusd"), PRICED_AS)
def test_what_a_call_costs_on_an_upstream(
    upstream: str, model: str, sku: str | None, tier: str | None, nusd: int | None
) -> None:
    """By model, SKU, region and tier; the name of a deployment counts only where no model is named; own
    prices win."""
    spec = UpstreamSpec(upstream, model, region="eastus", sku=sku)
    own = {name: TokenPrice(Decimal(usd), Decimal(0)) for name, usd in (("our-model", 1), ("gpt-4.1", 3))}
    dispatcher = Dispatcher(Engine(EngineSettings({upstream: spec}, {})), own_prices=own)
    assert dispatcher.cost_nusd(spec, Usage(1, service_tier=tier)) == nusd


def test_every_sink_is_told_outside_the_lock() -> None:
    """A sink may look at the dispatcher."""
    office = Office()

    def look(_record: CallRecord) -> None:
        seen.append(office.dispatcher.status()[0].in_flight)

    seen: list[int] = []
    office.dispatcher._sinks += (look,)
    office.answered().finish(Usage(1))
    assert (seen, len(office.records)) == ([0], 1)


def test_two_threads_end_a_call_once() -> None:
    """One closes what another has just read to the end."""
    office = Office()
    for _ in range(200):
        call = office.answered()
        together = threading.Barrier(2)

        def finish(call: object = call, together: threading.Barrier = together) -> None:
            together.wait()
            call.finish(Usage(1))  # type: ignore[attr-defined]

        thread = threading.Thread(target=finish)
        thread.start()
        together.wait()
        call.abandon()
        thread.join()
    assert len(office.records) == 200
    assert office.in_flight == 0


def test_what_a_dispatcher_knows() -> None:
    """Models, upstreams and which of them rest."""
    office = Office(make_engine("east/a"))
    assert office.dispatcher.models == ("gpt-4o",)
    call = office.open()
    call.next()
    call.record(QUOTA)
    call.abandon()
    (status,) = office.dispatcher.status()
    assert (status.name, status.region, status.state, status.available) == (
        "east/a",
        "eastus",
        "cooling",
        False,
    )
    assert office.dispatcher.unavailable_models() == ("gpt-4o",)


def test_what_an_answer_tells_of_the_quota_counts() -> None:
    """Its headers correct what is known of the windows."""
    office = Office(make_engine("east/a", limit_tpm=1_000))
    call = office.open()
    call.next()
    call.record(None, QuotaHints(limit_tokens=1_000, remaining_tokens=250))
    (status,) = office.dispatcher.status()
    assert [(window.counts, window.spent) for window in status.windows] == [("tokens", 750)]


def test_a_minute_that_only_azure_knows_to_be_nearly_spent_is_told_once() -> None:
    """Who else uses the deployment is seen in the headers alone; a refusal in that minute adds nothing."""
    office = Office(make_engine("east/a"))
    hints = QuotaHints(limit_tokens=1_000, remaining_tokens=150)
    calls = [office.open() for _ in range(3)]
    for call in calls:
        call.next()
    calls[0].record(None, hints)
    calls[1].record(QUOTA, hints)
    calls[2].record(None, hints)
    (notice,) = office.notices
    assert notice.kind is NoticeKind.QUOTA_NEARLY_SPENT
    assert notice.data["quota"] == 1_000
    assert notice.data["usage_pct"] >= 80


def test_what_a_call_knows_of_itself() -> None:
    """The estimate of its prompt, and why it went where it went."""
    call = Office().answered(make_facts())
    assert call.prompt_tokens == 84
    (decision,) = call.explain()
    assert (decision.chosen, decision.obstacles) == ("east/a", {"east/a": None, "west/a": None})


def test_an_unknown_model_opens_no_call() -> None:
    """Nothing is recorded for it either."""
    office = Office()
    with pytest.raises(ModelNotAvailableError):
        office.open(Facts(Operation.CHAT, "gpt-9"))
    assert office.records == []


def test_a_need_that_nobody_meets_opens_no_call() -> None:
    """The refusal says what is missing."""
    office = Office(make_engine("east/a", abilities=frozenset({"tools"})))
    with pytest.raises(InvalidRequest, match="vision"):
        office.open(Facts(Operation.CHAT, "gpt-4o", needs=frozenset({"vision"})))
    assert office.records == []


def test_every_notice_sink_is_told_outside_the_lock() -> None:
    """Once for each event of an upstream, by whichever call brought it about."""
    office = Office(make_engine("east/a", breaker=BreakerSpec(failures=1)))
    seen: list[str] = []

    def look(_notice: Notice) -> None:
        seen.append(office.dispatcher.status()[0].state)

    office.dispatcher._notice_sinks += (look,)
    call = office.open()
    call.next()
    call.record(Failure(FailureKind.SERVER, "boom", 500))
    call.next()
    assert [(notice.kind, notice.upstream) for notice in office.notices] == [
        (NoticeKind.BREAKER_OPENED, "east/a")
    ]
    assert seen == ["open"]


class TestLine:
    """Calls that wait, and who wakes them."""

    @pytest.fixture
    def office(self) -> Office:
        """One deployment whose bucket the first call has filled."""
        return Office(make_engine("east/a", throughput=Throughput(60, 1.0), max_waiting=3))

    def test_a_wake_is_told_outside_the_lock(self, office: Office) -> None:
        """Who is woken may ask at once."""
        steps: list[object] = []
        filling = office.answered(GREEDY)
        waiting = office.open(MODEST)
        assert isinstance(waiting.next(), Wait)
        waiting.on_wake = lambda: steps.append(waiting.next())
        filling.finish(Usage(1, 1))
        assert steps == [Send("east/a", 1, 5)]
        assert waiting.woken

    def test_callers_take_turns(self, office: Office) -> None:
        """The first call of one caller is level with the first of another, however many he has waiting."""
        filling = office.answered(GREEDY)
        calls = [office.open(MODEST, caller=caller) for caller in ("a", "a", "b")]
        assert all(isinstance(call.next(), Wait) for call in calls)
        filling.finish(Usage(1, 1))
        assert [call.woken for call in calls] == [True, False, False]
        assert isinstance(calls[0].next(), Send)
        assert [call.woken for call in calls] == [True, False, True]

    def test_the_line_is_bounded(self, office: Office) -> None:
        """One more than may wait is refused at once, and told as such."""
        office.answered(GREEDY)
        for _ in range(3):
            assert isinstance(office.open(MODEST).next(), Wait)
        step = office.open(MODEST).next()
        assert isinstance(step, Fail)
        assert isinstance(step.error, QueueFull)
        assert [record.error for record in office.records] == ["queue_full"]
        assert office.waiting == 3

    def test_a_place_in_the_line_is_given_back(self, office: Office) -> None:
        """A caller who leaves makes room, and those behind go on as before."""
        filling = office.answered(GREEDY)
        calls = [office.open(MODEST) for _ in range(3)]
        for call in calls:
            call.next()
        calls[0].abandon()
        assert isinstance(office.open(MODEST).next(), Wait)
        filling.finish(Usage(1, 1))
        assert [call.woken for call in calls] == [False, True, False]


class TestStopping:
    """Another thread may say that a call is not wanted any more."""

    def test_before_it_is_sent(self) -> None:
        """Nothing happens."""
        call = Office().open()
        call.stop()
        with pytest.raises(CallStopped):
            call.next()

    def test_an_answer_that_is_on_its_way_is_taken(self) -> None:
        """It is billed in any case."""
        office = Office()
        call = office.open()
        call.next()
        call.stop()
        call.record(None)
        assert isinstance(call.next(), Relay)
        call.finish(Usage(10))
        (record,) = office.records
        assert (record.usage, record.error) == (Usage(10), None)

    def test_a_failed_attempt_is_the_last(self) -> None:
        """What failed is not repeated."""
        office = Office()
        call = office.open()
        call.next()
        call.stop()
        call.record(QUOTA)
        with pytest.raises(CallStopped):
            call.next()
        call.abandon()
        assert [attempt.failure for attempt in call.attempts] == [QUOTA]
        assert office.in_flight == 0


def test_a_wait_after_a_failed_attempt_is_told() -> None:
    """Once, before it begins, with the attempt and the seconds; one for a turn in the line is not."""
    told: list[tuple[AttemptRecord, float]] = []
    waits = Circumstances(on_wait=lambda attempt, wait_s: told.append((attempt, wait_s)))
    office = Office(make_engine("east/a"))
    first, second = (
        office.dispatcher.open(make_facts(), name, total_s=60, circumstances=waits) for name in ("a", "b")
    )
    assert isinstance(first.next(), Send)
    first.record(QUOTA)
    assert isinstance(first.next(), Wait)
    assert isinstance(first.next(), Wait)
    ((attempt, wait_s),) = told
    assert (attempt.number, attempt.failure) == (1, QUOTA)
    assert 29 < wait_s <= 30
    assert isinstance(second.next(), Wait)
    assert len(told) == 1
    first.abandon()
    second.abandon()


def test_changes_made_before_the_call_stand_first() -> None:
    """The record tells them with those of the attempt that was answered."""
    office = Office()
    before = Circumstances(rewrites=("temperature",))
    call = office.dispatcher.open(make_facts(), "id-1", total_s=1, circumstances=before)
    call.next()
    call.rewrites = ("model",)
    call.record(None)
    call.finish(Usage(1))
    assert office.records[0].rewrites == ("temperature", "model")


def test_calls_of_a_dispatcher_apart() -> None:
    """They are told to the same sinks, at list prices, and share nothing else: no lock, no response that is
    remembered."""
    records: list[CallRecord] = []
    own = {"gpt-4o": TokenPrice(Decimal(1_000), Decimal(1_000))}
    dispatcher = Dispatcher(make_engine("east/a"), (records.append,), own_prices=own)
    spec = UpstreamSpec("brought:contoso/gpt-4o", "gpt-4o")
    apart = dispatcher.apart(spec)
    call = apart.open(Facts(Operation.RESPONSES, "gpt-4o"), "id-1", total_s=5)
    assert isinstance(call.next(), Send)
    call.record(None)
    call.keeps("resp_1")
    call.finish(Usage(1_000_000))
    (record,) = records
    assert record.upstream == "brought:contoso/gpt-4o"
    assert record.cost_nusd == 2_500_000_000
    assert dispatcher.origins.of("resp_1") is None
    assert apart.origins.of("resp_1") is None
    assert apart.lock is not dispatcher.lock
