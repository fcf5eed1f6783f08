"""Secrets as they are now: those that never change, and those that are kept up to date."""

import logging
import random
import threading
import time
from concurrent.futures import Future
from typing import Final, Protocol
from weakref import WeakSet

from pydantic import SecretStr

from smalt.auth.sources import ALWAYS, Reading, Source, Unreadable, said
from smalt.confined import Confined

logger = logging.getLogger("smalt.auth")

FIRST_PAUSE_S: Final = 1.0  # after a reading that failed; doubled with every further one
LONGEST_PAUSE_S: Final = 30.0
AGAIN_S: Final = 5.0  # how soon what was read because of a refusal may be refused and read once more
JITTER: Final = 0.05  # of the time that a secret is fresh


class Follower(Protocol):
    """Whoever wants to know of every reading."""

    def changed(self) -> None: ...


class Fixed(Confined):
    """A secret that stays as it was configured. Never printed, and it cannot be pickled."""

    __slots__ = ("_secret",)

    fresh_until_s: Final = ALWAYS
    good_until_s: Final = ALWAYS
    trouble: Final = None
    troubled_since_s: Final = None

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret

    @property
    def text(self) -> str | None:
        return self._secret.get_secret_value()

    def renew(self, *, afresh: bool = False) -> Future[None] | None:
        return None

    def follow(self, follower: Follower) -> None:
        """It never changes."""


class Kept(Confined):
    """A secret that is read when it is first needed, again ahead of its end, and when it was refused: by a
    thread of its own, one at a time. What was read last stays until it is over, whatever happens to its
    source. Safe for threads; one for all who need the same secret.

    `what`: its name in log lines.
    """

    def __init__(self, source: Source, what: str) -> None:
        self._source = source
        self._what = what
        self._lock = threading.Lock()
        self._followers: WeakSet[Follower] = WeakSet()
        self._under_way: Future[None] | None = None
        self._not_before_s = self._afresh_not_before_s = 0.0
        self._failures = 0
        self.text: str | None = None
        self.fresh_until_s = self.good_until_s = -ALWAYS
        self.trouble: str | None = None
        self.troubled_since_s: float | None = None

    def renew(self, *, afresh: bool = False) -> Future[None] | None:
        """The reading under way, or a new one; None for a while after one that failed and, if `afresh`, after
        the last of that kind."""
        with self._lock:
            if self._under_way is not None:
                return self._under_way
            if time.monotonic() < (self._afresh_not_before_s if afresh else self._not_before_s):
                return None
            under_way = self._under_way = Future()
        told = (under_way, afresh)
        try:
            threading.Thread(target=self._read, args=told, name="smalt-secret", daemon=True).start()
        except RuntimeError as error:  # too many threads, or the interpreter ends
            self._fail(str(error))
            self._end(under_way)
        return under_way

    def follow(self, follower: Follower) -> None:
        """Does not keep it alive."""
        with self._lock:
            self._followers.add(follower)

    def _read(self, under_way: Future[None], afresh: bool) -> None:  # noqa: FBT001  called by Thread
        try:
            self._take(self._source.read(afresh=afresh), afresh=afresh)
        except Unreadable as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001  whatever it is, nobody may wait for ever
            self._fail(said(error))
        try:
            with self._lock:
                followers = list(self._followers)
            for follower in followers:
                follower.changed()
        finally:
            self._end(under_way)

    def _end(self, under_way: Future[None]) -> None:
        with self._lock:
            self._under_way = None
        under_way.set_result(None)

    def _take(self, reading: Reading, *, afresh: bool) -> None:
        if reading.good_s <= 0:
            raise Unreadable("what was read is over already; see that the clock of this machine is right")
        now = time.monotonic()
        unit = random.random()  # noqa: S311, TID251  this is the edge that supplies the jitter
        if afresh:
            self._afresh_not_before_s = now + min(AGAIN_S, reading.good_s / 2)
        if self._failures:
            logger.info("%s: read again", self._what)
        self._failures, self.trouble, self.troubled_since_s = 0, None, None
        self.text = reading.text
        self.fresh_until_s = now + reading.fresh_s * (1 - JITTER * unit)
        self.good_until_s = now + reading.good_s

    def _fail(self, trouble: str) -> None:
        if not self._failures:
            kept = "; the last one stays in use" if time.monotonic() < self.good_until_s else ""
            logger.warning("%s: %s%s", self._what, trouble, kept)
            self.troubled_since_s = time.monotonic()
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**self._failures)
        self._failures, self.trouble = min(self._failures + 1, 10), trouble
        self._not_before_s = self._afresh_not_before_s = time.monotonic() + pause_s
