"""What a process of the gateway carries at the moment, and what it may. For one event loop."""

from smalt.config.listening import Limits
from smalt.errors import Overloaded, RateLimited

AGAIN_S = 1.0  # what those who are refused are told to wait
_SLOWER = ("Send fewer requests at a time with this key, or raise its concurrency in smalt.yaml.",)


class Slots:
    """The requests under way with one gateway key; `limit`: the most."""

    def __init__(self, alias: str, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._alias = alias

    def take(self) -> None:
        """Raises RateLimited. Who has taken one gives it back once, when the request has ended."""
        if self.taken >= self.limit:
            text = f"the key {self._alias!r} has {self.taken} requests under way, as many as it may"
            raise RateLimited(text, retry_after_s=AGAIN_S, resolution=_SLOWER)
        self.taken += 1

    def give_back(self) -> None:
        self.taken -= 1


class Load:
    """`requests` to models under way, and `bytes` of their bodies. `closing`: no connection shall outlive its
    next answer, because the gateway is being stopped."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.requests = 0
        self.bytes = 0
        self.closing = False
        self._slots: dict[str, Slots] = {}

    def slots(self, alias: str, limit: int | None) -> Slots | None:
        """The same ones for a key of this name after every reload."""
        if limit is None:
            self._slots.pop(alias, None)
            return None
        slots = self._slots.setdefault(alias, Slots(alias, limit))
        slots.limit = limit
        return slots

    def begin(self) -> None:
        """Of a request. Raises Overloaded; else `end` follows, once."""
        if self.requests >= self.limits.requests:
            raise Overloaded("too many requests are under way at this gateway", retry_after_s=AGAIN_S)
        self.requests += 1

    def require_room(self, declared_bytes: int) -> None:
        """Raises Overloaded if there is none for a body that is still to come."""
        if self.bytes + declared_bytes > self.limits.bytes_in_flight:
            raise _no_room()

    def add(self, count: int) -> None:
        """Bytes of a body have come. Raises Overloaded; they count all the same, until `end`."""
        self.bytes += count
        if self.bytes > self.limits.bytes_in_flight:
            raise _no_room()

    def end(self, body_bytes: int) -> None:
        """Of a request: the bytes that were added for it go with it."""
        self.requests -= 1
        self.bytes -= body_bytes


def _no_room() -> Overloaded:
    text = "this gateway holds as many bytes of requests as it may"
    return Overloaded(text, retry_after_s=AGAIN_S)


def stopping() -> Overloaded:
    """What requests are told that did not end in time."""
    return Overloaded("this gateway is being stopped", retry_after_s=AGAIN_S)
