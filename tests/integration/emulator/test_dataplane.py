"""Operations, pace and pass-through, as the official client sees them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import openai
import pytest

from smalt.emulator.deployments import Deployment
from smalt.emulator.fleet import Fleet, default_fleet
from smalt.emulator.pass_through import PassThrough
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello there"}]
INSTRUCT = Deployment("instruct", "gpt-35-turbo-instruct", "Standard", 1_000)
OLD = Deployment("old", "gpt-4o", "Standard", 1_000, version="2024-05-13")


def fleet(*deployments: Deployment, **parts: Any) -> Fleet:
    """The default one, with `deployments` in the east."""
    base = default_fleet(0, latency_ms=0, token_ms=0)
    east = base.resources["east"]
    east = replace(east, deployments={**east.deployments, **{one.name: one for one in deployments}})
    return replace(base, resources={**base.resources, "east": east}, **parts)


@pytest.fixture(scope="module")
def larger() -> Iterator[Handle]:
    with running(fleet(INSTRUCT, OLD)) as handle:
        yield handle


@contextmanager
def v1(emulator: Handle, resource: str = "east") -> Iterator[openai.OpenAI]:
    base_url = f"{emulator.url(resource)}/openai/v1/"
    with openai.OpenAI(base_url=base_url, api_key=emulator.key(resource), max_retries=0) as client:
        yield client


def classic(emulator: Handle) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=emulator.url("east"),
        api_key=emulator.key("east"),
        api_version="2024-10-21",
        max_retries=0,
    )


def test_completions_are_answered_and_billed(larger: Handle) -> None:
    """Whole and streamed, on the classic surface; only by the model that has them."""
    larger.reset()
    with classic(larger) as client:
        whole = client.completions.create(model="instruct", prompt="Once upon", max_tokens=30)
        stream = client.completions.create(model="instruct", prompt="Once upon", max_tokens=30, stream=True)
        said = "".join(chunk.choices[0].text for chunk in stream if chunk.choices)
        with pytest.raises(openai.BadRequestError, match="completion operation does not work"):
            client.completions.create(model="gpt-4o-prod", prompt="x")
        with pytest.raises(openai.BadRequestError, match="chatCompletion operation does not work"):
            client.chat.completions.create(model="instruct", messages=HELLO)
    assert said == whole.choices[0].text
    first, second = larger.bill()["entries"]
    assert whole.usage
    assert first["output_tokens"] == second["output_tokens"] == whole.usage.completion_tokens


def test_a_deployment_has_its_version(larger: Handle) -> None:
    """It shows in answers, in the state, and in what it can do."""
    with v1(larger) as client:
        assert client.chat.completions.create(model="old", messages=HELLO).model == "gpt-4o-2024-05-13"
        form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
        with pytest.raises(openai.BadRequestError, match="not supported with this model"):
            client.chat.completions.create(model="old", messages=HELLO, response_format=form)
    assert larger.state()["resources"]["east"]["deployments"]["old"]["version"] == "2024-05-13"


def test_one_model_is_told_by_itself(emulator: Handle) -> None:
    """Or not found, in OpenAI's shape."""
    with v1(emulator) as client:
        assert client.models.retrieve("o3-2025-04-16").id == "o3-2025-04-16"
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("gpt-1")
    assert caught.value.code == "model_not_found"


def test_a_repeated_prompt_is_cached_by_its_deployment(emulator: Handle) -> None:
    """The usage tells it, the bill counts it, and another deployment knows nothing of it."""
    messages: Any = [{"role": "user", "content": "word " * 1_500}]
    with v1(emulator) as client:
        for model in ("gpt-4o-prod", "gpt-4o-prod", "gpt-4o-mini-prod"):
            client.chat.completions.create(model=model, messages=messages)
    assert [line["cached_tokens"] for line in emulator.bill()["entries"]] == [0, 1_408, 0]


def test_the_first_token_has_a_wait_of_its_own(emulator: Handle) -> None:
    """The head comes before it; refusals do not wait for it."""
    emulator.set("east", first_token_ms=300)
    with v1(emulator) as client:
        started = time.monotonic()
        stream = client.chat.completions.create(model="gpt-4o-prod", messages=HELLO, stream=True)
        opened = time.monotonic() - started
        next(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
        spoke = time.monotonic() - started
        stream.close()
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model="gpt-4o-prod", messages=HELLO, temperature=9)
        refused = time.monotonic() - started - spoke
    assert opened < 0.25 <= spoke
    assert refused < 0.25


class Words:
    """A server that repeats what it is asked, in OpenAI's shape."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        if b'"stream":true' in body.replace(b" ", b""):
            for piece in (b"blue", b" glass"):
                writer.write(
                    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":['
                )
                writer.write(b'{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n' % piece)
                await writer.drain()
            writer.write(
                b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[],'
            )
            writer.write(b'"usage":{"prompt_tokens":70,"completion_tokens":7,"total_tokens":77}}\n\n')
            if b"cut" not in body:
                writer.write(b"data: [DONE]\n\n")
        else:
            writer.write(
                b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
            )
            writer.write(b'"message":{"role":"assistant","content":"blue glass"},"finish_reason":"stop"}],')
            writer.write(b'"usage":{"prompt_tokens":70,"completion_tokens":7,"total_tokens":77}}')
        await writer.drain()
        writer.close()


async def test_a_relayed_answer_is_dressed_and_billed() -> None:
    """The words and the count are the server's; model, filters and refusals are Azure's."""
    words = Words()
    server = await asyncio.start_server(words.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def ask() -> dict[str, Any]:
        with running(fleet(pass_through=PassThrough(f"http://127.0.0.1:{port}/v1"))) as emulator:
            with v1(emulator) as client:
                whole = client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
                assert whole.choices[0].message.content == "blue glass"
                assert whole.model == "gpt-4o-2024-11-20"
                assert whole.model_extra
                assert whole.model_extra["prompt_filter_results"]
                stream = client.chat.completions.create(model="gpt-4o-prod", messages=HELLO, stream=True)
                chunks = list(stream)
                assert all(chunk.usage is None for chunk in chunks)
                told = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
                assert told == "blue glass"
                with pytest.raises(openai.BadRequestError):
                    client.chat.completions.create(model="gpt-4o-prod", messages=HELLO, temperature=9)
            return emulator.bill()

    bill = await asyncio.to_thread(ask)
    server.close()
    await server.wait_closed()
    assert [(line["input_tokens"], line["output_tokens"]) for line in bill["entries"]] == [(70, 7), (70, 7)]
    assert len(words.heads) == 2
    assert not any(b"authorization" in head.lower() for head in words.heads)


def test_a_server_that_is_not_there_is_a_503(emulator: Handle) -> None:
    """Nothing is made up in its place."""
    with (
        running(fleet(pass_through=PassThrough("http://127.0.0.1:1/v1"))) as relaying,
        v1(relaying) as client,
        pytest.raises(openai.InternalServerError, match="pass_through cannot be used") as caught,
    ):
        client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)
    assert caught.value.status_code == 503
