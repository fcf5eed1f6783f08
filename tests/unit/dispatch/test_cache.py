"""The exact cache: what it keeps, for how long, and how much."""

import threading
from typing import Any

import pytest

from smalt.dispatch.cache import LARGEST_BYTES, MOST_BYTES, AnswerCache
from smalt.types import Facts, Operation, Usage

BODY = b'{"model":"gpt-4o"}'
ANSWER = b'{"choices":[]}'
USAGE = Usage(7, 3)


def facts(model: str = "gpt-4o", operation: Operation = Operation.CHAT, **more: Any) -> Facts:
    return Facts(operation, model, **more)


def found(cache: AnswerCache, body: bytes = BODY, *, now: float = 0.0, **asked: Any) -> bytes | None:
    kept = cache.find(facts(**asked), body, now)
    return kept.body if kept else None


def keeping(*bodies: bytes, size: int = 10, ttl_s: float = 60.0) -> AnswerCache:
    """A cache that has kept an answer to each."""
    cache = AnswerCache(size, ttl_s)
    for body in bodies:
        cache.keep(facts(), body, ANSWER, USAGE, 0.0)
    return cache


def test_the_same_request_gets_the_same_answer() -> None:
    """With the usage that was reported for it."""
    kept = keeping(BODY).find(facts(), BODY, 0.0)
    assert kept is not None
    assert (kept.body, kept.usage) == (ANSWER, USAGE)


def test_any_difference_is_another_request() -> None:
    """A byte, the model that the path names, the operation, the instructions of an agent."""
    cache = keeping(BODY)
    assert found(cache, BODY + b" ") is None
    assert found(cache, model="gpt-4o-mini") is None
    assert found(cache, operation=Operation.EMBEDDINGS) is None
    assert found(cache, instructions="Be brief.") is None


@pytest.mark.parametrize(("age_s", "there"), [(59.9, True), (60.0, False)])
def test_an_answer_grows_old(age_s: float, there: bool) -> None:
    """From the time it came; being asked for does not make it younger."""
    cache = keeping(BODY, ttl_s=60)
    assert found(cache, now=30.0) == ANSWER
    assert (found(cache, now=age_s) is not None) is there


def test_what_is_old_is_let_go() -> None:
    """It takes no place any more."""
    cache = keeping(BODY, ttl_s=60)
    assert found(cache, now=60.0) is None
    assert (len(cache._kept), cache._bytes) == (0, 0)


def test_a_newer_answer_takes_the_place_of_the_older() -> None:
    """Two equal requests at the same time were both sent."""
    cache = keeping(BODY)
    cache.keep(facts(), BODY, b"newer", None, 50.0)
    assert found(cache, now=100.0) == b"newer"
    assert cache._bytes == len(BODY) + len(b"newer")


def test_who_was_not_asked_for_the_longest_goes_first() -> None:
    """Finding counts as asking."""
    cache = keeping(b"1", b"2", b"3", size=3)
    assert found(cache, b"1")
    cache.keep(facts(), b"4", ANSWER, USAGE, 0.0)
    assert [found(cache, body) is not None for body in (b"1", b"2", b"3", b"4")] == [True, False, True, True]


@pytest.mark.parametrize("asked", [{"stream": True}, {"repeatable": False}])
def test_streams_and_what_creates_something_are_not_kept(asked: dict[str, Any]) -> None:
    """A stored response must be stored again."""
    cache = keeping()
    cache.keep(facts(**asked), BODY, ANSWER, USAGE, 0.0)
    assert found(cache, **asked) is None


def test_memory_is_bounded() -> None:
    """Large answers drive each other out long before there are too many of them; request and answer count."""
    cache = AnswerCache(1_000, 60.0)
    large = b"x" * (LARGEST_BYTES // 2)
    for number in range(30):
        body = str(number).encode() + large
        cache.keep(facts(), body, large[:-10], USAGE, 0.0)
        held = sum(len(key[-1]) + len(kept.body) for key, kept in cache._kept.items())
        assert held == cache._bytes <= MOST_BYTES
    assert len(cache._kept) == 8


def test_one_answer_cannot_drive_out_all_others() -> None:
    """What is larger than an eighth of the whole is not kept."""
    cache = keeping(BODY)
    cache.keep(facts(), b"2", b"x" * LARGEST_BYTES, USAGE, 0.0)
    assert found(cache, b"2") is None
    assert found(cache) == ANSWER


def test_threads_share_it() -> None:
    """The sum of what is held stays right."""
    cache = AnswerCache(20, 60.0)

    def work(seed: int) -> None:
        for number in range(500):
            body = str((number * seed) % 50).encode()
            if cache.find(facts(), body, 0.0) is None:
                cache.keep(facts(), body, ANSWER, USAGE, 0.0)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 3, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache._kept) == 20
    assert cache._bytes == sum(len(key[-1]) + len(kept.body) for key, kept in cache._kept.items())
