"""Answers as steps."""

from collections.abc import Iterator

import pytest

from smalt.emulator.answers import Answer, Event, Until
from smalt.emulator.refusals import Canned, catalogue
from smalt.emulator.steps import Close, Data, End, Head, Pace, Wait, of_answer, of_canned

PACE = Pace(latency_ms=5, first_token_ms=30, token_ms=2)


def test_a_whole_answer_is_generated_before_its_head() -> None:
    """The head knows its tokens; both waits are over by then."""
    steps = list(of_answer(Answer(3, 7, body={"a": 1}), {"x": "y"}, PACE))
    headers = {"content-type": "application/json", "x": "y", "content-length": "7"}
    assert steps == [Wait(5), Wait(30), Head(200, headers, tokens=7), End(b'{"a":1}')]


async def nothing() -> None:
    pass


def test_a_stream_is_generated_step_by_step() -> None:
    """The first token has a wait of its own; each event is made when it is its turn."""
    made: list[int] = []

    def events() -> Iterator[Event | Until]:
        for number, tokens in enumerate([0, 1, 1]):
            made.append(number)
            yield Event(b"%d" % number, tokens)
        yield Until(nothing)

    steps = of_answer(Answer(3, 2, events=events(), end=b"."), {}, PACE)
    assert [next(steps), next(steps)] == [
        Wait(5),
        Head(200, {"content-type": "text/event-stream; charset=utf-8"}),
    ]
    assert made == []
    assert list(steps) == [
        *(Data(b"0"), Wait(2), Wait(30)),
        *(Data(b"1", 1), Wait(2)),
        *(Data(b"2", 1), Wait(2)),
        Until(nothing),
        End(b"."),
    ]


def test_only_a_head_of_events_is_a_stream_s() -> None:
    """By its content type."""
    assert Head(200, {"content-type": "text/event-stream; charset=utf-8"}).of_events
    assert not Head(200, {"content-type": "application/json"}).of_events
    assert not Head(500, {}).of_events


@pytest.mark.parametrize(
    "name", ["server_error", "bad_gateway_html", "stream_cut", "stream_filtered_default"]
)
def test_a_ready_made_answer_goes_out_as_it_is(name: str) -> None:
    """With a length unless it is a stream; one that is cut does not end."""
    canned: Canned = catalogue()[name]
    wait, head, *rest = of_canned(canned, canned.headers, latency_ms=5)
    assert wait == Wait(5)
    assert isinstance(head, Head)
    assert ("content-length" in head.headers) is (canned.stream is None)
    assert rest == ([Data(canned.payload), Close()] if canned.cut else [End(canned.payload)])
