"""What a model answers, whole or in pieces: the same message."""

from types import SimpleNamespace
from typing import Any

from smalt.client.agent_answers import Streamed, whole

CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"place":"cellar"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "roll", "arguments": "{}"}},
]


def named(**members: Any) -> SimpleNamespace:
    return SimpleNamespace(**members)


def choice(
    content: str | None = None, *, refusal: str | None = None, calls: Any = None, ended: str = "stop"
) -> Any:
    message = named(content=content, refusal=refusal, tool_calls=calls)
    return named(message=message, finish_reason=ended)


def piece(
    index: int, call_id: str | None = None, name: str | None = None, arguments: str | None = None
) -> Any:
    return named(index=index, id=call_id, function=named(name=name, arguments=arguments))


def chunk(
    content: str | None = None, *, refusal: str | None = None, calls: Any = None, ended: str | None = None
) -> Any:
    delta = named(content=content, refusal=refusal, tool_calls=calls)
    return named(choices=[named(delta=delta, finish_reason=ended)])


def streamed(*chunks: Any) -> tuple[list[str], Any]:
    answer = Streamed()
    return [answer.add(one) for one in chunks], answer.whole


def test_words() -> None:
    """The chunks of Azure that have no choice, or one without words, say nothing."""
    message = {"role": "assistant", "content": "Two rats."}
    assert whole(choice("Two rats.")) == (message, "stop")
    empty = named(choices=[]), named(choices=[named(delta=None, finish_reason=None)])
    assert streamed(*empty, chunk(), chunk("Two "), chunk("rats."), chunk(ended="stop")) == (
        ["", "", "", "Two ", "rats.", ""],
        (message, "stop"),
    )


def test_a_refusal_is_what_was_said() -> None:
    """The model's own, not the content filter's."""
    message = {"role": "assistant", "content": "I will not."}
    assert whole(choice(refusal="I will not.")) == (message, "stop")
    assert streamed(chunk(refusal="I will "), chunk(refusal="not."), chunk(ended="stop")) == (
        ["I will ", "not.", ""],
        (message, "stop"),
    )


def test_nothing_said_is_an_empty_text() -> None:
    """Azure takes no message without content that calls no tool."""
    message = {"role": "assistant", "content": ""}
    assert whole(choice(ended="content_filter")) == (message, "content_filter")
    assert streamed(chunk(ended="content_filter"))[1] == (message, "content_filter")


def test_calls_of_tools() -> None:
    """In their order, put together from pieces that may be mixed."""
    calls = [
        named(id=call["id"], function=named(**call["function"]))  # type: ignore[arg-type]
        for call in CALLS
    ]
    message = {"role": "assistant", "content": None, "tool_calls": CALLS}
    assert whole(choice(calls=calls, ended="tool_calls")) == (message, "tool_calls")
    _, told = streamed(
        chunk(calls=[piece(1, "call_2", "roll", "")]),
        chunk(calls=[piece(0, "call_1", "look", '{"place":')]),
        chunk(calls=[piece(0, None, None, '"cellar"}'), piece(1, None, None, "{}")]),
        chunk(ended="tool_calls"),
    )
    assert told == (message, "tool_calls")


def test_words_before_a_call_are_kept() -> None:
    """Some models say what they are about to do."""
    _, (message, _) = streamed(chunk("Let me see."), chunk(calls=[piece(0, "call_2", "roll", "{}")]))
    assert message == {"role": "assistant", "content": "Let me see.", "tool_calls": CALLS[1:]}
