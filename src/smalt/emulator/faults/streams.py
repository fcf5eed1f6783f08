"""Streams that break or are written oddly."""

from dataclasses import replace
from typing import Literal

from smalt.emulator.faults.frames import Frame, read_frame, write_frame
from smalt.emulator.faults.layers import CODING, FILTERED, SAID, Layer, Scene
from smalt.emulator.faults.script import Whole
from smalt.emulator.steps import Data, End, Steps

_COMMENT = b": keep-alive\n\n"


class CleanCut(Layer, frozen=True, tag="clean_cut"):
    """The stream ends as HTTP should, but without finish reason, usage or end mark.

    `after`: how many pieces of output reach the caller, if there are as many; 0: not even the first event.
    """

    after: Whole = 3

    ON = "streams"
    DEPTH = SAID

    def play(self, steps: Steps, scene: Scene) -> Steps:
        said = 0
        for step in steps:
            if isinstance(step, Data) and (said == self.after or (said and not step.tokens)):
                last = self.last_words(read_frame(step.data) or {})
                yield End(last, "partial" if said else "none")
                return
            yield step
            said += isinstance(step, Data) and step.tokens > 0

    def last_words(self, withheld: Frame) -> bytes:
        """What stands in the place of the first event that is withheld."""
        return b""


class StreamError(CleanCut, frozen=True, tag="stream_error"):
    """An error as event ends the stream. `shape`: of Responses' error events; those of chat are nested."""

    shape: Literal["nested", "flat"] = "nested"
    message: str = "The server had an error processing your request."

    def last_words(self, withheld: Frame) -> bytes:
        error: Frame = {"message": self.message, "type": "server_error", "param": None, "code": None}
        number = withheld.get("sequence_number")
        if number is None:
            return write_frame({"error": error})
        envelope = {"type": "error", "sequence_number": number}
        if self.shape == "nested":
            return write_frame({**envelope, "error": error})
        return write_frame({**error, "code": "server_error", **envelope})


class NoDone(Layer, frozen=True, tag="no_done"):
    """The stream is complete but for `data: [DONE]`."""

    ON = "streams"
    OF = ("chat/completions", "completions")
    DEPTH = FILTERED

    def play(self, steps: Steps, scene: Scene) -> Steps:
        for step in steps:
            yield replace(step, data=b"") if isinstance(step, End) else step


class Comments(Layer, frozen=True, tag="comments"):
    """A comment line before each event."""

    ON = "streams"
    DEPTH = FILTERED

    def play(self, steps: Steps, scene: Scene) -> Steps:
        for step in steps:
            if isinstance(step, Data) or (isinstance(step, End) and step.data):
                yield Data(_COMMENT)
            yield step


class Crlf(Layer, frozen=True, tag="crlf"):
    r"""Lines end with \r\n instead of \n."""

    ON = "streams"
    DEPTH = CODING

    def play(self, steps: Steps, scene: Scene) -> Steps:
        for step in steps:
            if isinstance(step, Data | End):  # within JSON a line break is written as an escape
                yield replace(step, data=step.data.replace(b"\n", b"\r\n"))
            else:
                yield step
