"""Rows of the requirements about retry, failover and quota, through every door, with what the log says."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import openai
import pytest
from tests.contract import world
from tests.contract.doors import NAMES, AnyDoor, Ask, Result
from tests.contract.scenarios import (
    CHAT,
    HELLO,
    ONLY_EAST,
    PRIORITIES,
    SCENARIOS,
    Scenario,
    error,
)
from tests.contract.world import billed, tried

from smalt.config import Settings, freeze
from smalt.core.limits import TRAVEL_S
from smalt.core.settings import EngineSettings
from smalt.dispatch import dispatcher, run
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

Play = Callable[[Scenario], Result]
Log = Callable[[], list[logging.LogRecord]]

SOME = [name for name in NAMES if name in {"gateway-hot-openai", "library-sync", "library-async"}]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    """What smalt has logged, oldest first."""

    def records() -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.name == "smalt.calls"]

    return records


def the_warning(log: Log) -> str:
    (record,) = log()
    assert record.levelname == "WARNING"
    return record.getMessage()


def test_req_0_12_the_secondary_answers_for_the_primary(play: Play, azure: Handle, log: Log) -> None:
    """The first region is down: the second one answers, and the log says what happened."""
    result = play(SCENARIOS["refused connection"])
    assert result.answer
    assert result.headers["x-smalt-upstream"] == "sweden/gpt-4o-prod"
    assert tried(azure) == ["sweden"]
    warning = the_warning(log)
    assert re.search(r"attempt 1/5 on east/gpt-4o-prod \(eastus\): .*(refused|connect)", warning)
    assert warning.endswith("; answered by sweden/gpt-4o-prod")


def test_req_1_23_a_refusal_is_repeated_when_azure_says(play: Play, azure: Handle, log: Log) -> None:
    """429 twice, then an answer: Azure's wait of 120 ms beats our backoff of 5 s, and the log counts."""
    result = play(
        Scenario(
            "429 twice",
            CHAT,
            ["east"] * 3,
            error("ptu_full", count=2),
            settings={**ONLY_EAST, "retry": {"base_s": 5.0}},
            at_least_s=0.24,
        )
    )
    assert result.answer
    assert result.headers["x-smalt-attempts"] == "3"
    assert all(0.12 <= delay_s < 4 for delay_s in delays_s(azure))
    warning = the_warning(log)
    for attempt in ("attempt 1/5", "attempt 2/5"):
        assert f"{attempt} on east/gpt-4o-prod (eastus): 429 " in warning
    assert "attempt 3/5" not in warning


@pytest.mark.parametrize("door", SOME, indirect=True)
def test_req_1_23_a_failure_is_repeated_after_a_backoff(play: Play, azure: Handle) -> None:
    """Where nobody names a time it is the base, and up to the jitter more."""
    result = play(
        Scenario(
            "500 once",
            CHAT,
            ["east"] * 2,
            error("server_error", count=1),
            settings={**ONLY_EAST, "retry": {"base_s": 1.1, "cap_s": 32.0, "jitter_s": 0.3}},
            within_s=10,
        )
    )
    assert result.answer
    (delay_s,) = delays_s(azure)
    assert 1.1 <= delay_s < 1.1 + 0.3 + 3


def delays_s(azure: Handle) -> list[float]:
    """Between the end of one request and the arrival of the next."""
    entries = azure.log()
    return [later["arrived_s"] - earlier["finished_s"] for earlier, later in pairwise(entries)]


@pytest.mark.parametrize("door", SOME, indirect=True)
def test_req_1_26_a_nearly_spent_minute_warns_once(door: AnyDoor, azure: Handle, log: Log) -> None:
    """At 80 % of the tokens there is one warning with the numbers, however many calls follow."""
    told = world.written(azure, **ONLY_EAST)
    told["resources"]["east"]["deployments"]["gpt-4o-prod"] = {"model": "gpt-4o", "limit_tpm": 1_000}
    ask = Ask("chat", {**HELLO, "max_tokens": 40})  # Azure charges 47 tokens for it
    azure.set("east", "up", latency_ms=1_000 * TRAVEL_S + 10)  # none can overtake another
    with door.open(Settings.model_validate(told)) as opened:
        assert [opened(ask).error for _ in range(15)] == [None] * 15
        assert log() == []
        assert [opened(ask).error for _ in range(4)] == [None] * 4
    (record,) = log()
    told = vars(record)
    assert (record.levelname, told["upstream"], told["quota"]) == ("WARNING", "east/gpt-4o-prod", 1_000)
    assert 800 <= told["tokens_per_minute"] < 900
    assert told["usage_pct"] == told["tokens_per_minute"] / 10


