from collections.abc import Callable
from dataclasses import replace

import pytest

from smalt.emulator import chat
from smalt.emulator.answers import Call
from smalt.emulator.prompt_cache import PromptCache, cacheable

Make = Callable[..., Call]


def tokens(count: int, *, other_from: int | None = None) -> list[str]:
    split = count if other_from is None else other_from
    return [f"t{n}" for n in range(split)] + [f"u{n}" for n in range(split, count)]


@pytest.mark.parametrize(
    ("first", "second", "cached"),
    [
        (tokens(1_023), tokens(1_023), 0),
        (tokens(1_024), tokens(1_024), 1_024),
        (tokens(1_151), tokens(1_151), 1_024),
        (tokens(1_500), tokens(1_400), 1_280),
        (tokens(1_400), tokens(1_500), 1_280),
        (tokens(2_000), tokens(2_000, other_from=1_200), 1_152),
        (tokens(2_000), tokens(2_000, other_from=1_000), 0),
    ],
)
def test_equal_beginnings_are_cached_in_steps(first: list[str], second: list[str], cached: int) -> None:
    """From 1,024 tokens on, by 128."""
    cache = PromptCache()
    assert cache.take(first) == 0
    assert cache.take(second) == cached
    assert cache.take(second) == cacheable(len(second))


def test_keys_keep_prompts_apart() -> None:
    """The same prompt under another key is new."""
    cache = PromptCache()
    cache.take(tokens(1_100), "one")
    assert cache.take(tokens(1_100), "two") == 0
    assert cache.take(tokens(1_100), "one") == 1_024


@pytest.mark.parametrize(("model", "cached"), [("gpt-4o", 1_024), ("gpt-4-turbo", 0)])
def test_usage_tells_what_was_cached(chat_call: Make, model: str, cached: int) -> None:
    """Only models that cache; the deployment's cache is shared by its calls."""
    messages = [{"role": "user", "content": "word " * 1_080}]
    call = chat_call(model=model, messages=messages)
    again = replace(chat_call(model=model, messages=messages), cache=call.cache)
    assert chat.answer(call).cached_tokens == 0
    answer = chat.answer(again)
    assert answer.body
    assert answer.cached_tokens == cached
    assert answer.body["usage"]["prompt_tokens_details"]["cached_tokens"] == cached


def test_later_models_tell_what_they_wrote(chat_call: Make) -> None:
    """Since gpt-5.6 a write has its price: once, then it is a read."""
    messages = [{"role": "user", "content": "word " * 1_200}]
    call = chat_call(model="gpt-5.6-sol", version="v1", messages=messages)
    details = []
    for _ in range(2):
        body = chat.answer(call).body
        assert body
        told = body["usage"]["prompt_tokens_details"]
        details.append((told["cached_tokens"], told["cache_write_tokens"]))
    assert details == [(0, 1_152), (1_152, 0)]
