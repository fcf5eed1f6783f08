"""Embeddings of any number through the official SDK, sync and async: split, sent, put together."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.gateways import eventually

import smalt
from smalt import Fleet
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

MODEL = "text-embedding-3-small"
TEXTS = [f"text number {number}" for number in range(5_000)]
TWO_PARTS = TEXTS[:2_060]
SPENT_S = 60  # a minute's quota is back after that: who waits for it takes longer than any test here

Embed = Callable[..., Any]


def embedder(fleet: Fleet, door: str) -> Embed:
    """Ask for embeddings of 8 dimensions; gives the SDK's raw response."""

    async def ask(asked: dict[str, Any]) -> Any:
        async with fleet.async_openai() as client:
            return await client.embeddings.with_raw_response.create(**asked)

    def embed(given: Any, **more: Any) -> Any:
        asked = {"model": MODEL, "input": given, "dimensions": 8, **more}
        if door == "async":
            return asyncio.run(ask(asked))
        with fleet.openai() as client:
            return client.embeddings.with_raw_response.create(**asked)

    return embed


@pytest.fixture(params=["sync", "async"])
def door(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def embed(fleet: Fleet, door: str) -> Embed:
    return embedder(fleet, door)


@pytest.fixture(scope="module")
def direct(shared_azure: Handle) -> Iterator[openai.AzureOpenAI]:
    """The official client, unmodified, at one resource."""
    endpoint, key = shared_azure.url("east"), shared_azure.key("east")
    with openai.AzureOpenAI(
        azure_endpoint=endpoint, api_key=key, api_version="2024-10-21", max_retries=0
    ) as client:
        yield client


@pytest.fixture(scope="module")
def expected(direct: openai.AzureOpenAI) -> list[list[float]]:
    """The vectors of all texts, asked for in small requests."""
    pieces = [TEXTS[start : start + 1_000] for start in range(0, len(TEXTS), 1_000)]
    answers = [direct.embeddings.create(model="embed-prod", input=piece, dimensions=8) for piece in pieces]
    return [item.embedding for answer in answers for item in answer.data]


def limited(azure: Handle, quota_tpm: int, **sections: Any) -> Fleet:
    """Both regions with a quota, patient with whoever waits for it."""
    written = world.written(azure, timeouts={"total_s": 2 * SPENT_S}, **sections)
    for resource in written["resources"].values():
        deployment = {"model": MODEL, "sku": "Standard", "quota_tpm": quota_tpm}
        resource["deployments"] = {"embed-prod": deployment}
    return Fleet(smalt.Settings.model_validate(written))


def sent(azure: Handle) -> list[int]:
    """How many inputs each request had that reached a resource, in order of their arrival."""
    return [len(entry["body"]["input"]) for entry in azure.log()]


def vectors(answer: Any) -> list[list[float]]:
    """Of a raw response, in the order in which the program gets them."""
    return [item.embedding for item in answer.parse().data]


def in_flight(fleet: Fleet) -> int:
    return sum(status.in_flight + status.waiting for status in fleet.status())


def test_five_thousand_texts(
    embed: Embed, azure: Handle, direct: openai.AzureOpenAI, expected: list[list[float]]
) -> None:
    """Every text has the vector it gets when it is asked for alone, in its place and numbered through."""
    answer = embed(TEXTS)
    assert sorted(sent(azure)) == [904, 2_048, 2_048]
    got = vectors(answer)
    assert got == expected
    assert [item.index for item in answer.parse().data] == list(range(5_000))
    for index in (0, 2_047, 2_048, 4_095, 4_096, 4_999):
        alone = direct.embeddings.create(model="embed-prod", input=TEXTS[index], dimensions=8)
        assert got[index] == alone.data[0].embedding


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_come_as_they_were_asked_for(
    embed: Embed, azure: Handle, direct: openai.AzureOpenAI, encoding: Any
) -> None:
    """Not a byte of them is changed."""
    texts = TEXTS[:2_050]
    merged = json.loads(embed(texts, encoding_format=encoding).content)
    raw = direct.embeddings.with_raw_response
    pieces = [
        json.loads(
            raw.create(model="embed-prod", input=piece, dimensions=8, encoding_format=encoding).content
        )
        for piece in (texts[:1_025], texts[1_025:])
    ]
    expected = [item["embedding"] for piece in pieces for item in piece["data"]]
    assert [item["embedding"] for item in merged["data"]] == expected
    assert merged["usage"]["total_tokens"] == sum(piece["usage"]["total_tokens"] for piece in pieces)
    assert merged["object"] == "list"
    assert merged["model"] == pieces[0]["model"]


def test_lists_of_token_ids(embed: Embed, azure: Handle, direct: openai.AzureOpenAI) -> None:
    """They are inputs as texts are."""
    tokens = [[number, 7] for number in range(2_100)]
    got = vectors(embed(tokens))
    assert sorted(sent(azure)) == [52, 2_048]
    last = direct.embeddings.create(model="embed-prod", input=tokens[-1], dimensions=8)
    assert got[-1] == last.data[0].embedding


@pytest.mark.parametrize("given", ["one text", ["a", "b"], [11, 22, 33], "x " * 4_000, ["," * 3_000]])
def test_what_is_small_enough_is_sent_as_it_is(embed: Embed, azure: Handle, given: Any) -> None:
    """One text or list of token ids among them, however long its own numbers or commas make it look."""
    answer = embed(given)
    (entry,) = azure.log()
    assert entry["body"]["input"] == given
    assert "x-smalt-rewrites" not in answer.headers


def test_long_texts_are_split_by_tokens(embed: Embed, azure: Handle) -> None:
    """Fewer than 2,048, but more than 300,000 tokens."""
    assert len(vectors(embed(["word " * 1_500] * 100))) == 100
    assert sorted(sent(azure)) == [21, 79]


def test_no_part_is_larger_than_a_quota(azure: Handle, door: str) -> None:
    """What is more than a whole minute's tokens would never be taken."""
    fleet = limited(azure, quota_tpm=1_500)
    assert len(vectors(embedder(fleet, door)(["a text of some words"] * 200))) == 200
    assert len(sent(azure)) == 2


def test_what_the_merged_answer_says(fleet: Fleet, embed: Embed, azure: Handle) -> None:
    """Attempts, cost and usage are sums; the receipt is one, and the fleet's sums equal the bill."""
    with smalt.receipts() as receipts, smalt.tag("nightly"), smalt.session("job-1"):
        answer = embed(TWO_PARTS)
    bill = azure.bill()["totals"]
    receipt = smalt.receipt(answer)
    assert receipt is not None
    assert receipts == [receipt]
    assert smalt.receipt(answer.parse()) == receipt
    assert receipt.usage is not None
    assert receipt.usage.input_tokens == answer.parse().usage.prompt_tokens == bill["input_tokens"]
    assert [receipt.tags, receipt.session, receipt.error] == [("nightly",), "job-1", None]
    assert len(receipt.attempts) == bill["requests"] == 2
    assert answer.headers["x-smalt-attempts"] == "2"
    assert answer.headers["x-smalt-rewrites"] == "split"
    assert answer.headers["x-smalt-cost-usd"] == f"{receipt.cost_usd:f}".rstrip("0")
    sums = fleet.usage("tag")["nightly"]
    assert (sums.calls, sums.input_tokens, sums.cost_nusd) == (2, bill["input_tokens"], receipt.cost_nusd)
    ids = {dict(entry["headers"])["x-ms-client-request-id"] for entry in azure.log()}
    assert ids == {f"{receipt.request_id[:-4]}000{number}" for number in (1, 2)}


def test_other_rewrites_are_declared_too(azure: Handle, door: str) -> None:
    """On the v1 surface the deployment's name stands in the body."""
    written = world.written(azure)
    for resource in written["resources"].values():
        resource["api"] = "v1"
    answer = embedder(Fleet(smalt.Settings.model_validate(written)), door)(TWO_PARTS)
    assert answer.headers["x-smalt-rewrites"] == "split,model"


@pytest.mark.parametrize("error", ["rate_limit_tokens_classic", "server_error"])
def test_only_the_part_that_failed_is_sent_again(embed: Embed, azure: Handle, error: str) -> None:
    """Elsewhere, at once; the others are sent once."""
    azure.fault("error", error=error, operation="embeddings", skip=1, times=1)
    answer = embed(TWO_PARTS)
    assert len(vectors(answer)) == 2_060
    log = azure.log()
    (failed,) = [entry for entry in log if entry["status"] != 200]
    repeated = [entry for entry in log if entry["body"]["input"] == failed["body"]["input"]]
    assert len(log) == 3
    assert [entry["status"] for entry in repeated] == [failed["status"], 200]
    assert len({entry["resource"] for entry in repeated}) == 2
    assert answer.headers["x-smalt-attempts"] == "3"
    assert azure.bill()["totals"]["requests"] == 2


def test_a_part_that_is_refused_for_good(fleet: Fleet, embed: Embed, azure: Handle) -> None:
    """Its error is the answer; parts that have not begun are never sent, those under way are recorded."""
    texts = ["", *(f"{number}" for number in range(8 * 2_048))]
    with smalt.receipts() as receipts, pytest.raises(openai.BadRequestError, match="is invalid") as caught:
        embed(texts)
    assert len(sent(azure)) < 9
    (receipt,) = receipts
    assert smalt.receipt(caught.value) == receipt
    assert receipt.error == "request"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.response.headers["x-smalt-attempts"] == str(len(receipt.attempts))
    assert in_flight(fleet) == 0


def test_a_part_that_fails_everywhere(fleet: Fleet, embed: Embed, azure: Handle) -> None:
    """The error says so, as that of any call."""
    for name in world.REGIONS:
        azure.set(name, "error", error="server_error")
    with smalt.receipts() as receipts, pytest.raises(openai.InternalServerError) as caught:
        embed(TWO_PARTS)
    (receipt,) = receipts
    assert smalt.receipt(caught.value) == receipt
    assert (receipt.error, receipt.usage, receipt.cost_nusd) == ("service_unavailable", None, None)
    assert in_flight(fleet) == 0


def test_no_upstream_for_the_model(embed: Embed) -> None:
    """Found out before anything is split."""
    with pytest.raises(openai.NotFoundError, match="no upstream is configured"):
        embed(TWO_PARTS, model="text-embedding-9")


def test_parts_that_wait_are_stopped(azure: Handle, door: str) -> None:
    """When another is refused for good they are never sent, and nobody waits for their minute."""
    for name in world.REGIONS:
        azure.set(name, latency_ms=300)
    fleet = limited(azure, quota_tpm=2_000)
    started_s = time.monotonic()
    with smalt.receipts() as receipts, pytest.raises(openai.BadRequestError):
        embedder(fleet, door)(["", *["word " * 1_200] * 5])  # each 1,500 tokens: one a minute in each region
    assert time.monotonic() - started_s < SPENT_S / 6
    assert sent(azure) == [1, 1, 1]
    assert [len(receipt.attempts) for receipt in receipts] == [3]
    assert in_flight(fleet) == 0


def test_a_few_parts_at_a_time(embed: Embed, azure: Handle) -> None:
    """However many there are."""
    for name in world.REGIONS:
        azure.set(name, latency_ms=500)
    embed([str(number) for number in range(6 * 2_048)])
    spans = [(entry["arrived_s"], entry["finished_s"]) for entry in azure.log()]
    assert len(spans) == 6
    under_way = [sum(begin <= at < end for begin, end in spans) for at, _ in spans]
    assert max(under_way) == 4


def test_progress(embed: Embed) -> None:
    """After each part, up to the whole, where the request was made; a small request is one part."""
    told: list[tuple[int, int, int]] = []
    with smalt.progress(lambda done, total: told.append((done, total, threading.get_ident()))):
        embed(TWO_PARTS)
        embed(["a", "b", "c"])
        embed("alone")
    *parts, whole, small, alone = told
    assert [whole[:2], small[:2], alone[:2]] == [(2_060, 2_060), (3, 3), (1, 1)]
    assert [part[:2] for part in parts] in ([(12, 2_060)], [(2_048, 2_060)])
    assert {thread for _, _, thread in told} == {threading.get_ident()}


def test_progress_that_raises_ends_the_request(embed: Embed, fleet: Fleet) -> None:
    """So can a program say that it has seen enough."""

    def enough(done: int, total: int) -> None:
        raise ValueError(f"{done} of {total}")

    wrapped = (ValueError, openai.APIConnectionError)  # openai 2.x wraps whatever a transport raises
    with smalt.receipts() as receipts, smalt.progress(enough), pytest.raises(wrapped):
        embed(TWO_PARTS)
    assert [receipt.error for receipt in receipts] == ["abandoned"]
    assert in_flight(fleet) == 0


def test_progress_is_of_its_block_alone(embed: Embed) -> None:
    """And of embeddings."""
    told: list[int] = []
    with smalt.progress(lambda done, _total: told.append(done)):
        pass
    embed(["a"])
    assert told == []


async def test_cancelling(fleet: Fleet, azure: Handle) -> None:
    """Every part under way is dropped at once and recorded; none begins."""
    for name in world.REGIONS:
        azure.set(name, latency_ms=20_000)
    with smalt.receipts() as receipts:
        async with fleet.async_openai() as client:
            asked = client.embeddings.create(model=MODEL, input=TEXTS * 3, dimensions=8)
            task = asyncio.create_task(asked)
            await asyncio.to_thread(eventually, lambda: len(azure.log()) == 4)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            cancelled = {"cancelled"}
            await asyncio.to_thread(
                eventually, lambda: {entry["outcome"] for entry in azure.log()} == cancelled
            )
    assert len(azure.log()) == 4
    (receipt,) = receipts
    assert (receipt.error, len(receipt.attempts)) == ("abandoned", 4)
    assert {str(attempt.failure.kind) for attempt in receipt.attempts if attempt.failure} == {"caller_left"}
    assert in_flight(fleet) == 0
