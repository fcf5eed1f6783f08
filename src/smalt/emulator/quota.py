"""Tokens per minute of one deployment, charged on arrival and never corrected to real usage."""

import math
from dataclasses import dataclass

WINDOW_S = 60.0
NEVER_S = 86_400.0  # what Azure is reported to answer when one request exceeds the whole limit
CHARS_PER_TOKEN = 4
DEFAULT_OUTPUT_TOKENS = 16  # charged when a chat request names no maximum, as Microsoft's simulator does


@dataclass(frozen=True, slots=True)
class Verdict:
    """`remaining`: tokens left in this minute. `reset_s`: when it ends. `retry_s`: when to ask again."""

    admitted: bool
    limit: int
    remaining: int
    reset_s: float
    retry_s: float = 0.0


@dataclass(slots=True)
class TokenWindow:
    """The minute starts with the first request after the last one ended.

    `limit`: tokens per minute. `now` arguments: seconds on one monotonic clock. A refused request charges
    nothing: only tokens are counted so far, and it brought none in.
    """

    limit: int
    spent: int = 0
    started_s: float = -math.inf

    def admit(self, tokens: int, now: float) -> Verdict:
        if now - self.started_s >= WINDOW_S:
            self.started_s, self.spent = now, 0
        reset_s = WINDOW_S - (now - self.started_s)
        if self.spent + tokens <= self.limit:
            self.spent += tokens
            return Verdict(
                admitted=True, limit=self.limit, remaining=self.limit - self.spent, reset_s=reset_s
            )
        retry_s = NEVER_S if tokens > self.limit else reset_s
        return Verdict(
            admitted=False,
            limit=self.limit,
            remaining=self.limit - self.spent,
            reset_s=reset_s,
            retry_s=retry_s,
        )


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


def charge(prompt: object, output_tokens: int) -> int:
    """Tokens a request costs on arrival. `output_tokens`: the most it may generate."""
    return math.ceil(prompt_chars(prompt) / CHARS_PER_TOKEN) + output_tokens
