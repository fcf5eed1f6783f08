"""Settings change while the gateway serves: checked first, then in force at once, without a lost request."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from tests.contract import world
from tests.contract.doors import sdk_client
from tests.contract.gateways import KEY, GatewayProcess, eventually, gateway_process
from tests.integration.gateway.raw import HELLO

from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

MESSAGES: Any = HELLO


@pytest.fixture
def gateway(azure: Handle, tmp_path: Path) -> Iterator[GatewayProcess]:
    with gateway_process(tmp_path, world.written(azure)) as process:
        yield process


@pytest.fixture
def file(gateway: GatewayProcess, tmp_path: Path) -> Path:
    return tmp_path / "smalt.yaml"


def write(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def health(gateway: GatewayProcess) -> dict[str, Any]:
    told: dict[str, Any] = httpx2.get(f"{gateway.url}/health", timeout=5).json()
    return told


def answered_by(gateway: GatewayProcess) -> str:
    with sdk_client(gateway.url, "openai") as client:
        answer = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
    return answer.headers["x-smalt-upstream"]


def test_req_4_10_the_order_is_changed_by_one_setting(gateway: GatewayProcess, file: Path) -> None:
    """The file is all that is touched."""
    write(file, models={"gpt-4o": {"route": ["east", "sweden"]}})
    eventually(lambda: answered_by(gateway).startswith("east/"), within_s=5)
    write(file, models={"gpt-4o": {"route": ["sweden", "east"]}})
    eventually(lambda: answered_by(gateway).startswith("sweden/"), within_s=5)


def test_a_hang_up_signal_asks_for_it(gateway: GatewayProcess, file: Path) -> None:
    """Without waiting for the next look at the file."""
    before = health(gateway)["configuration"]["in_force_since"]
    time.sleep(1.1)  # told in whole seconds
    os.kill(gateway.pid, signal.SIGHUP)
    eventually(lambda: health(gateway)["configuration"]["in_force_since"] > before, within_s=0.9)


def test_a_file_that_cannot_be_used_changes_nothing(gateway: GatewayProcess, file: Path) -> None:
    """Health says what is wrong; requests go on."""
    good = file.read_text()
    write(file, models={"gpt-4o": {"rout": ["east"]}})
    eventually(lambda: health(gateway)["configuration"]["problems"] != [], within_s=5)
    told = health(gateway)
    assert told["status"] == "degraded"
    assert "models.gpt-4o.rout: unknown key; did you mean 'route'?" in told["configuration"]["problems"][0]
    assert answered_by(gateway)
    file.write_text(good)
    eventually(lambda: health(gateway)["status"] == "ok", within_s=5)


def test_requests_under_way_end_as_they_began(gateway: GatewayProcess, file: Path, azure: Handle) -> None:
    """A stream goes on although its resource is gone from the settings; the next request goes elsewhere."""
    write(file, models={"gpt-4o": {"route": ["east"]}})
    eventually(lambda: answered_by(gateway).startswith("east/"), within_s=5)
    azure.set("east", "up", token_ms=50)
    with sdk_client(gateway.url, "openai") as client:
        stream = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)
        next(stream)
        write(file, models={"gpt-4o": {"route": ["sweden"]}})
        eventually(lambda: answered_by(gateway).startswith("sweden/"), within_s=5)
        rest = list(stream)
    assert rest[-1].choices[0].finish_reason == "stop"


def test_upstreams_keep_their_state(gateway: GatewayProcess, file: Path, azure: Handle) -> None:
    """A region that was told to rest still rests."""
    azure.set("east", "error", error="rate_limit_tokens_classic")
    write(file, models={"gpt-4o": {"route": ["east", "sweden"]}})
    eventually(lambda: answered_by(gateway).startswith("sweden/") and resting(gateway), within_s=5)
    before = health(gateway)["configuration"]["in_force_since"]
    time.sleep(1.1)
    os.kill(gateway.pid, signal.SIGHUP)
    eventually(lambda: health(gateway)["configuration"]["in_force_since"] > before, within_s=0.9)
    assert resting(gateway)


def resting(gateway: GatewayProcess) -> bool:
    return bool(health(gateway)["upstreams"]["east/gpt-4o-prod"]["state"] == "cooling")


def test_keys_come_and_go(gateway: GatewayProcess, file: Path) -> None:
    """Of callers, too."""
    written = json.loads(file.read_text())["gateway"]
    write(file, gateway=written | {"keys": [{"alias": "other", "key": "gw_other"}]})

    def refused() -> bool:
        try:
            answered_by(gateway)
        except openai.AuthenticationError:
            return True
        return False

    eventually(refused, within_s=5)
    write(file, gateway=written | {"keys": [{"alias": "tests", "key": KEY}]})
    eventually(lambda: not refused(), within_s=5)
