"""How much a deployment takes, and when it refuses. Pure: `now` is in seconds on one monotonic clock.

**Standard** deployments have windows, all of fixed length and begun by the first request after the last one
ended: tokens of a minute, requests of one and of ten seconds. Every arrival is charged its estimate at once,
also one that is refused, so that hammering prolongs the refusal; nothing is ever corrected. Only a request
larger than the whole limit brings in no tokens: it would block the others for nothing.

**Provisioned** deployments have a bucket of one minute's throughput that drains all the time. It may overflow
once; then everything is refused until it is down to its brim. Refused requests bring nothing in, and what was
estimated is replaced by real usage when a request ends.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from smalt.emulator.rates import PROVISIONED_SKUS, THROUGHPUT, Throughput, requests_per_minute

MINUTE_S = 60.0
NEVER_S = 86_400.0  # what Azure is reported to answer when one request exceeds the whole limit
CHARS_PER_TOKEN = 4
DEFAULT_OUTPUT_TOKENS = 16  # charged when a request names no maximum, as Microsoft's simulator does

_REQUEST_WINDOWS_S = (1, 10)
_ROUNDING_S = 1e-9  # so that who waits exactly as long as told is not refused by the last bit of a float
_OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")

Cause = Literal["tokens", "requests", "size", "utilization"]


@dataclass(frozen=True, slots=True)
class Load:
    """Tokens of a request: the estimate when it arrives, the usage when it ends. Input includes cached."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a window stands once a request is charged. `reset_s`: until it ends."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused`: None if admitted. `retry_s`: the shortest wait after which the same request can be admitted.

    `tokens`, `requests`: of standard deployments. `utilization_percent`: of provisioned ones.
    """

    refused: Cause | None = None
    retry_s: float = 0.0
    tokens: Standing | None = None
    requests: Standing | None = None
    utilization_percent: float | None = None


class Quota(Protocol):
    def admit(self, load: Load, now: float) -> Verdict:
        """Charge an arriving request and say whether it may go on."""

    def settle(self, estimate: Load, used: Load, now: float) -> None:
        """An admitted request has ended: to be told once, also if it failed."""


class StandardQuota:
    """`share`: what is left of the limit while Azure reduces it for a time, above 0 and up to 1."""

    def __init__(self, model: str, limit_tpm: int) -> None:
        self.limit_tpm = limit_tpm
        self.share = 1.0
        self._tokens = _Window(MINUTE_S)
        rps = requests_per_minute(model, limit_tpm) / 60
        spans = [span_s for span_s in _REQUEST_WINDOWS_S if rps * span_s >= 1] or [60]
        self._requests = [(_Window(span_s), float(rps * span_s)) for span_s in spans]

    def admit(self, load: Load, now: float) -> Verdict:
        size, limit = load.input_tokens + load.output_tokens, int(self.limit_tpm * self.share)
        fitting = size <= limit
        tokens_wait_s, tokens = self._tokens.charge(size if fitting else 0, limit, now)
        requests_wait_s = 0.0
        for window, allowed in self._requests:  # the longest comes last: it is the one headers tell of
            wait_s, requests = window.charge(1, max(1, int(allowed * self.share)), now)
            requests_wait_s = max(requests_wait_s, wait_s)
        refused: Cause | None = None
        if not fitting:
            refused, retry_s = "size", NEVER_S
        else:
            retry_s = max(tokens_wait_s, requests_wait_s)
            if retry_s:
                refused = "tokens" if tokens_wait_s == retry_s else "requests"
        return Verdict(refused, retry_s, tokens, requests)

    def settle(self, estimate: Load, used: Load, now: float) -> None:
        """Azure corrects nothing here."""


class ProvisionedQuota:
    """The bucket. Its content is counted in uncached input tokens."""

    def __init__(self, throughput: Throughput, ptu: int) -> None:
        self._throughput = throughput
        self._brim = float(throughput.input_tpm * ptu)
        self._drain_per_s = self._brim / MINUTE_S
        self._content = 0.0
        self._seen_s = -math.inf

    def admit(self, load: Load, now: float) -> Verdict:
        self._drain(now)
        retry_s = (self._content - self._brim) / self._drain_per_s
        if retry_s > _ROUNDING_S:
            return Verdict("utilization", retry_s, utilization_percent=self._percent)
        self._content += self._cost(load)
        return Verdict(utilization_percent=self._percent)

    def settle(self, estimate: Load, used: Load, now: float) -> None:
        self._drain(now)
        self._content = max(0.0, self._content + self._cost(used) - self._cost(estimate))

    def utilization_percent(self, now: float) -> float:
        self._drain(now)
        return self._percent

    @property
    def _percent(self) -> float:
        return 100 * self._content / self._brim

    def _cost(self, load: Load) -> float:
        rates = self._throughput
        fresh = load.input_tokens - load.cached_tokens
        return fresh + rates.cached_weight * load.cached_tokens + rates.output_weight * load.output_tokens

    def _drain(self, now: float) -> None:
        if now > self._seen_s:
            self._content = max(0.0, self._content - (now - self._seen_s) * self._drain_per_s)
            self._seen_s = now


def quota_for(model: str, sku: str, capacity: int) -> StandardQuota | ProvisionedQuota:
    """The quota of a new deployment. `capacity`: PTUs if provisioned, else thousands of tokens a minute."""
    if sku in PROVISIONED_SKUS:
        return ProvisionedQuota(THROUGHPUT[model], capacity)
    return StandardQuota(model, capacity * 1_000)


def prompt_chars(prompt: object) -> int:
    """Characters of `messages` or `input`: contents and text parts only; a token id stands for four.

    Never fails: the charge is taken before the request is checked.
    """
    match prompt:
        case str():
            return len(prompt)
        case list():
            return sum(map(prompt_chars, prompt))
        case dict():
            return prompt_chars(prompt.get("content") or prompt.get("text"))
        case int():
            return CHARS_PER_TOKEN
        case _:
            return 0


def prompt_charge(prompt: object) -> int:
    """Input tokens charged on arrival, estimated from characters and not counted."""
    return math.ceil(prompt_chars(prompt) / CHARS_PER_TOKEN)


def output_charge(body: Mapping[str, Any]) -> int:
    """Output tokens charged on arrival: the most the answer may have, for each candidate. Bears any body."""
    asked = next((body[name] for name in _OUTPUT_LIMITS if body.get(name)), None)
    most = asked if isinstance(asked, int) and asked > 0 else DEFAULT_OUTPUT_TOKENS
    best_of = body.get("best_of")
    return most * best_of if isinstance(best_of, int) and best_of > 0 else most


class _Window:
    def __init__(self, span_s: float) -> None:
        self.span_s = span_s
        self._spent = 0
        self._ends_s = -math.inf

    def charge(self, amount: int, limit: int, now: float) -> tuple[float, Standing]:
        """How long to wait before asking again, 0 if `amount` fitted."""
        if now >= self._ends_s - _ROUNDING_S:
            self._ends_s, self._spent = now + self.span_s, 0
        self._spent += amount
        left, reset_s = limit - self._spent, self._ends_s - now
        return reset_s if left < 0 else 0.0, Standing(limit, max(0, left), reset_s)
