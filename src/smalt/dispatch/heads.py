"""The heads of requests to one resource, and which of its keys they carry at present."""

from typing import NoReturn


class Head:
    """What every request with one key of a resource ends its head with."""

    __slots__ = ("_heads", "data")

    def __init__(self, data: bytes, heads: "Heads") -> None:
        self.data = data
        self._heads = heads

    def refused(self) -> bool:
        """Its key was refused: requests carry another one from now on. Whether there is another one."""
        return self._heads.turn_from(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret stays in its process; build it from the configuration again")


class Heads:
    """Of one resource: one for each key, one or two. `current`: with the key that was not refused last.

    Safe for threads without a lock: what follows a refusal depends on the refused head alone, so that many
    at a time turn once, and late ones not at all.
    """

    __slots__ = ("_first", "_last", "current")

    def __init__(self, *data: bytes) -> None:
        heads = [Head(of_one, self) for of_one in data]
        self._first, self._last = heads[0], heads[-1]
        self.current = self._first

    def turn_from(self, refused: Head) -> bool:
        """Use the other head if this one is in use. Whether there is another one."""
        if self.current is refused:
            self.current = self._last if refused is self._first else self._first
        return self._first is not self._last

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret stays in its process; build it from the configuration again")
