"""The CPU clocks of processes, and cores. Where there is only one core, holding it changes nothing."""

import os
import subprocess
import sys

import pytest
from bench.cpu import cpu_s, on_core

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="CPU clocks of processes are Linux's")


def test_the_clock_of_another_process() -> None:
    """It has run for as long as it has worked itself, whatever else the machine did."""
    work = "import sys, time\nwhile time.process_time() < 0.1: pass\nprint(flush=True)\nsys.stdin.read()"
    words = [sys.executable, "-c", work]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.1 <= cpu_s(process.pid) < 0.2
        process.communicate()


@pytest.mark.parametrize("number", [0, -1])
def test_a_core_is_held_and_given_back(number: int) -> None:
    """Also by the processes that are started meanwhile, and they keep it."""
    before = os.sched_getaffinity(0)
    with on_core(number):
        assert os.sched_getaffinity(0) == {sorted(before)[number]}
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert os.sched_getaffinity(0) == before
    assert os.sched_getaffinity(child.pid) == {sorted(before)[number]}
    child.communicate(b"\n")
