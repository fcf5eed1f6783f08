"""What the engine knows of one upstream, shared by every route that leads to it."""

from dataclasses import dataclass, field

from smalt.core.limits import TokenWindow
from smalt.core.reactions import Cooldown
from smalt.core.settings import UpstreamSpec

NOMINAL_TPM = 120_000  # stands in for an unknown quota when loads are compared; a usual first grant


@dataclass(slots=True)
class UpstreamState:
    """Health, load and traffic of one upstream. All times: seconds on the engine's clock."""

    spec: UpstreamSpec
    window: TokenWindow = field(init=False)
    in_flight: int = 0
    failures_in_a_row: int = 0
    cools_until_s: float = float("-inf")
    flagged: bool = False
    reason: str | None = None

    def __post_init__(self) -> None:
        self.window = TokenWindow(self.spec.limit_tpm)

    def healthy(self, now: float) -> bool:
        return now >= self.cools_until_s

    def available(self, tokens: int, now: float) -> bool:
        return self.healthy(now) and self.window.fits(tokens, now)

    def available_at_s(self, tokens: int, now: float) -> float:
        """When waiting makes this upstream available; infinite if waiting does not help."""
        if self.flagged and not self.healthy(now):
            return float("inf")
        return max(self.cools_until_s, now if self.window.fits(tokens, now) else self.window.ends_s)

    def load(self, now: float) -> float:
        """Share of the minute's tokens that is spent: 0 idle, 1 full."""
        return self.window.charged(now) / (self.spec.limit_tpm or NOMINAL_TPM)

    def failed(self, now: float) -> None:
        """Counts a failure. Those that come in while it rests belong to the one that sent it to rest."""
        if self.healthy(now) or self.failures_in_a_row == 0:
            self.failures_in_a_row += 1

    def cool(self, rest: Cooldown, reason: str, now: float) -> None:
        """Of several rests the latest end counts, and a flag among them stays until then."""
        stays = self.flagged and not self.healthy(now)
        if rest.flagged or not stays:
            self.flagged, self.reason = rest.flagged, reason
        self.cools_until_s = max(self.cools_until_s, now + rest.seconds)

    def answered(self) -> None:
        """A success lifts a flag, but not a rest: one request may pass while the quota is spent."""
        self.failures_in_a_row = 0
        if self.flagged:
            self.flagged, self.reason, self.cools_until_s = False, None, float("-inf")


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """A snapshot for people and probes. `cools_for_s` is 0 when healthy; `reason` says why it is not."""

    name: str
    model: str
    region: str | None
    available: bool
    cools_for_s: float
    reason: str | None
    in_flight: int
    charged_tokens: int
    limit_tpm: int | None


def status(state: UpstreamState, now: float) -> UpstreamStatus:
    healthy = state.healthy(now)
    return UpstreamStatus(
        name=state.spec.name,
        model=state.spec.model,
        region=state.spec.region,
        available=state.available(1, now),
        cools_for_s=0.0 if healthy else state.cools_until_s - now,
        reason=None if healthy else state.reason,
        in_flight=state.in_flight,
        charged_tokens=state.window.charged(now),
        limit_tpm=state.spec.limit_tpm,
    )
