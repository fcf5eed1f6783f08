"""What a call was and cost, told to the program that made it."""

import asyncio
import threading
from decimal import Decimal
from typing import Any

import openai
import pytest

import smalt
from smalt import Fleet
from smalt.emulator.testing import Handle
from smalt.types import CallRecord

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]


def chat(fleet: Fleet, **asked: Any) -> Any:
    with fleet.openai() as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=HELLO, **asked)
        if asked.get("stream"):
            list(answer)
        return answer


def receipt(answer: object) -> CallRecord:
    found = smalt.receipt(answer)
    assert found is not None
    return found


@pytest.mark.parametrize("stream", [False, True])
def test_a_receipt_says_what_the_emulator_bills(azure: Handle, fleet: Fleet, stream: bool) -> None:
    """Usage, cost, who answered, and the id that Azure's support asks for; of streams when they are read."""
    told = receipt(chat(fleet, stream=stream))
    billed = azure.bill()["totals"]
    assert told.usage is not None
    assert (told.usage.input_tokens, told.usage.output_tokens) == (
        billed["input_tokens"],
        billed["output_tokens"],
    )
    assert (
        told.cost_usd
        == Decimal("2.5e-6") * told.usage.input_tokens + Decimal("1e-5") * told.usage.output_tokens
    )
    assert (told.upstream, told.region) == ("east/gpt-4o-prod", "eastus")
    assert set(told.upstream_ids) == {"apim-request-id", "x-request-id"}
    assert told.first_byte_s is not None
    assert 0 < told.first_byte_s <= told.duration_s


def test_a_receipt_names_every_attempt(azure: Handle, fleet: Fleet) -> None:
    """Also the one that failed and cost nothing."""
    azure.set("east", "down")
    told = receipt(chat(fleet))
    assert [(attempt.upstream, str(attempt.fate)) for attempt in told.attempts] == [
        ("east/gpt-4o-prod", "not_sent"),
        ("sweden/gpt-4o-prod", "billed"),
    ]


def test_an_exception_has_a_receipt(fleet: Fleet) -> None:
    """It says that nobody answered, and why."""
    with fleet.openai() as client, pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(model="gpt-4o", messages=[])
    assert receipt(raised.value).error == "request"


@pytest.mark.parametrize("operation", ["chat", "responses"])
def test_a_stream_that_breaks_has_a_receipt(azure: Handle, fleet: Fleet, operation: str) -> None:
    """The exception leads to it, too: what was estimated for the part that came."""
    azure.fault("clean_cut", after=3)
    asked: dict[str, Any] = {"model": "gpt-4o", "stream": True}
    with fleet.openai() as client:
        if operation == "chat":
            stream = client.chat.completions.create(messages=HELLO, **asked)
        else:
            stream = client.responses.create(input="hello", **asked)
        with pytest.raises(openai.APIError) as raised:
            list(stream)
    told = receipt(raised.value)
    assert (told.error, told.estimated) == ("stream_interrupted", True)
    assert told == receipt(stream)


def test_what_never_went_through_smalt_has_none() -> None:
    """Whatever it is."""
    assert smalt.receipt(object()) is None


def test_tags_add_up(fleet: Fleet) -> None:
    """Those of the `with` around count, too."""
    with smalt.tag("search"):
        chat(fleet)
        with smalt.tag("ranking", "search"):
            assert receipt(chat(fleet)).tags == ("search", "ranking")
    chat(fleet)
    assert {tag: sums.calls for tag, sums in fleet.usage("tag").items()} == {"search": 2, "ranking": 1}


def test_req_1_43_the_session_is_in_the_record_and_the_log(
    azure: Handle, fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a call that did not go smoothly; smooth ones are not logged."""
    azure.set("east", "down")
    with smalt.session("s-17"):
        assert receipt(chat(fleet)).session == "s-17"
    assert [
        " session=s-17: " in line.getMessage() for line in caplog.records if line.name == "smalt.calls"
    ] == [True]


def test_receipts_are_collected_where_the_response_is_hidden(fleet: Fleet) -> None:
    """Of the calls made inside and of no others: a new thread has a context of its own."""
    with smalt.receipts() as inside:
        chat(fleet)
        other = threading.Thread(target=chat, args=(fleet,))
        other.start()
        other.join()
        chat(fleet, stream=True)
    chat(fleet)
    assert [told.operation.value for told in inside] == ["chat.completions"] * 2


def test_tasks_keep_their_receipts_apart(fleet: Fleet) -> None:
    """Context variables follow the task."""

    async def one(client: openai.AsyncOpenAI, name: str) -> list[CallRecord]:
        with smalt.tag(name), smalt.receipts() as mine:
            await client.chat.completions.create(model="gpt-4o", messages=HELLO)
        return mine

    async def all_at_once() -> list[list[CallRecord]]:
        async with fleet.async_openai() as client:
            return await asyncio.gather(*(one(client, f"t{number}") for number in range(10)))

    for number, mine in enumerate(asyncio.run(all_at_once())):
        assert [told.tags for told in mine] == [(f"t{number}",)]
