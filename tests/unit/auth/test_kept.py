"""Secrets that are kept up to date."""

import gc
import logging
import pickle
import threading
import time
from concurrent.futures import Future

import pytest
from pydantic import SecretStr

from smalt.auth.kept import Fixed, Kept
from smalt.auth.sources import ALWAYS, Reading, Unreadable


class Spring:
    """A source that gives what it is told to, when it is told to."""

    def __init__(self, *gives: Reading | Exception) -> None:
        self.gives = list(gives)
        self.asked: list[bool] = []
        self.gate = threading.Event()
        self.gate.set()

    def read(self, *, afresh: bool) -> Reading:
        self.asked.append(afresh)
        self.gate.wait()
        given = self.gives.pop(0)
        if isinstance(given, Exception):
            raise given
        return given


class Listener:
    def __init__(self) -> None:
        self.told = 0

    def changed(self) -> None:
        self.told += 1


def done(reading: Future[None] | None) -> None:
    assert reading is not None
    reading.result(5)


def test_nothing_is_read_before_it_is_needed() -> None:
    """And then it is there until it is over."""
    spring = Spring(Reading("one", 60, 100))
    kept = Kept(spring, "the key")
    assert (kept.text, kept.fresh_until_s, spring.asked) == (None, -ALWAYS, [])
    done(kept.renew())
    now = time.monotonic()
    assert kept.text == "one"
    assert now + 56 <= kept.fresh_until_s <= now + 60
    assert now + 99 <= kept.good_until_s <= now + 100


def test_who_asks_at_the_same_time_gets_the_same_reading() -> None:
    """The source is asked once."""
    spring = Spring(Reading("one"))
    spring.gate.clear()
    kept = Kept(spring, "the key")
    readings = {id(kept.renew()) for _ in range(10)}
    assert len(readings) == 1
    under_way = kept.renew()
    spring.gate.set()
    done(under_way)
    assert spring.asked == [False]


def test_followers_are_told_of_every_reading() -> None:
    """Of those that failed, too; and they are not kept alive."""
    kept = Kept(Spring(Reading("one"), Unreadable("the vault is down")), "the key")
    listener, gone = Listener(), Listener()
    kept.follow(listener)
    kept.follow(gone)
    del gone
    gc.collect()
    done(kept.renew())
    done(kept.renew())
    assert listener.told == 2


def test_what_was_read_stays_when_its_source_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Said once; and the source is left alone for a while."""
    spring = Spring(Reading("one"), Unreadable("the vault is down"))
    kept = Kept(spring, "the key of east")
    done(kept.renew())
    with caplog.at_level(logging.WARNING):
        done(kept.renew())
    assert kept.text == "one"
    assert kept.trouble == "the vault is down"
    assert kept.renew() is None
    assert caplog.messages == ["the key of east: the vault is down; the last one stays in use"]


def test_whatever_a_source_raises_ends_the_reading() -> None:
    """Nobody waits for ever."""
    kept = Kept(Spring(RuntimeError("a fault of ours")), "the key")
    done(kept.renew())
    assert (kept.text, kept.trouble) == (None, "a fault of ours")


def test_a_refusal_is_followed_by_one_reading_for_a_while() -> None:
    """Whatever it gave: tokens always differ. What is over soon is still renewed."""
    kept = Kept(Spring(Reading("one"), Reading("two"), Reading("three")), "the key")
    done(kept.renew())
    done(kept.renew(afresh=True))
    assert kept.text == "two"
    assert kept.renew(afresh=True) is None
    done(kept.renew())
    assert kept.text == "three"


def test_a_thread_that_cannot_start_is_a_reading_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it, and the next one works."""
    kept = Kept(Spring(Reading("one")), "the key")

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        done(kept.renew())
    assert (kept.text, kept.trouble) == (None, "can't start new thread")
    monkeypatch.setattr(kept, "_not_before_s", 0.0)
    done(kept.renew())
    assert kept.text == "one"


def test_what_is_over_when_it_comes_is_no_secret() -> None:
    """Most likely the clock of this machine is wrong."""
    kept = Kept(Spring(Reading("one", -3, -1)), "the token")
    done(kept.renew())
    assert kept.text is None
    assert kept.trouble is not None
    assert "clock" in kept.trouble
    assert kept.renew() is None


def test_a_fixed_secret_never_changes() -> None:
    """There is nothing to read."""
    fixed = Fixed(SecretStr("one"))
    fixed.follow(Listener())
    assert fixed.renew(afresh=True) is None
    assert (fixed.text, fixed.fresh_until_s, fixed.good_until_s) == ("one", ALWAYS, ALWAYS)


@pytest.mark.parametrize("holder", [Fixed(SecretStr("s3cret")), Kept(Spring(), "the key")])
def test_secrets_stay_in_their_process(holder: object) -> None:
    """And show themselves to nobody."""
    assert "s3cret" not in repr(holder)
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(holder)


def test_since_when_a_source_is_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since the first of the readings in a row that failed; nothing once one has succeeded."""
    times = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[0])
    kept = Kept(Spring(Unreadable("down"), Unreadable("still down"), Reading("one")), "the key")
    assert kept.troubled_since_s is None
    told = []
    for _ in range(3):
        done(kept.renew())
        told.append((kept.trouble, kept.troubled_since_s))
        times[0] += 60
    assert told == [("down", 1_000.0), ("still down", 1_000.0), (None, None)]
