"""What the engine knows of one upstream, shared by every route that leads to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from zlib import crc32

from smalt.core.health import Health
from smalt.core.latency import Latency
from smalt.core.limits import Load, Pace, Quota, StandardQuota, Window
from smalt.core.provisioned import ProvisionedQuota
from smalt.core.settings import BreakerSpec, UpstreamSpec
from smalt.types import Notice, NoticeKind

FULL: Final = "full"
MOST_REPEATS: Final = 100.0  # in a row on one upstream, by all calls together
REPEATS_PER_ANSWER: Final = 0.2  # earned back


class UpstreamState:
    """Health, quota, speed and traffic. All times: seconds on the engine's clock.

    `fits(load, now)`: whether its quotas take a request. `share(now)`: of them that is spent, 1 is full.
    `mark`: a number that stays the same for its name, wherever it runs. `repeats_left`: the retry budget.
    `waiting`: calls in the line that wait for this upstream, too.
    """

    __slots__ = (
        "first_byte",
        "fits",
        "group",
        "health",
        "in_flight",
        "mark",
        "own",
        "quotas",
        "repeats_left",
        "share",
        "spec",
        "total",
        "waiting",
    )

    def __init__(self, spec: UpstreamSpec, breaker: BreakerSpec, group: StandardQuota | None = None) -> None:
        self.spec = spec
        self.mark = crc32(spec.name.encode()) | 1
        self.health = Health(breaker)
        self.group = group
        self._use(quota(spec))
        self.first_byte = Latency()
        self.total = Latency()
        self.in_flight = 0
        self.repeats_left = MOST_REPEATS
        self.waiting = 0

    def inherit(self, old: "UpstreamState") -> None:
        """Go on from what was known before the settings changed; the quota only if it is the same."""
        self.health, self.first_byte, self.total = old.health, old.first_byte, old.total
        if _quota_settings(self.spec) == _quota_settings(old.spec):
            self._use(old.own)

    def _use(self, own: Quota) -> None:
        self.own = own
        group = self.group
        if group is None:
            self.quotas: tuple[Quota, ...] = (own,)
            self.fits, self.share = own.fits, own.share  # asked for every upstream of every call
        else:
            self.quotas = (own, group)
            self.fits = lambda load, now: own.fits(load, now) and group.fits(load, now)
            self.share = lambda now: max(own.share(now), group.share(now))

    def obstacle(self, load: Load, now: float) -> str | None:
        """Why a request cannot be sent now, None if it can."""
        health = self.health
        if now < health.until_s or health.probing:
            return health.resting(now)
        return None if self.fits(load, now) else FULL

    def free_at_s(self, load: Load, now: float) -> float:
        """When waiting makes a request possible; infinite if waiting does not help."""
        return max(self.health.waits_until_s(now), *(quota.free_at_s(load, now) for quota in self.quotas))

    def exceeded_by(self, load: Load) -> bool:
        """Whether the request is more than a whole minute's quota."""
        return any(quota.exceeded_by(load) for quota in self.quotas)

    def outgrown_by(self, load: Load, now: float) -> bool:
        """Whether it has room for many requests, but not for this one."""
        if self.health.resting(now) is not None:
            return False
        return any(quota.outgrown_by(load, now) for quota in self.quotas)

    def takes_longer_prompts_than(self, other: "UpstreamState") -> bool:
        """As far as is known. Provisioned deployments of one model take shorter ones than those paid by token
        (Azure OpenAI, models: gpt-4.1)."""
        mine, others = self.spec.context_tokens, other.spec.context_tokens
        if mine is not None and others is not None and mine != others:
            return mine > others
        return self.spec.throughput is None and other.spec.throughput is not None

    def nearly_spent(self) -> Notice | None:
        """Told once in a minute whose tokens are nearly spent."""
        quota = self.own
        if not isinstance(quota, StandardQuota) or not quota.nearly_spent:
            return None
        quota.told()
        spent, limit = int(quota.tokens.spent), int(quota.tokens.limit)
        data = {"tokens_per_minute": spent, "quota": limit, "usage_pct": round(100 * spent / limit, 1)}
        text = f"{spent:,} of {limit:,} tokens of this minute are spent"
        return Notice(NoticeKind.QUOTA_NEARLY_SPENT, self.spec.name, text, data)

    def may_repeat(self) -> bool:
        """Spend from the retry budget."""
        if self.repeats_left < 1:
            return False
        self.repeats_left -= 1
        return True

    @property
    def answered_s(self) -> float:
        """When it last answered a call; minus infinity if it never did."""
        return max(self.first_byte.answered_s, self.total.answered_s)

    def answered(self) -> None:
        """Earn a part of a repeat."""
        self.repeats_left = min(MOST_REPEATS, self.repeats_left + REPEATS_PER_ANSWER)


def quota(spec: UpstreamSpec) -> Quota:
    """The quota an upstream starts with."""
    if spec.throughput is not None:
        return ProvisionedQuota(spec.throughput)
    return StandardQuota(spec.limit_tpm, spec.limit_rpm)


def _quota_settings(spec: UpstreamSpec) -> tuple[object, ...]:
    return spec.limit_tpm, spec.limit_rpm, spec.throughput


@dataclass(frozen=True, slots=True)
class WindowStatus:
    """`limit`: None if there is none. `resets_in_s`: 0 if the window has not begun."""

    counts: str
    span_s: float
    spent: int
    limit: int | None
    resets_in_s: float


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """A snapshot for people and probes.

    `state`: available, full, or how it rests: cooling, flagged, parked, open, probing; `rests_for_s` how long
    still, `reason` why. `share`: of the quota that is spent, 1 is full. Latencies: lately, None if unknown.
    """

    name: str
    model: str
    region: str | None
    state: str
    rests_for_s: float
    reason: str | None
    in_flight: int
    waiting: int
    share: float
    windows: Sequence[WindowStatus]
    first_byte_s: float | None
    total_s: float | None
    breaker: Literal["closed", "open", "half_open"] = "closed"

    @property
    def available(self) -> bool:
        return self.state == "available"


_SMALLEST = Load(0, 1, 1)


def status(state: UpstreamState, now: float) -> UpstreamStatus:
    return UpstreamStatus(
        name=state.spec.name,
        model=state.spec.model,
        region=state.spec.region,
        state=str(state.obstacle(_SMALLEST, now) or "available"),
        rests_for_s=max(0.0, state.health.until_s - now),
        reason=state.health.why(now),
        in_flight=state.in_flight,
        waiting=state.waiting,
        share=state.share(now),
        windows=_windows(state.own, now),
        first_byte_s=state.first_byte.average_s,
        total_s=state.total.average_s,
        breaker=state.health.breaker_state(now),
    )


def _windows(quota: Quota, now: float) -> tuple[WindowStatus, ...]:
    if not isinstance(quota, StandardQuota):
        return ()
    requests = (_window("requests", window, now) for window in quota.requests)
    return (_window("tokens", quota.tokens, now), *requests)


def _window(counts: str, window: Window | Pace, now: float) -> WindowStatus:
    limit = None if window.limit == float("inf") else int(window.limit)
    resets_in_s = max(0.0, window.ends_s - now)
    return WindowStatus(counts, window.span_s, int(window.spent_now(now)), limit, resets_in_s)
