"""What a vault keeps: secrets, each with its versions."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Version:
    """`made_s`: seconds since 1970."""

    version: str
    value: str
    made_s: int
    enabled: bool = True
    content_type: str | None = None
    tags: dict[str, str] | None = None


class Store:
    """The secrets of one vault; names are case-insensitive, as they are in Key Vault. `now`: wall time."""

    def __init__(self, first: Mapping[str, str], now: float) -> None:
        self._first = first
        self.reset(now)

    def reset(self, now: float) -> None:
        self._secrets: dict[str, list[Version]] = {}
        for name, value in self._first.items():
            self.put(name, value, now)

    def names(self) -> list[str]:
        return list(self._secrets)

    def versions(self, name: str) -> list[Version]:
        """The newest last; none if there is no such secret."""
        return self._secrets.get(name.lower(), [])

    def find(self, name: str, version: str = "") -> Version | None:
        """Without `version`: the newest."""
        return next((one for one in reversed(self.versions(name)) if version in {"", one.version}), None)

    def put(
        self,
        name: str,
        value: str,
        now: float,
        *,
        enabled: bool = True,
        content_type: str | None = None,
        tags: dict[str, str] | None = None,
    ) -> Version:
        made = Version(uuid.uuid4().hex, value, int(now), enabled, content_type, tags)
        self._secrets.setdefault(name.lower(), []).append(made)
        return made
