"""The running state that data plane and control plane share."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from smalt.emulator import fleet
from smalt.emulator.bill import Bill
from smalt.emulator.log import Log
from smalt.emulator.quota import TokenWindow
from smalt.emulator.refusals import catalogue
from smalt.emulator.server import Listener

Mode = Literal["up", "down", "error", "hang"]


@dataclass(slots=True)
class Switches:
    """How a resource behaves at the moment.

    `error`: a name of `errors.json`. `count`: how many requests the mode still has effect on, then it is up
    again; None: all.
    """

    latency_ms: float
    token_ms: float
    mode: Mode = "up"
    error: str | None = None
    count: int | None = None


class Resource:
    """One resource at work: its switches, quotas and counters. `listener` is given by whoever runs it."""

    listener: Listener

    def __init__(self, spec: fleet.Resource) -> None:
        self.spec = spec
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything but the requests still in flight."""
        spec = self.spec
        self.switches = Switches(spec.latency_ms, spec.token_ms)
        self.windows = {
            name: TokenWindow(deployment.limit_tpm) for name, deployment in spec.deployments.items()
        }
        self.requests = 0
        self.peak_in_flight = self.in_flight

    @contextmanager
    def busy(self) -> Iterator[None]:
        self.requests += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def take_mode(self) -> tuple[Mode, str | None]:
        """The mode, and name of the error, for the request that arrives now."""
        switches = self.switches
        taken = switches.mode, switches.error
        if switches.count is not None:
            switches.count -= 1
            if switches.count == 0:
                switches.mode, switches.error, switches.count = "up", None, None
        return taken

    def report(self) -> dict[str, Any]:
        switches = self.switches
        return {
            "url": self.listener.url,
            "port": self.listener.port,
            "region": self.spec.region,
            "listening": self.listener.listening,
            "mode": switches.mode,
            "error": switches.error,
            "count": switches.count,
            "latency_ms": switches.latency_ms,
            "token_ms": switches.token_ms,
            "requests": self.requests,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "deployments": {
                name: {"model": deployment.model, "sku": deployment.sku, "limit_tpm": deployment.limit_tpm}
                for name, deployment in self.spec.deployments.items()
            },
        }


class World:
    """`serial`: numbers the answers, so that their ids differ."""

    def __init__(self, plan: fleet.Fleet, seed: int) -> None:
        self.seed = seed
        self.resources = {name: Resource(spec) for name, spec in plan.resources.items()}
        self.serial = itertools.count(1)
        self._started_s = time.monotonic()
        self.bill = Bill()
        self.log = Log()
        catalogue()  # read now: the first error must not be slower than the others

    def now(self) -> float:
        """Seconds since the emulator was made."""
        return time.monotonic() - self._started_s

    def reset(self) -> None:
        """Empty bill and log, refill quotas, undo switches. Closed listeners are the caller's to open."""
        self.bill = Bill()
        self.log = Log()
        for resource in self.resources.values():
            resource.reset()
