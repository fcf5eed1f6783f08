"""Azure's admission of standard deployments, modelled from outside.

Azure charges every arriving request its estimate (prompt and the most it may answer) and corrects nothing
afterwards. Tokens are counted by the minute, requests by the second and by ten seconds. A window has a fixed
length and is begun by the first request after the last one ended, so that ours and Azure's soon begin at
different times. For tokens, what answers tell makes up for that; requests are counted in any span of that
length, whenever a window may begin. Sources: Azure OpenAI, "Manage quota", "Understanding rate limits";
"Quotas and limits".
"""

from collections import deque
from typing import Final, Protocol

from msgspec import Struct

from smalt.types import QuotaHints, Usage

NEVER: Final = float("inf")
MINUTE_S: Final = 60.0
REQUEST_SPANS_S: Final = (1.0, 10.0)
TRAVEL_S: Final = (
    0.03  # by so much may requests come closer to, or overtake, each other on their way to Azure
)
NOMINAL_TPM: Final = 120_000.0  # stands in for an unknown limit when loads are compared; a usual first grant
NEARLY_SPENT: Final = 0.8  # of a minute's tokens; told once
CROWDED: Final = 0.9  # of a minute's tokens; the rest is too little to be left to smaller requests
OUTPUT_UNSAID_TOKENS: Final = 16  # what Microsoft's API simulator charges for a request without a maximum


class Load(Struct, frozen=True, gc=False):
    """Tokens a request may take: the prompt's estimate, the most it may answer, and what a deployment paid
    by token is charged for both."""

    input_tokens: int
    output_tokens: int
    tokens: int


class Quota(Protocol):
    """What a deployment takes. Every charge is followed by one `give_back` or one `settle`."""

    charged_tokens: float  # ever; tells how much was charged since some moment

    @property
    def nearly_spent(self) -> bool:
        """Whether that is so, and not told yet."""

    def fits(self, load: Load, now: float) -> bool:
        """Whether a request may go now."""

    def free_at_s(self, load: Load, now: float) -> float:
        """From when on it may; infinite if waiting does not help."""

    def exceeded_by(self, load: Load) -> bool:
        """Whether it is more than the whole quota."""

    def outgrown_by(self, load: Load, now: float) -> bool:
        """Whether there is room for many requests, but not for this one."""

    def charge(self, load: Load, now: float) -> float:
        """A request goes. Gives what of `charged_tokens` Azure has counted when it answers it, at least."""

    def give_back(self, load: Load, charged_at_s: float) -> None:
        """Undo a charge that Azure does not know of."""

    def settle(self, load: Load, usage: Usage | None, now: float) -> None:
        """The request has ended; `usage` is what it took, None if nobody said."""

    def tell(self, hints: QuotaHints, sent_at_s: float, charged_since: float, now: float) -> None:
        """Correct by what Azure said when a request that was sent at `sent_at_s` arrived there. Of the tokens
        charged later than that (`charged_since`) it could not know."""

    def refused_until(self, until_s: float, now: float) -> None:
        """Azure refused a request and named the time when it will take the next."""

    def share(self, now: float) -> float:
        """What is spent: 0 idle, 1 full."""


class Window:
    """What was spent in a span of fixed length. `limit`: the most, infinite if there is none."""

    __slots__ = ("begins_s", "ends_s", "limit", "span_s", "spent")

    def __init__(self, span_s: float, limit: float) -> None:
        self.span_s = span_s
        self.limit = limit
        self.spent = 0.0
        self.begins_s = -NEVER
        self.ends_s = -NEVER

    def fits(self, amount: float, now: float) -> bool:
        """More than the whole limit fits into an untouched window: the amount is an estimate, and there the
        upstream can decide."""
        return now >= self.ends_s or self.spent + amount <= self.limit or not self.spent

    def charge(self, amount: float, now: float) -> None:
        if now >= self.ends_s:
            self.begins_s, self.ends_s = now, now + self.span_s + TRAVEL_S
            self.spent = 0.0
        self.spent += amount

    def give_back(self, amount: float, charged_at_s: float) -> None:
        """A window that has passed since keeps nothing."""
        if self.holds(charged_at_s):
            self.spent = max(0.0, self.spent - amount)

    def holds(self, charged_at_s: float) -> bool:
        """Whether a charge of that time is in this window."""
        return charged_at_s >= self.begins_s

    def spent_now(self, now: float) -> float:
        return self.spent if now < self.ends_s else 0.0


class Pace:
    """At most `limit` requests in any `span_s` seconds."""

    __slots__ = ("_counts_for_s", "_sent_s", "limit", "span_s")

    def __init__(self, span_s: float, limit: int) -> None:
        self.span_s = span_s
        self.limit = limit
        self._counts_for_s = span_s + TRAVEL_S
        self._sent_s: deque[float] = deque()

    @property
    def full_until_s(self) -> float:
        return self.ends_s if len(self._sent_s) >= self.limit else -NEVER

    @property
    def ends_s(self) -> float:
        """When the oldest request counts no longer."""
        return self._sent_s[0] + self._counts_for_s if self._sent_s else -NEVER

    def charge(self, now: float) -> int:
        """How many count now, this one with them."""
        sent_s = self._sent_s
        while sent_s and sent_s[0] + self._counts_for_s <= now:
            sent_s.popleft()
        sent_s.append(now)
        return len(sent_s)

    def give_back(self, charged_at_s: float) -> None:
        if charged_at_s in self._sent_s:
            self._sent_s.remove(charged_at_s)

    def spent_now(self, now: float) -> int:
        return sum(1 for sent_s in self._sent_s if sent_s + self._counts_for_s > now)


