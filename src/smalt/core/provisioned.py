"""The admission of provisioned deployments: a leaky bucket, modelled from outside.

The bucket holds one minute's throughput, counted in uncached input tokens, and drains all the time. It may
overflow once; then everything is refused until it is down to its brim. What was estimated on arrival is
replaced by real usage when a request ends. Source: Azure OpenAI, "Provisioned throughput", "How utilization
performance works".
"""

from typing import Final

from smalt.core.limits import MINUTE_S, NEVER, Load
from smalt.core.settings import Throughput
from smalt.types import QuotaHints, Usage

_ROUNDING_TOKENS: Final = 1e-3  # so that who waits as long as told is not kept by the last bit of a float


class ProvisionedQuota:
    """The bucket of one deployment."""

    __slots__ = ("_brim", "_content", "_drain_per_s", "_rates", "_seen_s", "charged_tokens")

    def __init__(self, throughput: Throughput) -> None:
        self._rates = throughput
        self._brim = float(throughput.input_tpm)
        self._drain_per_s = self._brim / MINUTE_S
        self._content = 0.0
        self._seen_s = -NEVER
        self.charged_tokens = 0.0

    @property
    def nearly_spent(self) -> bool:
        """Not told of: throughput that is paid for may well be used up."""
        return False

    def fits(self, load: Load, now: float) -> bool:
        return self._content_now(now) <= self._brim + _ROUNDING_TOKENS

    def free_at_s(self, load: Load, now: float) -> float:
        return now + max(0.0, self._content_now(now) - self._brim) / self._drain_per_s

    def exceeded_by(self, load: Load) -> bool:
        """Never: the bucket may overflow."""
        return False

    def outgrown_by(self, load: Load, now: float) -> bool:
        """Never: as above."""
        return False

    def charge(self, load: Load, now: float) -> float:
        self._add(self._cost(load.input_tokens, load.output_tokens), now)
        return self.charged_tokens

    def give_back(self, load: Load, charged_at_s: float) -> None:
        self._add(-self._cost(load.input_tokens, load.output_tokens), self._seen_s)

    def settle(self, load: Load, usage: Usage | None, now: float) -> None:
        """Not reported: as estimated, but no more than a minute's throughput. A caller may name any maximum
        and leave."""
        estimate = self._cost(load.input_tokens, load.output_tokens)
        if usage is None:
            used = min(estimate, self._brim)
        else:
            used = self._cost(usage.input_tokens, usage.output_tokens, usage.cached_tokens)
        self._add(used - estimate, now)

    def tell(self, hints: QuotaHints, sent_at_s: float, charged_since: float, now: float) -> None:
        """Only upwards, by what others have used: our own requests are known better than from an answer,
        which lacks those it has overtaken and may hold corrections that we have made since, too."""
        if hints.utilization is None:
            return
        drained = (now - sent_at_s) * self._drain_per_s
        told = hints.utilization * self._brim + charged_since - drained
        self._content = max(self._content_now(now), told)

    def refused_until(self, until_s: float, now: float) -> None:
        """Full until then: the content that drains to the brim by that time."""
        self._content_now(now)
        self._content = self._brim + (until_s - now) * self._drain_per_s

    def share(self, now: float) -> float:
        return self._content_now(now) / self._brim

    def _cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
        rates = self._rates
        cached = cached_tokens * (1.0 - rates.cached_weight)
        return input_tokens - cached + rates.output_weight * output_tokens

    def _add(self, tokens: float, now: float) -> None:
        self._content = max(0.0, self._content_now(now) + tokens)
        self.charged_tokens += tokens

    def _content_now(self, now: float) -> float:
        if now > self._seen_s:
            self._content = max(0.0, self._content - (now - self._seen_s) * self._drain_per_s)
            self._seen_s = now
        return self._content
