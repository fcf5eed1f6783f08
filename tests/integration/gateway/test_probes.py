"""A gateway nobody calls notices that Azure is gone, and that it is back, without a billed token."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract import world
from tests.contract.gateways import ADMIN_KEY, GatewayProcess, eventually, gateway_process
from tests.contract.world import billed, tried
from tests.integration.gateway.raw import Answer, ask, head, request

from smalt.emulator.testing import Handle

EVERY_S = 1.0
IN_TIME_S = EVERY_S + 2.0  # for the machine; exact in virtual time: tests/unit/dispatch/test_probing.py


@pytest.fixture
def gateway(azure: Handle, tmp_path: Path) -> Iterator[GatewayProcess]:
    with gateway_process(tmp_path, world.written(azure, gateway={"probe_every_s": EVERY_S})) as process:
        yield process


def page(gateway: GatewayProcess, target: str) -> Answer:
    return ask(gateway.url, head(target=target, method="GET", key=ADMIN_KEY))


def is_ready(gateway: GatewayProcess) -> bool:
    return page(gateway, "/health/ready").status == 200


def up(gateway: GatewayProcess) -> dict[str, bool]:
    """Whether each deployment is there, as Prometheus reads it."""
    lines = page(gateway, "/metrics").body.decode().splitlines()
    found = (re.fullmatch(r'smalt_up\{upstream="([^"]+)",.*\} ([01])', line) for line in lines)
    return {match[1]: match[2] == "1" for match in found if match}


def set_both(azure: Handle, mode: str, **switches: Any) -> None:
    for region in world.REGIONS:
        azure.set(region, mode, **switches)


@pytest.mark.parametrize(
    ("mode", "longer_s", "why"), [("down", 0.0, "cannot connect"), ("hang", 3.0, "no answer within 3 s")]
)
def test_req_3_6_ready_follows_azure(
    gateway: GatewayProcess, azure: Handle, mode: str, longer_s: float, why: str
) -> None:
    """Nobody calls: within an interval of Azure's loss the gateway is not ready and says why, within another
    one of its return it is ready. Nothing is billed."""
    assert is_ready(gateway)
    set_both(azure, mode)
    eventually(lambda: not is_ready(gateway), within_s=IN_TIME_S + longer_s)
    eventually(lambda: len(json.loads(page(gateway, "/health/ready").body)["upstreams"]) > 20)
    told = json.loads(page(gateway, "/health/ready").body)
    assert "gpt-4o" in told["models_without_upstream"]
    assert why in told["upstreams"]["east/gpt-4o-prod"]
    assert page(gateway, "/health").status == 503
    assert page(gateway, "/health/live").status == 200
    set_both(azure, "up")
    eventually(lambda: is_ready(gateway), within_s=IN_TIME_S + longer_s)
    assert page(gateway, "/health").status == 200
    assert all("/models" in entry["path"] for entry in azure.log())
    assert billed(azure) == 0


def test_req_3_8_each_deployment_is_watched(gateway: GatewayProcess, azure: Handle) -> None:
    """Those of a region that is lost, and no others, are down within an interval, and up within another."""
    assert all(up(gateway).values())
    azure.set("east", "down")
    lost = {name: not name.startswith("east/") for name in up(gateway)}
    eventually(lambda: up(gateway) == lost, within_s=IN_TIME_S, otherwise=lambda: str(up(gateway)))
    azure.set("east", "up")
    eventually(lambda: all(up(gateway).values()), within_s=IN_TIME_S)
    assert billed(azure) == 0


@pytest.mark.parametrize("error", ["server_error", "invalid_api_key", "firewall_denied"])
def test_what_calls_would_meet_is_known_before_them(
    gateway: GatewayProcess, azure: Handle, error: str
) -> None:
    """The first call goes where it is answered, without a failed attempt."""
    azure.set("east", "error", error=error)
    eventually(lambda: not up(gateway)["east/gpt-4o-prod"], within_s=IN_TIME_S)
    azure.reset()
    azure.set("east", "error", error=error)
    assert ask(gateway.url, request()).headers["x-smalt-attempts"] == "1"
    assert set(tried(azure)) >= {"sweden"}
    assert [entry["resource"] for entry in azure.log() if entry["operation"] == "chat/completions"] == [
        "sweden"
    ]


@pytest.mark.parametrize("error", ["rate_limit_tokens_classic", "resource_not_found"])
def test_who_speaks_is_up(gateway: GatewayProcess, azure: Handle, error: str) -> None:
    """A spent quota or an unknown path is no loss."""
    set_both(azure, "error", error=error)
    eventually(lambda: len(azure.log("east")) >= 3, within_s=3 * IN_TIME_S)
    assert all(up(gateway).values())


def test_no_probes_if_none_are_wanted(azure: Handle, tmp_path: Path) -> None:
    """A reload turns them off."""
    with gateway_process(tmp_path, world.written(azure, gateway={"probe_every_s": 0.1})):
        eventually(lambda: bool(azure.log("east")))
        file = tmp_path / "smalt.yaml"
        told = json.loads(file.read_text())
        told["gateway"]["probe_every_s"] = 0
        file.write_text(json.dumps(told))
        eventually(lambda: _is_silent(azure), within_s=10)


def _is_silent(azure: Handle) -> bool:
    asked = len(azure.log())
    time.sleep(0.5)
    return len(azure.log()) == asked
