"""The plain client: one deployment, messages in, an answer with its tokens and its cost out."""

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

import openai

from smalt.client import circumstances
from smalt.client.answers import Chunk, Gathering, Response, whole
from smalt.client.explain import raised
from smalt.client.fleet import Fleet
from smalt.config import from_data
from smalt.config.endpoint import base_url
from smalt.errors import InvalidDeployment, InvalidEndpoint, InvalidRequest, MissingAuth
from smalt.observe.log import log_wait
from smalt.types import CallRecord
from smalt.wire.models import infer_model

LIMITS: Final = {"max_tokens": (1, 128_000), "temperature": (0, 2), "timeout_s": (1, 600)}

Messages = Iterable[Mapping[str, Any]]
Tools = Iterable[Mapping[str, Any]]

logger = logging.getLogger("smalt.client")


class _OneDeployment(ABC):
    """What the two clients share."""

    def __init__(  # noqa: PLR0913  the promised signature
        self,
        endpoint: str = "",
        deployment: str = "",
        *,
        api_key: str | None = None,
        entra_token: str | None = None,
        api_version: str = "2024-10-21",
        model_name: str | None = None,
        max_tokens: int = 4_096,
        temperature: float = 1.0,
        timeout_s: float = 60,
    ) -> None:
        _check(endpoint, deployment, api_key, entra_token)
        self._defaults: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
        _check_limits({**self._defaults, "timeout_s": timeout_s})
        self.endpoint, self.deployment = endpoint, deployment
        self.model_name = model_name or infer_model(deployment)
        if self.model_name is None:
            logger.warning("no model is known behind %r, so no cost: give model_name", deployment)
        identity = {"kind": "token", "token": entra_token}
        resource = {
            "endpoint": endpoint,
            "api_version": api_version,
            "deployments": {deployment: {"model": self.model_name or deployment}},
            **({"api_keys": [api_key]} if api_key else {"identity": identity}),
        }
        self.fleet = Fleet(from_data({"resources": {"azure": resource}}))
        self._open(timeout_s)

    @abstractmethod
    def _open(self, timeout_s: float) -> None: ...

    def _asked(self, messages: Messages, tools: Tools | None, more: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of the request. Raises InvalidRequest."""
        asked = {**self._defaults, **more}
        if more.get("max_completion_tokens") is not None:
            del asked["max_tokens"]  # the same by its newer name
        _check_limits(asked)
        if tools is not None:
            asked["tools"] = list(tools)
        return {"model": self.deployment, "messages": list(messages), **asked}


class Client(_OneDeployment):
    """A client of one deployment. Safe for threads.

    `endpoint`: of the resource, an https URL. `api_key` or `entra_token` (with or without `Bearer `, used
    until it expires): the key wins, with a warning. `model_name`: for the cost, where the deployment's name
    does not tell it. `max_tokens`: 1 to 128,000; `temperature`: 0 to 2; both can be given per call.
    `timeout_s`: 1 to 600, how long Azure may be silent; no wait for another try goes beyond it.

    Attributes: `endpoint`; `deployment`; `model_name`, the model behind it, None if neither argument nor name
    tells it: then nothing is known of prices and limits; `fleet`, of this one deployment: its `usage()` and
    `status()` tell what was done.

    Raises InvalidEndpoint, InvalidDeployment, MissingAuth and, for a number out of its range, InvalidRequest.
    """

    def _open(self, timeout_s: float) -> None:
        self._sdk = self.fleet.azure_openai(timeout=timeout_s)

    def chat(self, messages: Messages, tools: Tools | None = None, **parameters: Any) -> Response:
        """The answer to messages in OpenAI's form. `tools`: in the same; `parameters`: of the request, such
        as `seed` or `response_format`. Raises SmaltError; its class and `code` say what happened."""
        asked = self._asked(messages, tools, parameters)
        with _calling() as records:
            return whole(self._sdk.chat.completions.create(stream=False, **asked), records[-1])

    def stream_chat(
        self, messages: Messages, tools: Tools | None = None, **parameters: Any
    ) -> Generator[Chunk, None, None]:
        """The same, piece by piece. An error before the first piece is raised; one after it comes with the
        last chunk. Who stops reading early closes the iterator."""
        asked = self._asked(messages, tools, parameters)
        with _calling() as records:
            chunks = _chunks(self._sdk.chat.completions.create(stream=True, **asked), records)
            next(chunks)
            return chunks

    def close(self) -> None:
        """Close its connections."""
        self._sdk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_OneDeployment):
    """`Client` for one event loop."""

    def _open(self, timeout_s: float) -> None:
        self._sdk = self.fleet.async_azure_openai(timeout=timeout_s)

    async def chat(self, messages: Messages, tools: Tools | None = None, **parameters: Any) -> Response:
        """See `Client.chat`."""
        asked = self._asked(messages, tools, parameters)
        with _calling() as records:
            return whole(await self._sdk.chat.completions.create(stream=False, **asked), records[-1])

    async def stream_chat(
        self, messages: Messages, tools: Tools | None = None, **parameters: Any
    ) -> AsyncGenerator[Chunk, None]:
        """See `Client.stream_chat`; awaited, then read with `async for`."""
        asked = self._asked(messages, tools, parameters)
        with _calling() as records:
            chunks = _async_chunks(await self._sdk.chat.completions.create(stream=True, **asked), records)
            await anext(chunks)
            return chunks

    async def close(self) -> None:
        await self._sdk.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@contextmanager
def _calling() -> Iterator[list[CallRecord]]:
    """The record of the call made inside, once it has ended; a warning before each wait; smalt's errors."""
    with circumstances.receipts() as records, circumstances.changed(on_wait=log_wait):
        try:
            yield records
        except openai.OpenAIError as error:
            raise raised(error) from error


def _chunks(stream: Any, records: list[CallRecord]) -> Generator[Chunk, None, None]:
    """The first chunk is not for callers: only a generator that has begun closes the stream when it is closed
    or dropped."""
    gathered = Gathering()
    with stream:
        yield Chunk()
        try:
            for event in stream:
                if text := gathered.add(event):
                    yield Chunk(text)
        except openai.OpenAIError as error:
            yield Chunk(error=raised(error, gathered.message))
            return
    yield Chunk(response=gathered.response(records[-1]))


async def _async_chunks(stream: Any, records: list[CallRecord]) -> AsyncGenerator[Chunk, None]:
    """See `_chunks`."""
    gathered = Gathering()
    async with stream:
        yield Chunk()
        try:
            async for event in stream:
                if text := gathered.add(event):
                    yield Chunk(text)
        except openai.OpenAIError as error:
            yield Chunk(error=raised(error, gathered.message))
            return
    yield Chunk(response=gathered.response(records[-1]))


def _check(endpoint: str, deployment: str, api_key: str | None, entra_token: str | None) -> None:
    """What a client cannot do without, in the documented words."""
    if not endpoint:
        raise InvalidEndpoint("endpoint is required")
    try:
        base_url(endpoint, azure=True)
    except ValueError as error:
        raise InvalidEndpoint(f"endpoint: {error}") from None
    if not deployment:
        raise InvalidDeployment("deployment ID is required")
    if not (api_key or entra_token):
        raise MissingAuth("either APIKey or EntraToken must be provided")
    if api_key and entra_token:
        logger.warning("api_key and entra_token are both given: the key is used; leave one out")


def _check_limits(told: Mapping[str, Any]) -> None:
    for name, (least, most) in LIMITS.items():
        value = told.get(name, least)
        if not (isinstance(value, int | float) and least <= value <= most):
            raise InvalidRequest(f"'{name}' must be between {least} and {most}, not {value!r}")
