"""The heads of requests to one resource, and which of its credentials they carry at present."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Final, Literal, NamedTuple, Protocol

from smalt.confined import Confined
from smalt.dispatch.run import SendFailed
from smalt.types import FailureKind

REFUSED_S: Final = 30.0  # for so long a refused credential is not worth another try
LONGEST_WAIT_S: Final = 15.0  # for a source; others may serve meanwhile
LOOK_S: Final = 1.0  # how often one is looked at whose source cannot be read
READ_AGAIN_S: Final = 10.0  # how often the source of a refused one is asked for another
NEVER: Final = float("-inf")


class Follower(Protocol):
    """Whoever wants to know that a credential may have changed."""

    def changed(self) -> None: ...


class Credential(Protocol):
    """A key or token as it is now; smalt.auth has the kinds. Safe for threads. Times: monotonic seconds."""

    @property
    def fresh_until_s(self) -> float:
        """Then it should be renewed, while it is still good."""
        ...

    @property
    def good_until_s(self) -> float:
        """Then it is over."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why there is none, or why it could not be renewed."""
        ...

    @property
    def troubled_since_s(self) -> float | None:
        """When that began; None if there is no trouble."""
        ...

    def header(self, *, bearer: bool) -> tuple[str, str] | None:
        """Name and value of the header that carries it; None before it was read."""
        ...

    def renew(self, *, afresh: bool = False) -> Future[None] | None:
        """Read it again in the background, `afresh` past every cache. None if that cannot help now."""
        ...

    def follow(self, follower: Follower) -> None:
        """Tell the follower, as long as it lives, of everything that is read."""
        ...


class CredentialStatus(NamedTuple):
    """`state`: requests carry it, or would if that one is refused (`ready`); the resource has `refused` it,
    it is `over`, or it could not be read yet (`missing`). `trouble`: what is wrong with it or with its
    source, and since when."""

    state: Literal["in use", "ready", "refused", "over", "missing"]
    trouble: str | None
    since_s: float | None


class Head(Confined):
    """What every request with one value of a credential ends its head with."""

    __slots__ = ("_heads", "data", "slot")

    def __init__(self, data: bytes, slot: "Slot", heads: "Heads") -> None:
        self.data = data
        self.slot = slot
        self._heads = heads

    def refused(self) -> bool:
        """Its credential was refused: requests carry another one from now on, if there is one. Whether it is
        worth asking again."""
        return self._heads.turn_from(self)


class Slot:
    """One credential of a resource. `head`: with its value; None before it was read. `fresh_until_s`: until
    then it needs no second look."""

    __slots__ = ("__weakref__", "_build", "_heads", "credential", "fresh_until_s", "head", "refused_at_s")

    def __init__(
        self, credential: Credential, build: Callable[[Credential], bytes | None], heads: "Heads"
    ) -> None:
        self.credential = credential
        self.head: Head | None = None
        self.fresh_until_s = self.refused_at_s = NEVER
        self._build = build
        self._heads = heads
        credential.follow(self)
        self._take()

    def changed(self) -> None:
        """The credential was read, or could not be."""
        self._take()
        self._heads.look_again()

    def was_refused(self, now: float) -> bool:
        return now < self.refused_at_s + REFUSED_S

    def refuse(self, now: float) -> bool:
        """Whether its source is being asked for another value."""
        self.refused_at_s, self.fresh_until_s = now, NEVER
        self._heads.look_again()
        if self.credential.renew(afresh=True) is not None:
            return True
        self.changed()
        return False

    def renewal(self, now: float) -> Future[None] | None:
        """The reading under way; None if it cannot be read now."""
        renewal = self.credential.renew()
        if renewal is None:
            self.fresh_until_s = min(now + LOOK_S, self.credential.good_until_s)
        return renewal

    def status(self, now: float, *, current: bool) -> CredentialStatus:
        """`current`: whether requests carry it."""
        credential = self.credential
        trouble, since_s = credential.trouble, credential.troubled_since_s
        if self.head is None:
            return CredentialStatus("missing", trouble, since_s)
        if now >= credential.good_until_s:
            return CredentialStatus("over", trouble, since_s)
        if self.was_refused(now) or (self.refused_at_s != NEVER and not current):
            return CredentialStatus("refused", trouble or "the resource refused it", self.refused_at_s)
        return CredentialStatus("in use" if current else "ready", trouble, since_s)

    def _take(self) -> None:
        data = self._build(self.credential)
        if data is not None and (self.head is None or data != self.head.data):
            self.head = Head(data, self, self._heads)
            self.refused_at_s = NEVER
        self.fresh_until_s = self.credential.fresh_until_s
        if self.refused_at_s != NEVER:  # its source may hold another one soon
            self.fresh_until_s = min(self.fresh_until_s, time.monotonic() + READ_AGAIN_S)


