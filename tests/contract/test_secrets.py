"""No secret is shown: not by dumps, logs, errors, representations or tracebacks, through any door."""

import json
import logging
import os
import pickle
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import AnyDoor, Ask, perform, sdk_client
from tests.contract.gateways import ADMIN_KEY, KEY, eventually, gateway_process
from tests.contract.scenarios import CHAT, EMBEDDINGS, HELLO, STREAM
from tests.integration.gateway.raw import ask, head
from tests.integration.network.proxy_server import PASSWORD

import smalt
from smalt.assemble import assemble
from smalt.config import Settings
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.security

PROMPT = "Say hello to a lost region."
PAGES = ("/health", "/health/ready", "/metrics", "/admin/v1/upstreams", "/admin/v1/usage")
FAULTS: list[dict[str, Any]] = [
    {"kind": "error", "error": "invalid_api_key"},
    {"kind": "error", "error": "rate_limit_tokens_classic"},
    {"kind": "error", "error": "server_error"},
    {"kind": "reset"},
    {"kind": "truncated_json"},
]


@contextmanager
def repeating(status: int, event: dict[str, Any] | None = None) -> Iterator[str]:
    """An upstream that refuses everything and repeats the credential it was shown: as its answer, or with
    200 and this `event`, whose %s it becomes. Gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            key = self.headers["api-key"]
            told = event or {"error": {"code": "x", "message": "no: %s is not liked"}}
            text = json.dumps(told).replace("%s", key)
            body = (f"data: {text}\n\n" if event else text).encode()
            self.send_response(status)
            for name, value in {
                "content-type": "text/event-stream" if event else "application/json",
                "content-length": len(body),
                "x-ms-key": key,
                "www-authenticate": key,
            }.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quietly."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def secrets(azure: Handle) -> list[str]:
    return [azure.key("east"), azure.key("sweden"), KEY, ADMIN_KEY]


def said(error: openai.APIError | None) -> str:
    """Everything an exception shows."""
    if error is None:
        return ""
    shown = [str(error), repr(error), str(getattr(error, "body", "")), *traceback.format_exception(error)]
    response = getattr(error, "response", None)
    if response is not None:
        shown += [str(response.headers), response.text]
    explained = smalt.explain(error)
    return "\n".join([*shown, str(explained), repr(explained)])


def dump_of(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.name == "smalt.wire")


@pytest.mark.parametrize("ask", [CHAT, STREAM], ids=lambda ask: ask.kind)
def test_req_1_36_a_dump_of_requests_and_answers(
    ask: Ask, door: AnyDoor, azure: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    """All that was sent and all that came, as it passed, with the key hidden; nothing unless asked for."""
    with door.open(world.settings(azure)) as opened:
        opened(ask)
        assert dump_of(caplog) == ""
        caplog.set_level(logging.DEBUG, logger="smalt.wire")
        result = opened(ask)
    eventually(lambda: "< end" in dump_of(caplog))
    dump = dump_of(caplog)
    resource = result.headers["x-smalt-upstream"].partition("/")[0]
    assert (
        f"> POST {azure.url(resource)}/openai/deployments/gpt-4o-prod/chat/completions?api-version=" in dump
    )
    assert "\napi-key: **********\n" in dump
    assert PROMPT in dump
    assert "< 200\n" in dump
    text = result.text or (result.answer or {})["choices"][0]["message"]["content"]
    assert text.split()[0] in dump.partition("< 200")[2]
    assert ("< piece of" in dump) is (ask.kind == "stream")
    assert [secret for secret in secrets(azure) if secret in dump] == []


def test_req_1_36_a_variable_turns_it_on(
    azure: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SMALT_DEBUG=1` for a gateway that nobody writes logging for."""
    monkeypatch.setenv("SMALT_DEBUG", "1")
    with (
        gateway_process(tmp_path, world.written(azure)) as gateway,
        sdk_client(gateway.url, "openai") as client,
    ):
        client.chat.completions.create(model="gpt-4o", messages=HELLO["messages"])  # type: ignore[arg-type]
        eventually(lambda: "< end" in gateway.said)
    assert "> POST http" in gateway.said
    assert PROMPT in gateway.said
    assert [secret for secret in secrets(azure) if secret in gateway.said] == []


