"""A stream of events on its way to the caller: what is forwarded, and how its call ends."""

from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import SendFailed
from smalt.errors import StreamInterrupted
from smalt.types import Usage
from smalt.wire.error_body import error_event
from smalt.wire.sse import StreamWatch


class WatchedStream:
    """Ends its call exactly once: by `last`, or by `leave` if the caller goes first."""

    def __init__(self, call: OpenCall) -> None:
        self._call = call
        self._watch = StreamWatch(hide_usage=not call.facts.asks_usage)

    def feed(self, data: bytes) -> bytes:
        """What to forward of the bytes that came."""
        return self._watch.feed(data)

    def last(self, failed: SendFailed | None) -> bytes:
        """The upstream is done. A stream that broke, or stopped without its end, gets an error event."""
        rest = self._watch.rest()
        if failed is not None:
            error = StreamInterrupted(f"the stream broke: {failed}")
        elif not self._watch.ended:
            error = StreamInterrupted("the stream stopped without a finish reason")
        else:
            self._finish()
            return rest
        self._finish(error.code)
        return error_event(error)

    def leave(self) -> None:
        """The caller takes no more; some stop reading at the end mark, which is no loss."""
        if self._watch.ended:
            self._finish()
        else:
            self._call.abandon(self._spent())

    def _finish(self, error: str | None = None) -> None:
        self._call.finish(self._spent(), estimated=self._watch.usage is None, error=error)

    def _spent(self) -> Usage:
        """As reported; else the prompt's estimate and that of the text that came."""
        return self._watch.usage or Usage(self._call.prompt_tokens, self._watch.output_tokens_estimate)
