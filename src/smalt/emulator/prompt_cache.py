"""Which beginnings of prompts a deployment has seen."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

FIRST_TOKENS = 1_024
STEP_TOKENS = 128
ENTRIES = 100_000  # 16 bytes each; the ones unused for longest go first


class PromptCache:
    """Azure forgets after minutes without use; this one never, so that tests are no matter of time."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def take(self, tokens: Sequence[str], key: str = "") -> int:
        """How many leading tokens were seen before; all of them are from now on.

        `key`: prompts with different keys have nothing in common.
        """
        hits, cached = True, 0
        digest = hashlib.blake2b(key.encode(), digest_size=16)
        start = 0
        for end in range(FIRST_TOKENS, len(tokens) + 1, STEP_TOKENS):
            digest.update("\0".join(tokens[start:end]).encode("utf-8", "surrogatepass"))
            prefix, start = digest.digest(), end
            hits = hits and prefix in self._seen
            if hits:
                cached = end
            self._seen[prefix] = None
            self._seen.move_to_end(prefix)
        while len(self._seen) > ENTRIES:
            self._seen.popitem(last=False)
        return cached


def cacheable(tokens: int) -> int:
    """How many tokens of a prompt of `tokens` can be in the cache."""
    return tokens - tokens % STEP_TOKENS if tokens >= FIRST_TOKENS else 0