@pytest.mark.parametrize("ask", [CHAT, STREAM, EMBEDDINGS], ids=lambda ask: ask.kind)
def test_req_0_5_no_key_with_debug_logging_for_everything(
    ask: Ask,
    door: AnyDoor,
    azure: Handle,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Calls that succeed, fail over and fail: no log line of any library and nothing printed holds a key."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="smalt.wire")
    shown = []
    for fault in (None, *FAULTS):
        for resource in world.REGIONS if fault else ():
            azure.fault(**fault, resource=resource)  # type: ignore[arg-type]
        told = world.settings(azure, retry={"max_attempts": 2})
        with door.open(told) as opened:
            shown.append(said(opened(ask).error))
        azure.reset()
    out, err = capfd.readouterr()
    assert any(shown)
    assert "smalt.wire" in {record.name for record in caplog.records}
    everything = "\n".join([caplog.text, out, err, *shown])
    assert [secret for secret in secrets(azure) if secret in everything] == []


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
def test_req_0_5_an_upstream_that_repeats_the_key(
    status: int, door: AnyDoor, azure: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    """It reaches neither the caller nor a log, whatever the status."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="smalt.wire")
    key = "k3y-that-nobody-may-see"
    with repeating(status) as url:
        told = world.written(azure, retry={"max_attempts": 1})
        told["resources"] = {"east": {**told["resources"]["east"], "endpoint": url, "api_keys": [key]}}
        with door.open(Settings.model_validate(told)) as opened:
            error = opened(CHAT).error
    assert "is not liked" in said(error)
    assert key not in said(error) + caplog.text


@pytest.mark.parametrize("padding", ["", "x" * 260], ids=["whole", "cut"])
@pytest.mark.parametrize("code", ["server_error", "invalid_api_key", "rate_limit_exceeded"])
def test_req_0_5_an_upstream_that_repeats_the_key_in_an_event(
    code: str, padding: str, door: AnyDoor, azure: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    """As first event of a stream, whether it fails over or passes; also where a long text is cut."""
    caplog.set_level(logging.DEBUG)
    key = "k3y-that-nobody-may-see-even-in-part"
    event = {"error": {"code": code, "message": f"it is {padding} that %s is not liked"}}
    with repeating(200, event) as url:
        told = world.written(azure, retry={"max_attempts": 1})
        told["resources"] = {"east": {**told["resources"]["east"], "endpoint": url, "api_keys": [key]}}
        with door.open(Settings.model_validate(told)) as opened:
            error = opened(STREAM).error
    assert "it is" in said(error)
    assert key[:8] not in said(error) + caplog.text


@pytest.mark.parametrize("code", ["server_error", "invalid_api_key"])
def test_req_0_5_a_key_in_an_event_reaches_no_page(code: str, azure: Handle, tmp_path: Path) -> None:
    """Neither the pages that ask for no key, nor the admin's, nor what the gateway says."""
    key = "k3y-that-nobody-may-see"
    with repeating(200, {"error": {"code": code, "message": "broke for %s now"}}) as url:
        told = world.written(azure, retry={"max_attempts": 1})
        told["resources"] = {"east": {**told["resources"]["east"], "endpoint": url, "api_keys": [key]}}
        with (
            gateway_process(tmp_path, told) as gateway,
            sdk_client(gateway.url, "openai") as client,
        ):
            error = perform(client, STREAM).error
            asked = [head(target=page, method="GET", key=ADMIN_KEY) for page in PAGES]
            pages = [ask(gateway.url, page).body.decode() for page in asked]
    assert "broke for" in said(error)
    assert ("broke for" in "".join(pages)) is (code == "server_error")
    assert key not in "".join([said(error), *pages, gateway.said])


def test_req_0_5_nothing_that_is_printed_shows_a_key(azure: Handle) -> None:
    """Neither clients nor fleets nor settings, nor what they are made of, nor the frames of a traceback."""
    told = world.written(azure, network={"proxy": f"http://me:{PASSWORD}@127.0.0.1:9"})
    told["gateway"] = {"admin_key": ADMIN_KEY, "keys": [{"alias": "a", "key": KEY}]}
    settings = Settings.model_validate(told)
    fleet, assembly = smalt.Fleet(settings), assemble(settings)
    transport, door = fleet.transport(), fleet.openai()
    shown = [f"{value} {value!r}" for value in (settings, fleet, transport, door, assembly, assembly.targets)]
    shown += [repr(vars(value)) for value in (fleet, transport, settings)]
    shown += [settings.model_dump_json(), repr(settings.model_dump())]
    try:
        fleet.reload(Settings.model_validate({**told, "models": {"gpt-4o": {"route": ["nowhere"]}}}))
    except smalt.SmaltError:
        shown.append(traceback.format_exc())
    with door, pytest.raises(openai.APIError) as caught:
        door.chat.completions.create(model="nothing", messages=HELLO["messages"])  # type: ignore[arg-type]
    shown.append(said(caught.value))
    frames = [frame for frame, _ in traceback.walk_tb(caught.tb) if "/smalt/" in frame.f_code.co_filename]
    shown += [repr(frame.f_locals) for frame in frames]
    everything = "\n".join(shown)
    assert [secret for secret in (*secrets(azure), PASSWORD) if secret in everything] == []
    for value in (fleet, transport, assembly.targets["east"], assembly.targets["east"].heads):
        with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
            pickle.dumps(value)


def test_errors_about_the_settings_show_no_secret(tmp_path: Path) -> None:
    """Not even of what is wrong with one."""
    key = "k3y that nobody may see"
    file = tmp_path / "smalt.yaml"
    for text in (
        f"resources: {{east: {{api_keys: ['{key}']}}}}",
        f"resources: {{east: {{api_key: '{key}'}}}}",
    ):
        file.write_text(text)
        with pytest.raises(smalt.SmaltError) as caught:
            smalt.Fleet.load(file, env=os.environ)
        assert key not in f"{caught.value} {caught.value!r} {traceback.format_exception(caught.value)}"
