"""The two keys of a resource, either of which can be made anew while the other goes on working."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec


class KeyName(msgspec.Struct, rename="camel"):
    """The body of ARM's regenerateKey."""

    key_name: Literal["Key1", "Key2", "key1", "key2"]

    @property
    def number(self) -> int:
        return int(self.key_name[-1])


class KeyPair:
    """`first`: one or two keys; a missing second and all later ones are made from `name`."""

    def __init__(self, name: str, first: Sequence[str]) -> None:
        self._name = name
        self._made = 0
        self.keys = [*first, *(self._make() for _ in range(2 - len(first)))]

    def name_of(self, key: str) -> str | None:
        """key1, key2, or None: neither."""
        return f"key{self.keys.index(key) + 1}" if key in self.keys else None

    def regenerate(self, number: int) -> None:
        """`number`: 1 or 2. The old key is refused from now on."""
        self.keys[number - 1] = self._make()

    def report(self) -> dict[str, str]:
        return {"key1": self.keys[0], "key2": self.keys[1]}

    def _make(self) -> str:
        self._made += 1
        return hashlib.blake2b(f"{self._name} {self._made}".encode(), digest_size=16).hexdigest()