class Heads(Confined):
    """Of one resource: one for each credential, one or two. Safe for threads without a lock: what follows a
    refusal depends on the refused head alone, so that many at a time turn once, and late ones not at all.

    `build`: the bytes of a head; None while the credential has no value.
    """

    __slots__ = ("_current", "_look_at_s", "_slots")

    def __init__(self, build: Callable[[Credential], bytes | None], *credentials: Credential) -> None:
        self._slots: Sequence[Slot] = ()
        self._slots = [Slot(credential, build, self) for credential in credentials]
        self._current = self._slots[0]
        self.look_again()

    def at_once(self, now: float) -> Head | None:
        """The head to send with, if nothing needs a second look; else ask `obtain`."""
        return self._current.head if now < self._look_at_s else None

    def obtain(self, limit_s: float) -> Head:
        """The head to send with, waiting for it only if there is none that is good. Raises SendFailed."""
        slot = self._current
        renewal = self._worth_waiting_for(slot)
        if renewal is not None:
            wait([renewal], min(limit_s, LONGEST_WAIT_S))
        return self._best(slot)

    async def obtain_async(self, limit_s: float) -> Head:
        """The same for event loops."""
        slot = self._current
        renewal = self._worth_waiting_for(slot)
        if renewal is not None:
            await asyncio.wait([asyncio.wrap_future(renewal)], timeout=min(limit_s, LONGEST_WAIT_S))
        return self._best(slot)

    def begin(self) -> None:
        """Read everything that will be needed, without waiting for it."""
        for slot in self._slots:
            if slot.head is None:
                slot.credential.renew()

    def status(self) -> list[CredentialStatus]:
        """Of each credential now, in the order of the settings."""
        now, current = time.monotonic(), self._current
        return [slot.status(now, current=slot is current) for slot in self._slots]

    def look_again(self) -> None:
        """A slot has changed."""
        self._look_at_s = min((slot.fresh_until_s for slot in self._slots), default=NEVER)

    def turn_from(self, refused: Head) -> bool:
        """Use another head, or another value. Whether there is one, or soon may be."""
        now, slot = time.monotonic(), refused.slot
        if slot.head is not refused:
            return True  # it was renewed in the meantime
        renews = slot.refuse(now)
        others = [other for other in self._slots if other is not slot and not other.was_refused(now)]
        if self._current is slot and others:
            self._current = others[0]
        return renews or bool(others)

    def _worth_waiting_for(self, current: Slot) -> Future[None] | None:
        """The reading under way, if what is there cannot be sent with. Whatever is not fresh is read."""
        now = time.monotonic()
        renewals = {slot: slot.renewal(now) for slot in self._slots if now >= slot.fresh_until_s}
        self.look_again()
        good = current.head is not None and now < current.credential.good_until_s
        return None if good and not current.was_refused(now) else renewals.get(current)

    def _best(self, current: Slot) -> Head:
        """The current one, even if it was refused: perhaps it is taken again; else another one. Raises
        SendFailed."""
        now = time.monotonic()
        for slot in (current, *self._slots):
            if slot.head is not None and now < slot.credential.good_until_s:
                self._current = slot
                return slot.head
        text = current.credential.trouble or "it did not come in time"
        raise SendFailed(FailureKind.NO_CREDENTIAL, text)
