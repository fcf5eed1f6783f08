"""Secrets as they are now: those that never change, and those that are kept up to date."""

import logging
import random
import threading
import time
from concurrent.futures import Future
from typing import Final, NoReturn, Protocol
from weakref import WeakSet

from pydantic import SecretStr

from smalt.auth.sources import ALWAYS, Reading, Source, Unreadable, said

logger = logging.getLogger("smalt.auth")

FIRST_PAUSE_S: Final = 1.0  # after a reading that failed; doubled with every further one
LONGEST_PAUSE_S: Final = 30.0
SAME_S: Final = 5.0  # a refused secret that its source still holds is not asked for again for so long
JITTER: Final = 0.05  # of the time that a secret is fresh


class Follower(Protocol):
    """Whoever wants to know of every reading."""

    def changed(self) -> None: ...


class Fixed:
    """A secret that stays as it was configured. Never printed, and it cannot be pickled."""

    __slots__ = ("_secret",)

    fresh_until_s: Final = ALWAYS
    good_until_s: Final = ALWAYS
    trouble: Final = None

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret

    @property
    def text(self) -> str | None:
        return self._secret.get_secret_value()

    def renew(self, *, afresh: bool = False) -> Future[None] | None:
        return None

    def follow(self, follower: Follower) -> None:
        """It never changes."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret stays in its process; build it from the configuration again")


class Kept:
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
        self._not_before_s = 0.0
        self._failures = 0
        self.text: str | None = None
        self.fresh_until_s = self.good_until_s = -ALWAYS
        self.trouble: str | None = None

    def renew(self, *, afresh: bool = False) -> Future[None] | None:
        """The reading under way, or a new one; None for a while after one that failed or changed nothing."""
        with self._lock:
            if self._under_way is not None:
                return self._under_way
            if time.monotonic() < self._not_before_s:
                return None
            under_way = self._under_way = Future()
        reader = threading.Thread(
            target=self._read, args=(under_way, afresh), name="smalt-secret", daemon=True
        )
        reader.start()
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
        with self._lock:
            followers = list(self._followers)
        for follower in followers:
            follower.changed()
        with self._lock:
            self._under_way = None
        under_way.set_result(None)

    def _take(self, reading: Reading, *, afresh: bool) -> None:
        now = time.monotonic()
        unit = random.random()  # noqa: S311, TID251  this is the edge that supplies the jitter
        if afresh and reading.text == self.text:
            self._not_before_s = now + SAME_S
        if self._failures:
            logger.info("%s: read again", self._what)
        self._failures, self.trouble = 0, None
        self.text = reading.text
        self.fresh_until_s = now + reading.fresh_s * (1 - JITTER * unit)
        self.good_until_s = now + reading.good_s

    def _fail(self, trouble: str) -> None:
        if not self._failures:
            kept = "; the last one stays in use" if time.monotonic() < self.good_until_s else ""
            logger.warning("%s: %s%s", self._what, trouble, kept)
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**self._failures)
        self._failures, self.trouble = min(self._failures + 1, 10), trouble
        self._not_before_s = time.monotonic() + pause_s

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret stays in its process; build it from the configuration again")
