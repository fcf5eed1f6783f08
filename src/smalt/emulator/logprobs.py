"""How sure the model was of its tokens: made up, but repeatable and falling from the likeliest on."""

from collections.abc import Iterator, Sequence
from typing import Any

from smalt.emulator.text import WORDS, dice


def logprobs(token: str, rank: int, top: int) -> dict[str, Any]:
    """Of one token as chat and Responses tell them. `rank`: its place in the answer. `top`: alternatives."""
    (value,) = _values(token, rank, 1)
    told = {**_one(token, value), "top_logprobs": []}
    if top:
        others = [f" {word}" for word in WORDS if f" {word}" != token]
        rest = zip(
            [token, *others, *(f"{word}." for word in others)], _values(token, rank, top), strict=False
        )
        told["top_logprobs"] = [_one(other, value) for other, value in rest]
    return told


def legacy(tokens: Sequence[str], top: int, offset: int = 0) -> dict[str, Any]:
    """Of a whole completion. `offset`: characters before it."""
    told = [logprobs(token, rank, top) for rank, token in enumerate(tokens)]
    offsets = [offset]
    for token in tokens:
        offsets.append(offsets[-1] + len(token))
    return {
        "tokens": list(tokens),
        "token_logprobs": [one["logprob"] for one in told],
        "top_logprobs": [{alt["token"]: alt["logprob"] for alt in one["top_logprobs"]} for one in told]
        if top
        else None,
        "text_offset": offsets[:-1],
    }


def _values(token: str, rank: int, count: int) -> Iterator[float]:
    roll, value = dice("logprobs", token, rank), 0.0
    for _ in range(count):
        value -= roll.uniform(0.01, 0.6)
        yield round(value, 6)


def _one(token: str, value: float) -> dict[str, Any]:
    return {"token": token, "logprob": value, "bytes": list(token.encode("utf-8", "surrogatepass"))}
