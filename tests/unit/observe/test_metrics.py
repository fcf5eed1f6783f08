import threading

from msgspec.structs import replace
from tests.unit.observe.test_exposition import parsed

from smalt.observe.exposition import exposition
from smalt.observe.metrics import CALL_METRICS, Histogram, Known, Metrics
from smalt.types import AttemptRecord, CallRecord, Failure, FailureKind, Fate, Operation, Usage

ANSWERED = AttemptRecord("east/a", "eastus", 1, 5, Fate.BILLED, None, 0.1)
REFUSED = AttemptRecord("west/a", "westus", 1, 5, Fate.FREE, Failure(FailureKind.QUOTA, "full", 429), 0.1)
CALL = CallRecord(
    "id-1",
    Operation.CHAT,
    "gpt-4o",
    "east/a",
    attempts=(ANSWERED,),
    usage=Usage(100, 20, cached_tokens=60, reasoning_tokens=5),
    cost_nusd=450_000,
    duration_s=0.2,
    first_byte_s=0.05,
    principal="ci",
    tags=("search",),
    session="chat-7",
)
KNOWN = Known({"gpt-4o"}, {"ci"}, {"east/a": "azure.ai.openai", "west/a": "openai"})
GEN_AI = "gen_ai_operation_name=chat,gen_ai_provider_name=azure.ai.openai,gen_ai_request_model=gpt-4o"


def counted(*records: CallRecord, known: Known = KNOWN) -> dict[str, float]:
    metrics = Metrics()
    metrics.known = known
    for record in records:
        metrics(record)
    return parsed(exposition(CALL_METRICS, {"": list(metrics.samples())}))


def test_answered_calls() -> None:
    """Tokens by kind, money, and who asked; no tag and no session."""
    found = counted(CALL, CALL)
    labels = "model=gpt-4o,principal=ci,upstream=east/a"
    assert found["smalt_calls_total{model=gpt-4o,operation=chat.completions,outcome=ok,principal=ci}"] == 2
    assert found["smalt_attempts_total{fate=billed,outcome=answered,upstream=east/a}"] == 2
    tokens = {
        kind: found[f"smalt_tokens_total{{kind={kind},{labels}}}"]
        for kind in ("input", "cached", "output", "reasoning")
    }
    assert tokens == {"input": 200, "cached": 120, "output": 40, "reasoning": 10}
    assert found[f"smalt_cost_usd_total{{{labels}}}"] == 0.0009
    assert found["smalt_unpriced_calls_total{model=gpt-4o,upstream=east/a}"] == 0
    assert not any("search" in name or "chat-7" in name for name in found)


def test_histograms_by_the_conventions() -> None:
    """Tokens and duration of every answered call, the first chunk of streamed ones only."""
    found = counted(CALL, replace(CALL, stream=True))
    assert found[f"gen_ai_client_operation_duration_seconds_bucket{{{GEN_AI},le=0.16}}"] == 0
    assert found[f"gen_ai_client_operation_duration_seconds_bucket{{{GEN_AI},le=0.32}}"] == 2
    assert found[f"gen_ai_client_operation_duration_seconds_sum{{{GEN_AI}}}"] == 0.4
    assert found[f"gen_ai_client_operation_time_to_first_chunk_seconds_count{{{GEN_AI}}}"] == 1
    assert found[f"gen_ai_client_token_usage_sum{{{GEN_AI},gen_ai_token_type=input}}"] == 200
    assert found[f"gen_ai_client_token_usage_bucket{{{GEN_AI},gen_ai_token_type=output,le=16}}"] == 0


def test_calls_that_failed() -> None:
    """Counted by the code of the error; no upstream has their tokens, a failed attempt has its kind."""
    failed = replace(CALL, upstream=None, usage=None, cost_nusd=None, attempts=(REFUSED,), error="overloaded")
    found = counted(failed)
    name = "smalt_calls_total{model=gpt-4o,operation=chat.completions,outcome=overloaded,principal=ci}"
    assert found[name] == 1
    assert found["smalt_attempts_total{fate=free,outcome=quota,upstream=west/a}"] == 1
    assert f"gen_ai_client_operation_duration_seconds_count{{error_type=overloaded,{GEN_AI}}}" in found
    assert not any(name.startswith(("smalt_tokens", "smalt_cost", "gen_ai_client_token")) for name in found)


def test_unknown_prices_and_estimates_are_counted_apart() -> None:
    """An unknown price is no zero, an estimate no measurement."""
    found = counted(CALL, replace(CALL, cost_nusd=None, estimated=True))
    assert found["smalt_unpriced_calls_total{model=gpt-4o,upstream=east/a}"] == 1
    assert found["smalt_estimated_calls_total{model=gpt-4o,upstream=east/a}"] == 1
    assert found["smalt_cost_usd_total{model=gpt-4o,principal=ci,upstream=east/a}"] == 0.00045


def test_names_that_callers_bring_are_one() -> None:
    """However many they think of."""
    strangers = [
        replace(
            CALL,
            model=f"m-{number}",
            principal=f"p-{number}",
            upstream=f"u/{number}",
            attempts=(replace(ANSWERED, upstream=f"u/{number}"),),
        )
        for number in range(50)
    ]
    found = counted(*strangers)
    assert found["smalt_calls_total{model=other,operation=chat.completions,outcome=ok,principal=other}"] == 50
    assert found["smalt_attempts_total{fate=billed,outcome=answered,upstream=other}"] == 50
    assert len(found) == len(counted(strangers[0]))


def test_what_was_counted_outlives_new_settings() -> None:
    """Counters never go back; new names count from then on."""
    metrics = Metrics()
    metrics.known = KNOWN
    metrics(CALL)
    metrics.known = Known({"gpt-5"}, {"ci"}, KNOWN.providers)
    metrics(CALL)
    metrics(replace(CALL, model="gpt-5"))
    found = parsed(exposition(CALL_METRICS, {"": list(metrics.samples())}))
    calls = {name: value for name, value in found.items() if name.startswith("smalt_calls_total")}
    assert len(calls) == 3
    assert set(calls.values()) == {1}


def test_a_value_on_a_boundary_is_below_it() -> None:
    """As Prometheus counts: less or equal."""
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 9.0):
        histogram.observe(value)
    assert (histogram.counts, histogram.total) == ([2, 2, 1], 14.0)


def test_threads_lose_nothing() -> None:
    """Eight at once come to the same sum."""
    metrics = Metrics()
    metrics.known = KNOWN

    def tell() -> None:
        for _ in range(500):
            metrics(CALL)

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = parsed(exposition(CALL_METRICS, {"": list(metrics.samples())}))
    assert (
        found["smalt_calls_total{model=gpt-4o,operation=chat.completions,outcome=ok,principal=ci}"] == 4_000
    )