class StandardQuota:
    """The windows of a deployment that is paid by token, or of several that share a quota."""

    __slots__ = (
        "_limit_tpm",
        "_on_the_way",
        "_on_the_way_tokens",
        "_requests_full_until_s",
        "_requests_share",
        "_requests_share_until_s",
        "_told_in_s",
        "charged_tokens",
        "requests",
        "tokens",
    )

    def __init__(self, limit_tpm: int | None, limit_rpm: float | None = None) -> None:
        self._limit_tpm = NEVER if limit_tpm is None else limit_tpm
        self.tokens = Window(MINUTE_S, self._limit_tpm)
        self.requests = paces(limit_rpm)
        self._requests_full_until_s = -NEVER
        self._requests_share = 0.0  # after the newest request, and how long that may hold
        self._requests_share_until_s = -NEVER
        self.charged_tokens = 0.0
        self._on_the_way: deque[tuple[float, int]] = deque()  # when and how much
        self._on_the_way_tokens = 0
        self._told_in_s = -NEVER  # end of the window in which `nearly_spent` was told last

    def fits(self, load: Load, now: float) -> bool:
        window = self.tokens  # asked for every upstream of every call: `Window.fits` is written out
        return now >= self._requests_full_until_s and (
            now >= window.ends_s or window.spent + load.tokens <= window.limit or not window.spent
        )

    def free_at_s(self, load: Load, now: float) -> float:
        free_at_s = now
        if not self.tokens.fits(load.tokens, now):
            free_at_s = NEVER if self.exceeded_by(load) else self.tokens.ends_s
        return max(free_at_s, self._requests_full_until_s)

    def exceeded_by(self, load: Load) -> bool:
        return load.tokens > self.tokens.limit

    def outgrown_by(self, load: Load, now: float) -> bool:
        window = self.tokens
        return not window.fits(load.tokens, now) and window.spent < CROWDED * window.limit

    def charge(self, load: Load, now: float) -> float:
        """A request larger than the limit is charged nothing: Azure refuses it without counting its tokens,
        or admits it and tells what remains."""
        tokens = 0 if load.tokens > self.tokens.limit else load.tokens
        self.tokens.charge(tokens, now)
        self.charged_tokens += tokens
        for pace in self.requests:
            count = pace.charge(now)
            if count >= pace.limit:
                self._requests_full_until_s = max(self._requests_full_until_s, pace.ends_s)
            self._requests_share = count / pace.limit  # the longest comes last
            self._requests_share_until_s = now + pace.span_s
        on_the_way = self._on_the_way  # requests that this one may overtake
        while on_the_way and now - on_the_way[0][0] > TRAVEL_S:
            self._on_the_way_tokens -= on_the_way.popleft()[1]
        counted_tokens = self.charged_tokens - self._on_the_way_tokens
        on_the_way.append((now, tokens))
        self._on_the_way_tokens += tokens
        return counted_tokens

    def give_back(self, load: Load, charged_at_s: float) -> None:
        if not self.exceeded_by(load):
            self.tokens.give_back(load.tokens, charged_at_s)
        for pace in self.requests:
            pace.give_back(charged_at_s)
        self._requests_full_until_s = max((pace.full_until_s for pace in self.requests), default=-NEVER)

    def settle(self, load: Load, usage: Usage | None, now: float) -> None:
        """Azure corrects nothing here."""

    def tell(self, hints: QuotaHints, sent_at_s: float, charged_since: float, now: float) -> None:
        if hints.limit_tokens is not None:
            self.tokens.limit = min(self._limit_tpm, hints.limit_tokens)
            current = now < self.tokens.ends_s and self.tokens.holds(sent_at_s)
            if hints.remaining_tokens is not None and current:
                spent = hints.limit_tokens - hints.remaining_tokens + charged_since
                self.tokens.spent = max(0.0, spent)
        if hints.limit_requests is not None and not self.requests:
            # documented by the minute, but live headers tell of ten seconds
            self.requests = paces(hints.limit_requests * MINUTE_S / REQUEST_SPANS_S[-1])

    def refused_until(self, until_s: float, now: float) -> None:
        """Longer than requests are counted, or with few tokens left: it is their minute that ends then."""
        if until_s - now > REQUEST_SPANS_S[-1] or self.tokens.spent >= CROWDED * self.tokens.limit:
            if self._told_in_s == self.tokens.ends_s:
                self._told_in_s = until_s  # it is the same minute
            self.tokens.ends_s = until_s

    def share(self, now: float) -> float:
        """Of the tokens or of the requests, whichever is spent more. What requests have spent is as of the
        newest one."""
        window = self.tokens
        share = 0.0
        if now < window.ends_s:
            share = window.spent / (NOMINAL_TPM if window.limit == NEVER else window.limit)
        if now < self._requests_share_until_s and self._requests_share > share:
            return self._requests_share
        return share

    @property
    def nearly_spent(self) -> bool:
        """Of the tokens of this minute, and not told yet."""
        window = self.tokens
        return window.spent >= NEARLY_SPENT * window.limit and self._told_in_s != window.ends_s

    def told(self) -> None:
        """That it is nearly spent: once a minute."""
        self._told_in_s = self.tokens.ends_s


def paces(limit_rpm: float | None) -> tuple[Pace, ...]:
    """By the second and by ten; where those would hold less than one request, by the minute."""
    if limit_rpm is None:
        return ()
    spans_s = [span_s for span_s in REQUEST_SPANS_S if limit_rpm * span_s >= MINUTE_S] or [MINUTE_S]
    return tuple(Pace(span_s, max(1, int(limit_rpm * span_s / MINUTE_S))) for span_s in spans_s)
