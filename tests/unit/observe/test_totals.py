import threading
from itertools import count

import pytest
from msgspec.structs import replace

from smalt.observe import totals as totals_module
from smalt.observe.ptu import Provisioned
from smalt.observe.totals import OTHERS, Sums, Totals
from smalt.types import AttemptRecord, CallRecord, Failure, FailureKind, Fate, Operation, Usage
from smalt.wire.models import Throughput

ANSWERED = AttemptRecord("east/a", "eastus", 1, 5, Fate.BILLED, None, 0.1)
REFUSED = AttemptRecord("west/a", "westus", 1, 5, Fate.FREE, Failure(FailureKind.QUOTA, "full", 429), 0.1)
CALL = CallRecord(
    "id-1", Operation.CHAT, "gpt-4o", "east/a", attempts=(ANSWERED,), usage=Usage(100, 20), cost_nusd=450
)


def test_calls_add_up_by_upstream_and_by_model() -> None:
    """Tokens and money of every answered call, on both sides."""
    totals = Totals()
    for _ in range(3):
        totals(CALL)
    expected = Sums(calls=3, attempts=3, input_tokens=300, output_tokens=60, cost_nusd=1_350)
    assert totals.sums("upstream") == {"east/a": expected}
    assert totals.sums("model") == {"gpt-4o": expected}
    assert totals.errors == 0


def test_a_failover_counts_where_each_attempt_went() -> None:
    """The upstream that refused has the failed attempt, the other one the call."""
    totals = Totals()
    totals(replace(CALL, attempts=(REFUSED, replace(ANSWERED, number=2))))
    assert totals.sums("upstream")["west/a"] == Sums(attempts=1, failed_attempts=1)
    assert totals.sums("upstream")["east/a"].calls == 1
    assert (totals.sums("model")["gpt-4o"].attempts, totals.sums("model")["gpt-4o"].failed_attempts) == (2, 1)


def test_a_call_that_failed_is_an_error_and_no_call() -> None:
    """Nobody answered: no tokens, no money."""
    totals = Totals()
    totals(replace(CALL, upstream=None, attempts=(REFUSED,), usage=None, cost_nusd=None, error="x"))
    assert totals.errors == 1
    assert totals.sums("model") == {"gpt-4o": Sums(attempts=1, failed_attempts=1)}


def test_a_call_that_was_never_sent_is_only_an_error() -> None:
    """No upstream is touched by it."""
    totals = Totals()
    totals(replace(CALL, upstream=None, attempts=(), usage=None, cost_nusd=None, error="x"))
    assert (totals.errors, totals.sums("upstream"), totals.sums("model")) == (1, {}, {})


def test_unknown_prices_and_estimates_are_counted_apart() -> None:
    """An unknown price is no zero, an estimate no measurement."""
    totals = Totals()
    totals(CALL)
    totals(replace(CALL, cost_nusd=None, estimated=True))
    sums = totals.sums("upstream")["east/a"]
    assert (sums.cost_nusd, sums.unpriced_calls, sums.estimated_calls) == (450, 1, 1)


def test_answers_from_memory_are_in_no_sum() -> None:
    """They are counted by model and tag; no upstream has answered, and none will bill them."""
    totals = Totals()
    totals(replace(CALL, upstream=None, attempts=(), cost_nusd=0, cached=True, tags=("nightly",)))
    assert totals.sums("model") == {"gpt-4o": Sums(cached_calls=1)}
    assert totals.sums("tag") == {"nightly": Sums(cached_calls=1)}
    assert (totals.sums("upstream"), totals.errors) == ({}, 0)


def test_what_is_given_out_no_longer_changes() -> None:
    """A reader sees one moment."""
    totals = Totals()
    totals(CALL)
    before = totals.sums("upstream"), totals.sums("model")
    totals(CALL)
    assert (before[0]["east/a"].calls, before[1]["gpt-4o"].calls) == (1, 1)


def test_threads_lose_nothing() -> None:
    """Eight threads at once come to the same sum."""
    totals = Totals()

    def tell() -> None:
        for _ in range(500):
            totals(CALL)

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals.sums("upstream")["east/a"].input_tokens == 8 * 500 * 100


def test_calls_for_an_agent_add_up_under_its_name() -> None:
    """Besides the name that was asked for; other calls are no agent's."""
    totals = Totals()
    totals(CALL)
    totals(replace(CALL, model="agent/guide"))
    assert {name: sums.calls for name, sums in totals.sums("agent").items()} == {"guide": 1}
    assert {name: sums.calls for name, sums in totals.sums("model").items()} == {
        "gpt-4o": 1,
        "agent/guide": 1,
    }


def test_the_hours_of_provisioned_upstreams() -> None:
    """Busy or idle, beside the tokens that cost nothing; how much of their throughput these were."""
    clock = count(0, 3_600)
    totals = Totals(clock=lambda: float(next(clock)))
    unit = Throughput(1_000, output_weight=4, cached_weight=0.0)
    totals.provision({"east/a": Provisioned(50, unit), "west/a": Provisioned(15)})
    usage = Usage(1_000_000, 200_000, cached_tokens=300_000)
    totals(replace(CALL, usage=usage, cost_nusd=0))
    sums = totals.sums("upstream")
    assert (sums["east/a"].cost_nusd, sums["east/a"].cached_tokens) == (0, 300_000)
    assert (sums["east/a"].ptu_hours, sums["east/a"].ptu_used) == (50, 1_500_000 / 3_000_000)
    assert sums["west/a"] == Sums(ptu_hours=15)
    assert totals.sums("model")["gpt-4o"].ptu_hours is None


def test_names_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers may name as many deployments as they like: beyond a bound they add up together, and nothing is
    lost."""
    monkeypatch.setattr(totals_module, "MOST", 2)
    totals = Totals()
    for model in ("a", "b", "c", "a", "d"):
        totals(replace(CALL, model=model))
    assert {name: sums.calls for name, sums in totals.sums("model").items()} == {"a": 2, "b": 1, OTHERS: 2}
    assert totals.sums("upstream")["east/a"].calls == 5
