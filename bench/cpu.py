"""Cores, and the CPU time of processes. Linux only: elsewhere no core is held and `cpu_s` is 0."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

LINUX = sys.platform == "linux"


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """Hold this process, and for good what it starts meanwhile, on one core: 0 the first, -1 the last."""
    if sys.platform == "linux":
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {sorted(cores)[number]})
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)
    else:
        yield


def cpu_s(pid: int) -> float:
    """User and system time that a process has used so far."""
    # The clock of clock_getcpuclockid(3): in nanoseconds, where /proc/PID/stat counts steps of 10 ms.
    return time.clock_gettime((~pid << 3) | 2) if LINUX else 0.0
