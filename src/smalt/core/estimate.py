"""How many tokens a prompt has, estimated from its length by what earlier answers reported."""

from typing import Final

CHARGED_TOKENS_PER_BYTE: Final = 0.25  # Azure charges one for four characters; a byte is one at most
NEWEST_WEIGHT: Final = 0.05
SHORTEST_BYTES: Final = 200  # below, what every prompt has around its text weighs too much
RANGE_TOKENS_PER_BYTE: Final = (0.02, 1.0)


class TokenEstimate:
    """Of one model."""

    __slots__ = ("tokens_per_byte",)

    def __init__(self) -> None:
        self.tokens_per_byte = CHARGED_TOKENS_PER_BYTE

    def tokens(self, prompt_bytes: int) -> int:
        return int(prompt_bytes * self.tokens_per_byte) + 1

    def charged_tokens(self, prompt_bytes: int) -> int:
        """What a quota is charged for the prompt, rather too much than too little."""
        return int(prompt_bytes * max(self.tokens_per_byte, CHARGED_TOKENS_PER_BYTE)) + 1

    def learn(self, prompt_bytes: int, input_tokens: int) -> None:
        if prompt_bytes < SHORTEST_BYTES:
            return
        least, most = RANGE_TOKENS_PER_BYTE
        seen = min(most, max(least, input_tokens / prompt_bytes))
        self.tokens_per_byte += NEWEST_WEIGHT * (seen - self.tokens_per_byte)
