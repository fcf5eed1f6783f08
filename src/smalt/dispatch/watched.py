"""A stream of events on its way to the caller: how it begins, what is forwarded, and how its call ends."""

from typing import TYPE_CHECKING, Final

from smalt.core.reactions import REACTIONS
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import SendFailed, hidden, without_secrets
from smalt.errors import StreamInterrupted
from smalt.types import FailureKind, Usage
from smalt.wire.error_body import error_event
from smalt.wire.sse import StreamWatch
from smalt.wire.tool_names import Renamed, restore

if TYPE_CHECKING:
    from smalt.dispatch.heads import Head

LARGEST_PREAMBLE: Final = 256 * 1024  # bytes that are held without content, and then passed on
PREAMBLE_S: Final = 2.0  # a stream that has brought no content by then is passed on as it is

# Errors that another upstream would not make, too. As first event of a stream they are the attempt's failure.
_ELSEWHERE: Final = {
    kind for kind, reaction in REACTIONS.items() if not reaction.final and kind is not FailureKind.CONTEXT
}


class WatchedStream:
    """First `begin` holds what comes until there is content, so that an error before it can still fail over.
    Then the stream is relayed, and ends its call exactly once: by `last`, or by `leave` if the caller goes
    first. `keep_text`: what was said so far goes with the error of a stream that breaks. `renamed`: tools
    whose names are put back. `head`: the request was sent with it; an error that repeats its credential is
    told without.
    """

    def __init__(
        self,
        call: OpenCall,
        head: "Head | None" = None,
        *,
        keep_text: bool = False,
        renamed: Renamed | None = None,
    ) -> None:
        self._call = call
        self._head = head
        self._renamed = renamed
        self._keep_text = keep_text
        self._watch = StreamWatch(hide_usage=not call.facts.asks_usage, keep_text=keep_text)
        self._held = b""

    @property
    def tells_error(self) -> bool:
        """Whether an error event has come."""
        return self._watch.error is not None

    def begin(self, data: bytes) -> bool:
        """Hold this; whether the stream has begun, or too much is held. Raises SendFailed if it begins with
        an error."""
        self._held += self._watch.feed(data)
        self._stop_at_error()
        watch = self._watch
        return watch.content_seen or watch.error is not None or len(self._held) > LARGEST_PREAMBLE

    def begin_at_end(self) -> None:
        """The upstream has ended and nothing but preamble came. Raises SendFailed."""
        self._held += self._watch.rest()
        self._stop_at_error()
        if not self._watch.ended:
            raise SendFailed(FailureKind.TRUNCATED, "the stream ended before it had begun")

    def held(self) -> bytes:
        """What was held, to be forwarded first."""
        held, self._held = self._held, b""
        return self._as_asked(held)

    def feed(self, data: bytes) -> bytes:
        """What to forward of the bytes that came."""
        return self._as_asked(self._watch.feed(data))

    def last(self, failed: SendFailed | None) -> bytes:
        """The upstream is done. A stream that broke, or stopped without its end, gets an error event in place
        of the part of an event that came last."""
        rest = self._as_asked(self._watch.rest())
        if failed is not None:
            error = self._interrupted(f"the stream broke: {failed}")
        elif not self._watch.ended:
            error = self._interrupted("the stream stopped without a finish reason")
        else:
            self._finish()
            return rest
        self._finish(error.code)
        return error_event(error, self._call.facts.operation)

    def leave(self) -> None:
        """The caller takes no more; some stop reading at the end mark, which is no loss."""
        self._call.keeps(self._watch.response_id)
        if self._watch.ended:
            self._finish()
        else:
            self._call.abandon(self._spent())

    def _as_asked(self, events: bytes) -> bytes:
        """With the caller's names of tools, and no error that tells the credential."""
        if self.tells_error and self._head is not None:
            events = without_secrets(events, self._head)
        return restore(events, self._renamed) if self._renamed else events

    def _stop_at_error(self) -> None:
        error = self._watch.error
        if error is not None and not self._watch.content_seen and error.kind in _ELSEWHERE:
            raise SendFailed.of(error if self._head is None else hidden(error, self._head))

    def _interrupted(self, message: str) -> StreamInterrupted:
        return StreamInterrupted(message, partial=self._watch.text if self._keep_text else "")

    def _finish(self, error: str | None = None) -> None:
        if error is None and self._watch.error is not None:
            error = str(self._watch.error.kind)
        self._call.keeps(self._watch.response_id)
        self._call.finish(self._spent(), estimated=self._watch.usage is None, error=error)

    def _spent(self) -> Usage:
        """As reported; else the prompt's estimate and that of the text that came."""
        return self._watch.usage or Usage(self._call.prompt_tokens, self._watch.output_tokens_estimate)
