"""The streams of the catalogue of errors, each as a whole."""

import json
from pathlib import Path

import pytest

from smalt.types import FailureKind
from smalt.wire.sse import StreamWatch

CATALOGUE = json.loads((Path(__file__).parents[3] / "src/smalt/emulator/errors.json").read_text("utf-8"))
STREAMS: dict[str, str] = {entry["name"]: entry["stream"] for entry in CATALOGUE if "stream" in entry}
# Of every stream of the catalogue: ended, content_seen, kind of the error, text.
EXPECTED = {
    "stream_error_after_content": (True, True, FailureKind.SERVER, "Hel"),
    "stream_overloaded_first_event": (True, False, FailureKind.CAPACITY, ""),
    "stream_filtered_default": (True, True, None, "Well, "),  # a verdict on the answer, not a failure
    "stream_filtered_no_done": (True, True, None, "Well, "),
    "stream_async_filter_ok": (True, True, None, "Color"),
    "stream_async_filter_late_block": (True, True, None, "Some text"),
    "stream_cut": (False, True, None, "Hel"),
    "responses_stream_filtered": (True, False, FailureKind.CONTENT_FILTER, ""),  # told by the last event
    "responses_stream_error_flat": (True, False, FailureKind.SERVER, ""),
    "responses_incomplete_filter": (True, True, None, ""),
}


@pytest.mark.parametrize("name", STREAMS)
def test_catalogued_streams(name: str) -> None:
    """Every stream of the catalogue passes unchanged, and is understood."""
    stream = STREAMS[name].encode()
    watch = StreamWatch(hide_usage=True)
    assert watch.feed(stream) + watch.rest() == stream
    kind = watch.error.kind if watch.error else None
    assert (watch.ended, watch.content_seen, kind, watch.text) == EXPECTED[name]
