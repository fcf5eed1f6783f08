"""What Prometheus reads of a gateway: both adapters, without a key."""

import re
from pathlib import Path

import openai
import pytest
from tests.contract import world
from tests.contract.doors import sdk_client
from tests.contract.gateways import KEY, Stage, eventually
from tests.contract.scenarios import EAST_FIRST
from tests.integration.gateway.raw import ask, request
from tests.unit.observe.collector import collecting
from tests.unit.observe.test_exposition import parsed

from smalt.config.schema import Observe
from smalt.emulator.testing import Handle
from smalt.gateway.metrics import METRICS

pytestmark = pytest.mark.sdk

PAGE = request(method="GET", target="/metrics", key=None, content=b"")
UP = "smalt_up{{deployment=gpt-4o-prod,model=gpt-4o,region={},resource={},upstream={}/gpt-4o-prod}}"
EAST, SWEDEN = UP.format("eastus", "east", "east"), UP.format("swedencentral", "sweden", "sweden")


def scraped(stage: Stage) -> dict[str, float]:
    answer = ask(stage.url, PAGE)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(answer.body.decode())


def test_what_a_failover_leaves_behind(stage: Stage, azure: Handle) -> None:
    """The lost region is down, the other one has the call, its tokens and its cost."""
    stage.play(world.settings(azure, **EAST_FIRST))
    before = scraped(stage)
    assert (before[EAST], before[SWEDEN]) == (1, 1)
    azure.set("east", "down")
    with sdk_client(stage.url, "openai") as client:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="made-up", messages=[])
    found = scraped(stage)
    assert (found[EAST], found[SWEDEN]) == (0, 1)
    assert 0 < found["smalt_cooldown_seconds{upstream=east/gpt-4o-prod}"] <= 1
    calls = "smalt_calls_total{model=gpt-4o,operation=chat.completions,outcome=ok,principal=tests}"
    assert found[calls] == 1
    assert found["smalt_attempts_total{fate=not_sent,outcome=connect,upstream=east/gpt-4o-prod}"] == 1
    assert found["smalt_attempts_total{fate=billed,outcome=answered,upstream=sweden/gpt-4o-prod}"] == 1
    billed = azure.bill()["totals"]
    tokens = "smalt_tokens_total{{kind={},model=gpt-4o,principal=tests,upstream=sweden/gpt-4o-prod}}"
    assert found[tokens.format("input")] == billed["input_tokens"]
    assert found[tokens.format("output")] == billed["output_tokens"]
    assert found["smalt_cost_usd_total{model=gpt-4o,principal=tests,upstream=sweden/gpt-4o-prod}"] > 0
    assert found["smalt_waiting_calls{}"] == 0


def test_metrics_may_be_turned_off(stage: Stage, azure: Handle) -> None:
    """Then there is no such page."""
    stage.play(world.settings(azure, observe={"metrics": False}))
    assert ask(stage.url, PAGE).status == 404


def test_no_metric_shows_a_secret(stage: Stage, azure: Handle) -> None:
    """Neither ours nor the upstreams'."""
    answer = ask(stage.url, PAGE)
    assert KEY.encode() not in answer.body
    assert azure.key("east").encode() not in answer.body


def test_names_and_labels_stay() -> None:
    """Dashboards and alerts go by them."""
    gen_ai = "gen_ai_operation_name gen_ai_provider_name gen_ai_request_model"
    assert [f"{metric.kind} {metric.name} {' '.join(metric.labels)}".strip() for metric in METRICS] == [
        "gauge smalt_up upstream resource deployment model region",
        "gauge smalt_cooldown_seconds upstream",
        "gauge smalt_breaker_state upstream state",
        "gauge smalt_quota_used_ratio upstream",
        "gauge smalt_window_used upstream counts span_s",
        "gauge smalt_window_limit upstream counts span_s",
        "gauge smalt_in_flight upstream",
        "counter smalt_calls_total model operation principal outcome",
        "counter smalt_attempts_total upstream outcome fate",
        "counter smalt_tokens_total model upstream principal kind",
        "counter smalt_cost_usd_total model upstream principal",
        "counter smalt_unpriced_calls_total model upstream",
        "counter smalt_estimated_calls_total model upstream",
        f"histogram gen_ai_client_token_usage {gen_ai} gen_ai_token_type",
        f"histogram gen_ai_client_operation_duration_seconds {gen_ai} error_type",
        f"histogram gen_ai_client_operation_time_to_first_chunk_seconds {gen_ai}",
        "gauge smalt_waiting_calls",
        "counter smalt_lost_log_lines_total",
        "counter smalt_lost_spans_total",
    ]


def test_queries_of_the_documents_name_metrics() -> None:
    """A typing error there would find nothing, for ever."""
    page = Path("docs/how-to/watch-it.md").read_text("utf-8")
    named = {name.removesuffix("_bucket") for name in re.findall(r"\b(?:smalt|gen_ai)_[a-z_]+", page)}
    assert len(named) >= 5
    assert named <= {metric.name for metric in METRICS}


def test_what_is_watched_follows_a_reload(
    stage: Stage, azure: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines of calls, the page and the collector come and go; counters never go back."""
    caplog.set_level("INFO")
    current = stage._current
    assert current is not None
    settings = current.now.settings

    def call(client: openai.OpenAI) -> None:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}])

    def observe(**told: object) -> None:
        current.become(settings.model_copy(update={"observe": Observe.model_validate(told)}))

    def logged() -> int:
        return sum(record.name in {"smalt.requests", "smalt.responses"} for record in caplog.records)

    with sdk_client(stage.url, "openai") as client, collecting() as collector:
        call(client)
        assert logged() == 0
        observe(calls=True, otlp=collector.url)
        call(client)
        eventually(lambda: logged() == 2)
        observe(metrics=False)
        call(client)
        assert ask(stage.url, PAGE).status == 404
        observe()
        call(client)
        current.close()
    calls = "smalt_calls_total{model=gpt-4o,operation=chat.completions,outcome=ok,principal=tests}"
    assert scraped(stage)[calls] == 3  # while there were metrics
    assert len([span for span in collector.spans if not span.name.startswith("attempt")]) == 1
    assert logged() == 2
