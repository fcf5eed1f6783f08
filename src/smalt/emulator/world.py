"""The running state that data plane and control plane share."""

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from smalt.emulator import fleet
from smalt.emulator.background import Background
from smalt.emulator.bill import Bill
from smalt.emulator.catalogue import model_of
from smalt.emulator.clock import Clock
from smalt.emulator.faults.script import Script
from smalt.emulator.identity.directory import Directory
from smalt.emulator.identity.keys import KeyPair
from smalt.emulator.log import Log
from smalt.emulator.prompt_cache import PromptCache
from smalt.emulator.quota import ProvisionedQuota, quota_for
from smalt.emulator.refusals import catalogue
from smalt.emulator.relay import Relay
from smalt.emulator.responses.store import Store
from smalt.emulator.server import Listener

Mode = Literal["up", "down", "error", "hang"]


@dataclass(slots=True)
class Switches:
    """How a resource behaves at the moment.

    `error`: a name of `errors.json`. `count`: how many requests the mode still has effect on, then it is up
    again; None: all. `pressure`: probability, 0 to 1, that a standard deployment refuses for want of capacity
    behind it. `limit_share`: what is left of its limits. `flex_full`: there is no capacity for flex.
    """

    latency_ms: float
    token_ms: float
    first_token_ms: float = 0.0
    mode: Mode = "up"
    error: str | None = None
    count: int | None = None
    pressure: float = 0.0
    limit_share: float = 1.0
    flex_full: bool = False
    disable_local_auth: bool = False


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
        self.switches = Switches(
            spec.latency_ms,
            spec.token_ms,
            spec.first_token_ms,
            disable_local_auth=spec.disable_local_auth,
        )
        self.keys = KeyPair(spec.name, spec.keys)
        self.quotas = {
            name: quota_for(deployment.model, deployment.sku, deployment.capacity)
            for name, deployment in spec.deployments.items()
        }
        self.caches = {name: PromptCache() for name in spec.deployments}
        self.responses = Store(spec.name)
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

    def set_limit_share(self, share: float) -> None:
        """Only standard deployments lose some of their limit; what is provisioned is reserved."""
        self.switches.limit_share = share
        for quota in self.quotas.values():
            if not isinstance(quota, ProvisionedQuota):
                quota.share = share

    def report(self, now: float) -> dict[str, Any]:
        """`now`: of the emulator's clock."""
        switches = self.switches
        return {
            "id": self.spec.arm_id,
            "url": self.listener.url,
            "port": self.listener.port,
            "region": self.spec.region,
            "listening": self.listener.listening,
            "mode": switches.mode,
            "error": switches.error,
            "count": switches.count,
            "latency_ms": switches.latency_ms,
            "token_ms": switches.token_ms,
            "first_token_ms": switches.first_token_ms,
            "pressure": switches.pressure,
            "limit_share": switches.limit_share,
            "flex_full": switches.flex_full,
            "disable_local_auth": switches.disable_local_auth,
            "requests": self.requests,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "deployments": {name: self._report_deployment(name, now) for name in self.quotas},
        }

    def _report_deployment(self, name: str, now: float) -> dict[str, Any]:
        deployment, quota = self.spec.deployments[name], self.quotas[name]
        version = model_of(deployment.model, deployment.version).version
        told: dict[str, Any] = {"model": deployment.model, "version": version, "sku": deployment.sku}
        if isinstance(quota, ProvisionedQuota):
            return told | {
                "ptu": deployment.capacity,
                "utilization_percent": round(quota.utilization_percent(now), 3),
                "spillover": deployment.spillover,
            }
        return told | {"limit_tpm": deployment.limit_tpm}


class World:
    """`serial`: numbers the answers, so that their ids differ. `dice`: decide what happens by chance."""

    def __init__(self, plan: fleet.Fleet, seed: int) -> None:
        self.seed = seed
        self.faults = Script(seed)
        self.resources = {name: Resource(spec) for name, spec in plan.resources.items()}
        self.serial = itertools.count(1)
        self.clock = Clock(plan.speed)
        self.directory = Directory(plan.identity, plan.arm_ids())
        self.answers = plan.answers
        self.relay = Relay(plan.pass_through) if plan.pass_through else None
        self.background = Background()
        self.bill = Bill()
        self.log = Log()
        self.dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
        catalogue()  # read now: the first error must not be slower than the others
        self._arm()

    @property
    def urls(self) -> dict[str, str]:
        return {name: resource.listener.url for name, resource in self.resources.items()}

    def now(self) -> float:
        """Seconds since the emulator was made, as the log counts them: not those of its clock."""
        return self.clock.uptime_s()

    def wall_s(self) -> int:
        return int(datetime.now(UTC).timestamp())

    def reset(self) -> None:
        """Empty bill, log and responses, refill quotas, undo switches; faults are those of the file again.

        Closed listeners are the caller's to open.
        """
        self.background.cancel()
        self.bill = Bill()
        self.log = Log()
        self.dice.seed(self.seed)
        self.directory.reset()
        for resource in self.resources.values():
            resource.reset()
        self.faults = Script(self.seed)
        self._arm()

    async def close(self) -> None:
        """End what no request waits for."""
        await self.background.close()
        if self.relay:
            await self.relay.close()

    def _arm(self) -> None:
        for resource in self.resources.values():
            self.faults.add(resource.spec.faults, self.clock.now())
