"""Watches a stream of server-sent events pass by: its usage, and whether it came to its end.

Source: WHATWG HTML, section 9.2 (events end with a blank line); Azure OpenAI streaming (usage comes last in
a chunk with empty `choices`; some filtered streams end after a finish reason without `[DONE]`).
"""

import msgspec

from smalt.types import Usage
from smalt.wire.usage import ReportedUsage

LONGEST_EVENT = 1 << 20  # bytes; a longer event passes unwatched, so that memory stays bounded


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: ReportedUsage | None = None


_decoder = msgspec.json.Decoder(_Chunk)


class StreamWatch:
    """Feed it what arrives and forward what it returns: whole events, unchanged.

    `hide_usage`: leave out the usage chunk, because the caller did not ask for it. `usage`: as reported,
    None so far. `ended`: a finish reason, `[DONE]` or an error has passed. `events`: how many have passed.
    """

    def __init__(self, *, hide_usage: bool = False) -> None:
        self.usage: Usage | None = None
        self.ended = False
        self.events = 0
        self._hide_usage = hide_usage
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\n\r\n") + 4, data.rfind(b"\r\r") + 2)
        if end < 4 and len(data) <= LONGEST_EVENT:
            self._held = data
            return b""
        if end < 4:
            end = len(data)
        whole, self._held = data[:end], data[end:]
        return self._look(whole)

    def rest(self) -> bytes:
        """What is left when the upstream has ended: an event without its blank line."""
        held, self._held = self._held, b""
        return self._look(held) if held else b""

    def _look(self, events: bytes) -> bytes:
        self.events += events.count(b"data:")
        if not self.ended:
            self.ended = (
                b'"finish_reason":"' in events
                or b"data: [DONE]" in events
                or b'"finish_reason": "' in events
                or b'data: {"error"' in events
            )
        if b'"usage":{' not in events and b'"usage": {' not in events:
            return events
        return b"".join(event for event in _split(events) if not self._is_usage_chunk(event))

    def _is_usage_chunk(self, event: bytes) -> bool:
        """Notes the usage an event carries; true if the event should be left out."""
        _, colon, data = event.partition(b"data:")
        if not colon:
            return False
        try:
            chunk = _decoder.decode(data)
        except msgspec.DecodeError:
            return False
        if chunk.usage is None:
            return False
        self.usage = chunk.usage.as_usage()
        return self._hide_usage and not chunk.choices


def _split(events: bytes) -> list[bytes]:
    blank = b"\r\n\r\n" if b"\r\n\r\n" in events else b"\n\n"
    parts = events.split(blank)
    return [part + blank for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
