"""The CPU clocks of processes, and cores. Where there is only one core, holding it changes nothing."""

import os
import subprocess
import sys

import pytest
from bench.cpu import LINUX, cpu_s, on_core

pytestmark = pytest.mark.skipif(not LINUX, reason="CPU clocks of processes are Linux's")
WORK = "import time\nwhile (used_s := time.process_time()) < 0.1: pass\nprint(used_s, flush=True)\ninput()"


def cores(pid: int) -> set[int]:
    held = set[int]()
    if sys.platform == "linux":
        held = os.sched_getaffinity(pid)
    return held


def test_the_clock_of_another_process() -> None:
    """It tells what the process itself knows of the time it has worked."""
    words = [sys.executable, "-c", WORK]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        used_s = float(process.stdout.readline())
        assert used_s <= cpu_s(process.pid) < used_s + 0.05
        process.communicate(b"\n")


@pytest.mark.parametrize("number", [0, -1])
def test_a_core_is_held_and_given_back(number: int) -> None:
    """Also by the processes that are started meanwhile, and they keep it."""
    before = cores(0)
    with on_core(number):
        assert cores(0) == {sorted(before)[number]}
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert cores(0) == before
    assert cores(child.pid) == {sorted(before)[number]}
    child.communicate(b"\n")
