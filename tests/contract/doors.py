"""Every door a request can take, driven by the official SDK."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import openai
from tests.contract.gateways import ADAPTERS, KEY, Adapter, Stage

from smalt import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, Fleet, OpenAI
from smalt.config import Settings

Kind = Literal["chat", "stream", "embeddings", "responses"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as an application makes it. `body`: the SDK's arguments without model and stream."""

    kind: Kind
    body: Mapping[str, Any]
    model: str = "gpt-4o"

    @property
    def arguments(self) -> dict[str, Any]:
        streamed = {"stream": True} if self.kind == "stream" else {}
        return {"model": self.model, **streamed, **self.body}

    def resource(self, client: Any) -> Any:
        """The part of a client that takes it."""
        part = client.chat.completions if self.kind in {"chat", "stream"} else getattr(client, self.kind)
        return part.with_raw_response


@dataclass(slots=True)
class Result:
    """What the application saw."""

    headers: Mapping[str, str] = field(default_factory=dict)
    answer: dict[str, Any] | None = None
    chunks: list[dict[str, Any]] = field(default_factory=list)
    error: openai.APIError | None = None

    @property
    def text(self) -> str:
        """Of a streamed answer, as far as it came."""
        choices = [choice for chunk in self.chunks for choice in chunk["choices"]]
        return "".join(choice["delta"].get("content") or "" for choice in choices)


def perform(client: Any, ask: Ask) -> Result:
    result = Result()
    try:
        raw = ask.resource(client).create(**ask.arguments)
        result.headers = raw.headers
        if ask.kind == "stream":
            with raw.parse() as stream:
                for chunk in stream:
                    result.chunks.append(chunk.model_dump())
        else:
            result.answer = raw.parse().model_dump(warnings=False)  # base64 is no list of floats
    except openai.APIError as error:
        result.error = error
    return result


async def perform_async(client: Any, ask: Ask) -> Result:
    result = Result()
    try:
        raw = await ask.resource(client).create(**ask.arguments)
        result.headers = raw.headers
        if ask.kind == "stream":
            async with raw.parse() as stream:
                async for chunk in stream:
                    result.chunks.append(chunk.model_dump())
        else:
            result.answer = raw.parse().model_dump(warnings=False)  # base64 is no list of floats
    except openai.APIError as error:
        result.error = error
    return result


class Opened(Protocol):
    """A door with settings behind it."""

    def __call__(self, ask: Ask, /) -> Result: ...


Surface = Literal["openai", "classic", "v1"]


@dataclass(slots=True)
class GatewayDoor:
    """The unmodified SDK in front of a gateway."""

    adapter: Adapter
    surface: Surface
    stages: Mapping[Adapter, Stage]
    _client: openai.OpenAI | None = None

    library = False

    @property
    def name(self) -> str:
        return f"gateway-{self.adapter}-{self.surface}"

    @contextmanager
    def open(self, settings: Settings) -> Iterator[Opened]:
        stage = self.stages[self.adapter]
        stage.play(settings)
        client = self._client = self._client or sdk_client(stage.url, self.surface)
        yield lambda ask: perform(client, ask)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def sdk_client(url: str, surface: Surface, key: str = KEY) -> openai.OpenAI:
    """The official client for one surface of a gateway."""
    if surface == "classic":
        return openai.AzureOpenAI(
            azure_endpoint=url, api_key=key, api_version="2024-10-21", max_retries=0, timeout=20
        )
    base_url = f"{url}/v1" if surface == "openai" else f"{url}/openai/v1/"
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=20)


@dataclass(slots=True)
class LibraryDoor:
    """smalt's own subclass of the SDK's client, without a gateway."""

    name: str
    client_class: type[OpenAI | AzureOpenAI]

    library = True

    @contextmanager
    def open(self, settings: Settings) -> Iterator[Opened]:
        fleet = Fleet(settings)
        with self.client_class(fleet=fleet, timeout=settings.timeouts.total_s) as client:
            yield lambda ask: perform(client, ask)


@dataclass(slots=True)
class AsyncLibraryDoor:
    """The same for the asynchronous clients."""

    name: str
    client_class: type[AsyncOpenAI | AsyncAzureOpenAI]

    library = True

    @contextmanager
    def open(self, settings: Settings) -> Iterator[Opened]:
        with asyncio.Runner() as runner:
            client = self.client_class(fleet=Fleet(settings), timeout=settings.timeouts.total_s)
            try:
                yield lambda ask: runner.run(perform_async(client, ask))
            finally:
                runner.run(client.close())


AnyDoor = GatewayDoor | LibraryDoor | AsyncLibraryDoor

SURFACES: tuple[Surface, ...] = ("openai", "classic", "v1")


def all_doors(stages: Mapping[Adapter, Stage]) -> dict[str, AnyDoor]:
    """By name; `NAMES` has the same, without anything running."""
    doors: list[AnyDoor] = [
        GatewayDoor(adapter, surface, stages) for adapter in ADAPTERS for surface in SURFACES
    ]
    doors += [
        LibraryDoor("library-sync", OpenAI),
        LibraryDoor("library-sync-azure", AzureOpenAI),
        AsyncLibraryDoor("library-async", AsyncOpenAI),
        AsyncLibraryDoor("library-async-azure", AsyncAzureOpenAI),
    ]
    return {door.name: door for door in doors}


NAMES = tuple(all_doors({}))
