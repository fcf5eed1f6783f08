"""The official client's Responses calls, with both of its major versions."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

Until = Callable[[Callable[[], bool]], None]
LOOK: Any = {
    "type": "function",
    "name": "look",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"at": {"type": "string"}},
        "required": ["at"],
        "additionalProperties": False,
    },
}


class City(BaseModel):
    name: str
    population: int
    districts: list[str]


@pytest.fixture
def v1(emulator: Handle) -> Iterator[openai.OpenAI]:
    base_url = f"{emulator.url('east')}/openai/v1/"
    with openai.OpenAI(base_url=base_url, api_key=emulator.key("east"), max_retries=0) as client:
        yield client


def classic(emulator: Handle, version: str) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=emulator.url("east"),
        api_key=emulator.key("east"),
        api_version=version,
        max_retries=0,
    )


def test_both_surfaces_answer(v1: openai.OpenAI, emulator: Handle) -> None:
    """The deployment is named in the body on both, and the words are the same."""
    modern = v1.responses.create(model="gpt-4o-prod", input="hello")
    with classic(emulator, "2025-03-01-preview") as client:
        older = client.responses.create(model="gpt-4o-prod", input="hello")
    assert older.output_text == modern.output_text
    assert modern.status == "completed"
    assert modern.model == "gpt-4o-2024-11-20"


@pytest.mark.parametrize("version", ["2024-10-21", "2025-02-01-preview"])
def test_dated_versions_without_responses_do_not_find_them(emulator: Handle, version: str) -> None:
    """The last dated GA version has none, nor do the previews before March 2025."""
    with classic(emulator, version) as client, pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model="gpt-4o-prod", input="hello")
    assert caught.value.code == "404"


def test_usage_is_what_is_billed(v1: openai.OpenAI, emulator: Handle) -> None:
    """Reasoning tokens are among those of the output, on the answer and on the bill."""
    usage = v1.responses.create(model="gpt-5-mini-prod", input="hello", reasoning={"effort": "high"}).usage
    assert usage
    assert 0 < usage.output_tokens_details.reasoning_tokens < usage.output_tokens
    (line,) = emulator.bill()["entries"]
    assert line["input_tokens"] == usage.input_tokens
    assert line["output_tokens"] == usage.output_tokens
    assert line["reasoning_tokens"] == usage.output_tokens_details.reasoning_tokens


def test_a_stream_tells_the_same_in_order(v1: openai.OpenAI, emulator: Handle) -> None:
    """Events are numbered, deltas add up to the text, the last one holds what a whole answer says."""
    whole = v1.responses.create(model="o4-mini-prod", input="hello")
    events = list(v1.responses.create(model="o4-mini-prod", input="hello", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-3:] == ["response.content_part.done", "response.output_item.done", "response.completed"]
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    final = events[-1]
    assert final.type == "response.completed"
    assert said == final.response.output_text == whole.output_text
    first, second = emulator.bill()["entries"]
    assert first["output_tokens"] == second["output_tokens"]
    assert v1.responses.retrieve(final.response.id).output_text == said


def test_a_stream_helper_assembles_the_response(v1: openai.OpenAI) -> None:
    """The client's own accumulation agrees with the final event."""
    with v1.responses.stream(model="gpt-4o-prod", input="hello", tools=[LOOK]) as stream:
        for _ in stream:
            pass
        (call,) = stream.get_final_response().output
    assert call.type == "function_call"
    assert call.status == "completed"


def test_a_schema_is_kept_to(v1: openai.OpenAI) -> None:
    """The client parses the answer into the caller's own type."""
    parsed = v1.responses.parse(model="gpt-4o-prod", input="a city", text_format=City).output_parsed
    assert isinstance(parsed, City)
    chatted = v1.chat.completions.parse(
        model="gpt-4o-prod", messages=[{"role": "user", "content": "a city"}], response_format=City
    )
    assert isinstance(chatted.choices[0].message.parsed, City)


