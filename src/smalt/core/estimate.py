"""How many tokens a prompt has, estimated from its length by what earlier answers reported."""

from typing import Final

from smalt.core.limits import OUTPUT_UNSAID_TOKENS, Load

CHARGED_TOKENS_PER_BYTE: Final = 0.25  # Azure charges one for four characters; a byte is one at most
NEWEST_WEIGHT: Final = 0.05
SHORTEST_BYTES: Final = 200  # below, what every prompt has around its text weighs too much
RANGE_TOKENS_PER_BYTE: Final = (0.02, 1.0)


class TokenEstimate:
    """Of one model."""

    __slots__ = ("tokens_per_byte",)

    def __init__(self) -> None:
        self.tokens_per_byte = CHARGED_TOKENS_PER_BYTE

    def load(self, prompt_bytes: int, max_tokens: int | None) -> Load:
        """What a request may take. A quota is rather charged too much for its prompt than too little."""
        tokens = int(prompt_bytes * self.tokens_per_byte) + 1
        charged = tokens
        if self.tokens_per_byte < CHARGED_TOKENS_PER_BYTE:
            charged = int(prompt_bytes * CHARGED_TOKENS_PER_BYTE) + 1
        most = OUTPUT_UNSAID_TOKENS if max_tokens is None else max_tokens
        return Load(tokens, most, charged + most)

    def learn(self, prompt_bytes: int, input_tokens: int) -> None:
        if prompt_bytes < SHORTEST_BYTES:
            return
        least, most = RANGE_TOKENS_PER_BYTE
        seen = min(most, max(least, input_tokens / prompt_bytes))
        self.tokens_per_byte += NEWEST_WEIGHT * (seen - self.tokens_per_byte)
