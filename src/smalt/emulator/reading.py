"""The parts that every fleet file is read with: each takes a value and its path, and tells what is wrong."""

from collections.abc import Collection
from typing import Any


class Reader:
    """Collects every problem; where it found one it goes on with something harmless."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._ports: dict[int, str] = {}

    def tell(self, path: str, advice: str) -> None:
        self.problems.append(f"{path}: {advice}")

    def mapping(self, path: str, value: object, known: Collection[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.tell(path, f"write a mapping with {', '.join(sorted(known))}")
            return {}
        for key in value:
            if key not in known:
                self.tell(f"{path}.{key}", f"is not known; use {', '.join(sorted(known))}")
        return value

    def named(self, path: str, value: object) -> dict[str, Any]:
        if isinstance(value, dict) and value:
            return {str(key): entry for key, entry in value.items()}
        self.tell(path, "write at least one, by name")
        return {}

    def one_of(self, path: str, value: object, known: Collection[str]) -> str:
        if isinstance(value, str) and value in known:
            return value
        self.tell(path, f"got {value!r}; use one of {', '.join(known)}")
        return ""

    def whole(self, path: str, value: object, low: int, high: int, what: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.tell(path, f"got {value!r}; write {what}, a whole number from {low} to {high}")
        return low

    def port(self, path: str, value: object) -> int:
        port = self.whole(path, value, 0, 65_535, "a port, or 0 for any free one")
        if port and self._ports.setdefault(port, path) != path:
            self.tell(path, f"port {port} is already that of {self._ports[port]}; choose another")
        return port

    def millis(self, path: str, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
            return float(value)
        self.tell(path, f"got {value!r}; write milliseconds, 0 or more")
        return 0.0

    def times(self, path: str, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf"):
            return float(value)
        self.tell(path, f"got {value!r}; write how many times faster, a number above 0")
        return 1.0

    def keys(self, path: str, value: object) -> tuple[str, ...]:
        if isinstance(value, list) and len(value) in {1, 2} and all(isinstance(k, str) and k for k in value):
            return tuple(value)
        self.tell(path, "write a list of one or two keys, each a text (in quotes if it is all digits)")
        return ()

    def seconds(self, path: str, value: object, low: float, high: float) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.tell(path, f"got {value!r}; write seconds, from {low:g} to {high:g}")
        return float(low)

    def yes_or_no(self, path: str, value: object) -> bool:
        if isinstance(value, bool):
            return value
        self.tell(path, f"got {value!r}; write true or false")
        return False

    def texts(self, path: str, value: object) -> tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(text, str) and text for text in value):
            return tuple(value)
        self.tell(path, "write a list of texts (in quotes if one is all digits)")
        return ()

    def texts_by_name(self, path: str, value: object) -> dict[str, tuple[str, ...]]:
        if isinstance(value, dict):
            return {str(name): self.texts(f"{path}.{name}", texts) for name, texts in value.items()}
        self.tell(path, "write a mapping of names to lists of texts")
        return {}
