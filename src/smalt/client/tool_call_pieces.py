"""Calls of tools that come in pieces, as they do in streams."""

from typing import Any, NamedTuple


class Called(NamedTuple):
    """A call of a function by a model. `arguments`: as it wrote them."""

    call_id: str
    name: str
    arguments: str


class ToolCallPieces:
    """Gathers the calls of one answer."""

    def __init__(self) -> None:
        self._by_index: dict[int, Called] = {}

    def add(self, delta: Any) -> None:
        """What a delta of the SDK says of them, if anything."""
        for piece in delta.tool_calls or ():
            known = self._by_index.get(piece.index, Called("", "", ""))
            self._by_index[piece.index] = Called(
                piece.id or known.call_id,
                known.name + (piece.function.name or ""),
                known.arguments + (piece.function.arguments or ""),
            )

    @property
    def whole(self) -> list[Called]:
        return [called for _, called in sorted(self._by_index.items())]