def test_a_tool_conversation_goes_round(v1: openai.OpenAI) -> None:
    """As in the documentation: output items are sent back as they came, with the tool's result."""
    history: list[Any] = [{"role": "user", "content": "look at the lamp"}]
    first = v1.responses.create(model="gpt-5-mini-prod", input=history, tools=[LOOK])
    history += first.output
    (call,) = [item for item in first.output if item.type == "function_call"]
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "it is on"})
    second = v1.responses.create(model="gpt-5-mini-prod", input=history, tools=[LOOK])
    assert second.output_text
    with pytest.raises(openai.BadRequestError, match="No tool output found for function call"):
        v1.responses.create(model="gpt-5-mini-prod", input=[*history[:-1]], tools=[LOOK])


def test_a_conversation_goes_on_by_id(v1: openai.OpenAI, emulator: Handle) -> None:
    """What was said before is part of the prompt; another resource does not know it."""
    first = v1.responses.create(model="gpt-4o-prod", input="one")
    second = v1.responses.create(model="gpt-4o-prod", input="two", previous_response_id=first.id)
    assert first.usage
    assert second.usage
    assert second.usage.input_tokens > first.usage.total_tokens
    items = list(v1.responses.input_items.list(second.id, order="asc"))
    texts = [part.text for item in items for part in getattr(item, "content", ()) if hasattr(part, "text")]
    assert texts == ["one", first.output_text, "two"]
    elsewhere = v1.with_options(
        base_url=f"{emulator.url('sweden')}/openai/v1/", api_key=emulator.key("sweden")
    )
    with pytest.raises(openai.BadRequestError) as caught:
        elsewhere.responses.create(model="gpt-4o-prod", input="two", previous_response_id=first.id)
    assert caught.value.code == "previous_response_not_found"
    with pytest.raises(openai.NotFoundError, match="not found"):
        elsewhere.responses.retrieve(first.id)


def test_a_response_can_be_deleted_and_left_unstored(v1: openai.OpenAI) -> None:
    """Either way it is not found afterwards."""
    kept = v1.responses.create(model="gpt-4o-prod", input="one")
    assert v1.responses.retrieve(kept.id) == kept
    v1.responses.delete(kept.id)
    loose = v1.responses.create(model="gpt-4o-prod", input="one", store=False)
    for response in (kept, loose):
        with pytest.raises(openai.NotFoundError):
            v1.responses.retrieve(response.id)


def test_input_items_come_in_pages(v1: openai.OpenAI) -> None:
    """The client's pagination sees each of them once, newest first."""
    given: Any = [{"role": "user", "content": f"number {number}"} for number in range(5)]
    response = v1.responses.create(model="gpt-4o-prod", input=given)
    items = list(v1.responses.input_items.list(response.id, limit=2))
    texts = [part.text for item in items for part in getattr(item, "content", ()) if hasattr(part, "text")]
    assert texts == [f"number {number}" for number in reversed(range(5))]


def test_encrypted_reasoning_belongs_to_one_resource(v1: openai.OpenAI, emulator: Handle) -> None:
    """It goes round without storage, but not over to another resource."""
    first = v1.responses.create(
        model="gpt-5-mini-prod", input="one", store=False, include=["reasoning.encrypted_content"]
    )
    thought = first.output[0]
    assert thought.type == "reasoning"
    assert thought.encrypted_content
    history: Any = [{"role": "user", "content": "one"}, *first.output, {"role": "user", "content": "two"}]
    assert v1.responses.create(model="gpt-5-mini-prod", input=history, store=False).output_text
    elsewhere = v1.with_options(base_url=f"{emulator.url('japan')}/openai/v1/", api_key=emulator.key("japan"))
    with pytest.raises(openai.BadRequestError) as caught:
        elsewhere.responses.create(model="gpt-4o-prod", input=history, store=False)
    assert caught.value.code == "invalid_encrypted_content"


def test_a_background_response_is_polled(v1: openai.OpenAI, emulator: Handle, until: Until) -> None:
    """It is queued at first, done in its own time, and billed once."""
    emulator.set("east", token_ms=2)
    response = v1.responses.create(model="gpt-4o-prod", input="hello", background=True)
    assert response.status == "queued"
    until(lambda: v1.responses.retrieve(response.id).status == "completed")
    done = v1.responses.retrieve(response.id)
    assert done.output_text
    assert done.usage
    until(lambda: bool(emulator.bill()["entries"]))
    (line,) = emulator.bill()["entries"]
    assert (line["output_tokens"], line["complete"]) == (done.usage.output_tokens, True)


