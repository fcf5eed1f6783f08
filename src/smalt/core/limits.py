"""Azure's admission, modelled from outside: what an upstream still has in the current minute."""

from dataclasses import dataclass

from smalt.types import Facts

WINDOW_S = 60.0  # Azure counts tokens per minute (Quota management, "Understanding rate limits")
MAX_TOKENS_UNSAID = 16  # what Microsoft's API simulator charges for a request without max_tokens


def arrival_charge(facts: Facts) -> int:
    """Tokens Azure counts against the quota when the request arrives, whatever it uses in the end."""
    if facts.max_tokens is None:
        return facts.prompt_tokens + MAX_TOKENS_UNSAID
    return facts.prompt_tokens + facts.max_tokens


@dataclass(slots=True)
class TokenWindow:
    """Tokens charged to one upstream in the current minute. `limit_tpm` None: no limit of ours."""

    limit_tpm: int | None
    charged_tokens: int = 0
    started_s: float = float("-inf")

    def fits(self, tokens: int, now: float) -> bool:
        """Whether a request may go now. One larger than the limit may when the minute is untouched: its
        size is an estimate, and whether it is too large says the upstream."""
        return self.limit_tpm is None or self.charged(now) + min(tokens, self.limit_tpm) <= self.limit_tpm

    def exceeded_by(self, tokens: int) -> bool:
        return self.limit_tpm is not None and tokens > self.limit_tpm

    def charged(self, now: float) -> int:
        return self.charged_tokens if now < self.ends_s else 0

    @property
    def ends_s(self) -> float:
        return self.started_s + WINDOW_S

    def charge(self, tokens: int, now: float) -> None:
        if now >= self.ends_s:
            self.started_s, self.charged_tokens = now, 0
        self.charged_tokens += tokens

    def give_back(self, tokens: int, charged_at_s: float) -> None:
        """Undo a charge that the upstream does not count; a window that has passed since keeps nothing."""
        if charged_at_s >= self.started_s:
            self.charged_tokens -= tokens