def test_req_1_28_the_sixth_failure_in_a_row_fails_fast(
    door: AnyDoor, azure: Handle, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five 500s no call is made for 30 s; then one that succeeds closes the breaker."""
    ahead = [0.0]  # of the real clock; the rests between failures would take 15 s
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead[0])
    monkeypatch.setattr(dispatcher, "time", clock)
    monkeypatch.setattr(run, "time", clock)
    azure.set("east", "error", error="server_error")
    with door.open(world.settings(azure, **ONLY_EAST, retry={"max_attempts": 1})) as opened:
        for rest_s in (1, 2, 4, 8, 0):
            the_refusal(opened(CHAT), "service_unavailable")
            ahead[0] += rest_s
        assert tried(azure) == ["east"] * 5
        started_s = time.monotonic()
        refused = the_refusal(opened(CHAT), "no_upstream_available")
        assert time.monotonic() - started_s < 5
        assert tried(azure) == ["east"] * 5
        assert re.search(r"east/gpt-4o-prod rests \(open\): .*The server had an error", refused.message)
        assert 29 < int(refused.response.headers["retry-after"]) <= 30
        azure.set("east", "up")
        ahead[0] += 30
        assert [opened(CHAT).error for _ in range(2)] == [None] * 2
    texts = [record.getMessage() for record in log()]
    (opens,) = [text for text in texts if "5 failures in a row" in text]
    assert opens.startswith("east/gpt-4o-prod: 5 failures in a row; rests until one call in 30 s succeeds")
    assert texts[-1] == "east/gpt-4o-prod: answers again"


def the_refusal(result: Result, code: str) -> openai.APIStatusError:
    error = result.error
    assert isinstance(error, openai.InternalServerError)
    assert (error.status_code, error.code) == (503, code)
    return error


def test_req_1_29_a_region_that_refuses_is_named(play: Play, log: Log) -> None:
    """The second region answers, and one warning names the first."""
    result = play(SCENARIOS["server_error on the first"])
    assert result.answer
    assert "attempt 1/5 on east/gpt-4o-prod (eastus): 500 The server had an error" in the_warning(log)


def test_req_1_29_all_regions_failed(play: Play, azure: Handle, log: Log) -> None:
    """When every region fails the caller gets one error that lists each cause, and so does the log."""
    error = play(SCENARIOS["different causes"]).error
    assert error is not None
    causes = (
        r"attempt 1/5 on east/gpt-4o-prod \(eastus\): .*(refused|connect).*; "
        r"attempt 2/5 on sweden/gpt-4o-prod \(swedencentral\): 500 The server had an error"
    )
    assert re.search(r"\(all regions failed: eastus, swedencentral\): " + causes, error.message)
    warning = the_warning(log)
    assert re.search(causes, warning)
    assert warning.endswith("; no_upstream_available")
    assert billed(azure) == 0


@pytest.mark.parametrize("scenario", PRIORITIES, ids=lambda scenario: scenario.name)
def test_req_2_11_a_later_tier_serves_only_for_the_earlier(
    scenario: Scenario, play: Play, azure: Handle
) -> None:
    """Not to share the load: as soon as the first tier can, it serves alone."""
    assert play(scenario).error is None
    assert tried(azure) == list(scenario.tried)


def test_a_call_that_may_not_wait_is_refused(
    door: AnyDoor, azure: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is bounded: one call too many is a 429 of its own, at once, and says so."""
    monkeypatch.setattr("smalt.assemble.freeze", no_line)
    azure.set("east", "error", error="ptu_full")
    with door.open(world.settings(azure, **ONLY_EAST)) as opened:
        error = opened(CHAT).error
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "queue_full"
    assert error.response.headers["x-should-retry"] == "false"
    assert isinstance(error.body, dict)
    assert error.body["retryable"] is True
    assert tried(azure) == ["east"]


def no_line(settings: Settings) -> EngineSettings:
    return replace(freeze(settings), max_waiting=0)
