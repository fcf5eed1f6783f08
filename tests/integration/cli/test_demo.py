"""`smalt demo`, from start to end and cut short."""

import json
import re
import signal
from decimal import Decimal
from pathlib import Path

import pytest
from tests.integration.cli.commands import end, gone, read_until, running, smalt

pytestmark = pytest.mark.sdk


def test_the_demo_holds_what_it_promises(tmp_path: Path) -> None:
    """Every request is answered, the region's loss included, and our tokens are the emulator's bill."""
    figures = json.loads(smalt("demo", "--json", cwd=tmp_path))

    assert figures["ok"]
    assert figures["faults"] == []
    assert figures["requests"] == {"gateway": 376, "library": 56, "direct": 320, "all": 752}
    for door in ("gateway", "library"):
        crowd = figures["cut"][door]
        assert crowd["by_region"] == {"swedencentral": 50}
        assert crowd["errors"] == []
        assert crowd["rescued"] > 0
    upstreams = figures["upstreams"].values()
    assert all(row["equal"] for row in upstreams)
    assert sum(row["answers"] for row in upstreams) == 752
    assert sum(row["billed"]["requests"] for row in upstreams) == 752
    assert sum(Decimal(row["cost_usd"]) for row in upstreams) == Decimal(figures["cost_usd"]) > 0
    assert figures["latency"]["rounds"] == 300


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    """Interrupted in mid-traffic the demo ends at once, without a traceback, and its processes with it."""
    with running("demo", cwd=tmp_path) as demo:
        told = read_until("goes dark", demo)
        children = [int(pid) for pid in re.findall(r"process (\d+)", told)]
        code, rest = end(demo, signal.SIGINT)

        assert len(children) == 2
        assert code == 130
        assert "Traceback" not in rest
        assert all(gone(pid) for pid in children)


def test_a_killed_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    """Even a demo that cannot put anything away takes its processes along."""
    with running("demo", cwd=tmp_path) as demo:
        told = read_until("gateway", demo)
        demo.kill()

        assert all(gone(int(pid)) for pid in re.findall(r"process (\d+)", told))
