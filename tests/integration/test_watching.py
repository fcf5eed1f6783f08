"""What gateway and library tell about a call while it is watched: two lines of the log and a trace."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract import world
from tests.contract.conftest import azure, shared_azure
from tests.contract.doors import sdk_client
from tests.contract.gateways import KEY
from tests.contract.scenarios import EAST_FIRST
from tests.integration.cli.commands import end, read_until, running
from tests.unit.observe.collector import Collector, attributes, collecting

import smalt
from smalt.config import Settings
from smalt.emulator.testing import Handle

__all__ = ["azure", "shared_azure"]

pytestmark = pytest.mark.sdk

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
SECRET_WORDS = "the words of the prompt"
ASK: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": SECRET_WORDS}]}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


def written(azure: Handle, collector: Collector, **sections: Any) -> dict[str, Any]:
    observe = {"log": "json", "calls": True, "otlp": collector.url}
    return {**world.written(azure, **EAST_FIRST), "observe": observe, **sections}


def asked(client: Any) -> str:
    """One streamed call; its answer."""
    stream = client.chat.completions.create(stream=True, **ASK)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def check(azure: Handle, begun: dict[str, Any], ended: dict[str, Any], spans: list[Any]) -> None:
    """Of a call whose first attempt failed: both lines and the spans say the same."""
    request_id = begun["request_id"]
    assert (begun["model"], begun["operation"], begun["stream"]) == ("gpt-4o", "chat.completions", True)
    assert begun["prompt_tokens"] > 0
    billed = azure.bill()["totals"]
    expected = {
        "request_id": request_id,
        "outcome": "ok",
        "upstream": "sweden/gpt-4o-prod",
        "deployment": "gpt-4o-prod",
        "region": "swedencentral",
        "input_tokens": billed["input_tokens"],
        "output_tokens": billed["output_tokens"],
        "attempts": 2,
        "trace_id": TRACE,
    }
    assert {key: ended[key] for key in expected} == expected
    for told in (begun, ended):
        assert (told["session"], told["tags"]) == ("chat-7", ["search", "web"])
    assert float(ended["cost_usd"]) > 0
    assert 0 < ended["first_token_ms"] <= ended["latency_ms"]
    assert ended["apim_request_id"]
    assert ended["x_request_id"]
    call, failed, answered = spans
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, SPAN)
    assert failed.parent_span_id == answered.parent_span_id == call.span_id
    told = attributes(call)
    assert (told["smalt.request_id"], told["smalt.cost_usd"]) == (request_id, ended["cost_usd"])
    assert told["gen_ai.usage.input_tokens"] == ended["input_tokens"]
    assert (told["gen_ai.conversation.id"], told["smalt.tags"]) == ("chat-7", ["search", "web"])
    assert attributes(answered)["smalt.apim_request_id"] == ended["apim_request_id"]
    assert attributes(failed)["http.response.status_code"] == 500


def test_req_1_35_the_gateway_tells_a_call_by_two_lines_and_a_trace(
    azure: Handle, collector: Collector, tmp_path: Path
) -> None:
    """By the real process: every line is JSON, and no prompt, answer or key is told."""
    azure.set("east", "error", error="server_error")
    keys = {"keys": [{"alias": "ci", "key": KEY}]}
    (tmp_path / "smalt.yaml").write_text(json.dumps(written(azure, collector, gateway=keys)))
    headers = {"x-smalt-tags": "search,web", "x-smalt-session": "chat-7", **TRACEPARENT}
    with running("serve", "--listen", "127.0.0.1:0", "--json", cwd=tmp_path) as gateway:
        *warned, announced = read_until('"url"', gateway).splitlines()
        with sdk_client(json.loads(announced)["url"], "openai") as client:
            answer = asked(client.with_options(default_headers=headers))
        code, said = end(gateway)
    assert code == 0
    lines = [json.loads(line) for line in (*warned, *said.splitlines())]
    (begun,) = [line for line in lines if line["logger"] == "smalt.requests"]
    (ended,) = [line for line in lines if line["logger"] == "smalt.responses"]
    (trouble,) = [line for line in lines if line["logger"] == "smalt.calls"]
    assert (begun["principal"], ended["principal"], trouble["level"]) == ("ci", "ci", "warning")
    check(azure, begun, ended, collector.wait_for(3))
    for told in (SECRET_WORDS, answer, KEY, azure.key("east"), azure.key("sweden")):
        assert told not in said
        assert told not in str(collector.spans)


def test_req_1_35_the_library_tells_a_call_by_two_lines_and_a_trace(
    azure: Handle, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    """As attributes of log records, once the loggers are asked."""
    azure.set("east", "error", error="server_error")
    caplog.set_level(logging.INFO)
    settings = Settings.model_validate(written(azure, collector))
    with (
        smalt.Fleet(settings) as fleet,
        fleet.openai(timeout=5) as client,
        smalt.tag("search", "web"),
        smalt.session("chat-7"),
    ):
        answer = asked(client.with_options(default_headers=TRACEPARENT))
    (begun,) = [vars(record) for record in caplog.records if record.name == "smalt.requests"]
    (ended,) = [vars(record) for record in caplog.records if record.name == "smalt.responses"]
    assert begun["principal"] is None
    check(azure, begun, ended, collector.wait_for(3))
    for told in (SECRET_WORDS, answer, azure.key("east")):
        assert told not in caplog.text
        assert told not in str(collector.spans)


def test_spans_need_an_extra(azure: Handle, tmp_path: Path) -> None:
    """Without it one line says how to get it, and nothing is served."""
    observe = {"otlp": "http://127.0.0.1:4318"}
    (tmp_path / "smalt.yaml").write_text(json.dumps({**world.written(azure), "observe": observe}))
    missing = "import sys; sys.modules['opentelemetry.exporter'] = None; from smalt.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", missing, "serve", "--listen", "127.0.0.1:0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == ("smalt: observe.otlp needs an optional part of smalt: pip install 'smalt[otel]'\n")


def test_a_log_that_nobody_reads_stops_no_request(azure: Handle, tmp_path: Path) -> None:
    """Standard error is a full pipe; every call is answered, and the process ends when it is told to."""
    keys = {"keys": [{"alias": "ci", "key": KEY}]}
    settings = {**world.written(azure), "observe": {"log": "json", "calls": True}, "gateway": keys}
    (tmp_path / "smalt.yaml").write_text(json.dumps(settings))
    with running("serve", "--listen", "127.0.0.1:0", "--json", cwd=tmp_path) as gateway:
        announced = read_until('"url"', gateway).splitlines()[-1]
        headers = {
            "x-smalt-session": "s" * 120,
            "x-smalt-tags": ",".join(f"{n}".zfill(120) for n in range(16)),
        }
        with sdk_client(json.loads(announced)["url"], "openai") as client:
            talkative = client.with_options(default_headers=headers)
            for _ in range(40):  # more than 64 KiB of lines, which is what a pipe holds
                assert talkative.chat.completions.create(**ASK).choices
        gateway.terminate()
        assert gateway.wait(15) == 0