def test_a_background_stream_is_resumed(v1: openai.OpenAI, emulator: Handle) -> None:
    """Who lost the connection asks for what comes after the last event seen, and misses nothing."""
    emulator.set("east", token_ms=5)
    seen: list[Any] = []
    with v1.responses.create(model="gpt-4o-prod", input="hello", background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if len(seen) == 8:
                break
    response_id = seen[0].response.id
    assert v1.responses.retrieve(response_id).status == "in_progress"
    after = seen[-1].sequence_number
    seen += v1.responses.retrieve(response_id, stream=True, starting_after=after)
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen[-1].type == "response.completed"
    said = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    assert said == seen[-1].response.output_text
    again = list(v1.responses.retrieve(response_id, stream=True))
    assert len(again) == len(seen)
    (line,) = emulator.bill()["entries"]
    assert line["output_tokens"] == seen[-1].response.usage.output_tokens


def test_a_background_response_is_cancelled(v1: openai.OpenAI, emulator: Handle, until: Until) -> None:
    """Only what was generated until then is billed; a second cancel changes nothing."""
    emulator.set("east", token_ms=20)
    response = v1.responses.create(model="gpt-4o-prod", input="hello", background=True)
    time.sleep(0.2)
    assert v1.responses.cancel(response.id).status == "cancelled"
    until(lambda: bool(emulator.bill()["entries"]))
    (line,) = emulator.bill()["entries"]
    assert not line["complete"]
    assert line["output_tokens"] < 20
    assert v1.responses.cancel(response.id).status == "cancelled"
    synchronous = v1.responses.create(model="gpt-4o-prod", input="hello")
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        v1.responses.cancel(synchronous.id)


def test_only_background_streams_are_resumed(v1: openai.OpenAI) -> None:
    """Others say why not."""
    plain = v1.responses.create(model="gpt-4o-prod", input="hello")
    polled = v1.responses.create(model="gpt-4o-prod", input="hello", background=True)
    for response, reason in ((plain, "background=true"), (polled, "stream=true")):
        with pytest.raises(openai.BadRequestError, match=reason):
            list(v1.responses.retrieve(response.id, stream=True))


def test_a_limit_leaves_a_response_incomplete(v1: openai.OpenAI) -> None:
    """Thoughts use the limit up before a word is said."""
    cut = v1.responses.create(model="gpt-4o-prod", input="hello", max_output_tokens=16)
    assert cut.status == "incomplete"
    assert cut.incomplete_details
    assert cut.incomplete_details.reason == "max_output_tokens"
    thinking = v1.responses.create(
        model="gpt-5-mini-prod", input="hello", max_output_tokens=16, reasoning={"effort": "high"}
    )
    assert [item.type for item in thinking.output] == ["reasoning"]
    assert thinking.usage
    assert thinking.usage.output_tokens_details.reasoning_tokens == 16 == thinking.usage.output_tokens


def test_a_wrong_request_is_told_in_the_words_of_responses(v1: openai.OpenAI) -> None:
    """Parameters of chat are unknown here, and a family refuses the same as there."""
    with pytest.raises(openai.BadRequestError, match="Unknown parameter: 'messages'"):
        v1.responses.create(model="gpt-4o-prod", input="x", extra_body={"messages": []})
    with pytest.raises(openai.BadRequestError, match=r"'reasoning\.effort' is not supported"):
        v1.responses.create(model="gpt-4o-prod", input="x", reasoning={"effort": "low"})
    with pytest.raises(openai.BadRequestError, match="Expected a value >= 16"):
        v1.responses.create(model="gpt-4o-prod", input="x", max_output_tokens=5)
    with pytest.raises(openai.BadRequestError, match="responses operation does not work"):
        v1.responses.create(model="gpt-35-turbo-prod", input="x")
