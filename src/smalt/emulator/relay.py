"""Answers whose words come from another, OpenAI-compatible server; everything around them stays Azure's."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import msgspec

from smalt.emulator.answers import Answer, Event, Until
from smalt.emulator.catalogue import Model
from smalt.emulator.chat import ANSWER_FILTER, DONE, PROMPT_FILTER, SAFE, event
from smalt.emulator.params import Body
from smalt.emulator.pass_through import PassThrough
from smalt.emulator.refusals import JSON, Canned, Refusal, named

RELAYED = ("chat/completions", "completions", "embeddings")
_TIMEOUT = httpx2.Timeout(600.0, connect=5.0)


class Relay:
    """Asks with nobody's credentials, over no proxy, and follows no redirect."""

    def __init__(self, spec: PassThrough) -> None:
        self._spec = spec
        self._client = httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def answer(
        self, operation: str, body: Body, own: Answer, model: Model, stack: AsyncExitStack
    ) -> Answer:
        """Raises `Refusal`. `own`: what the emulator would have said.

        `stack`: closes the connection when the answer has gone out, or the caller has left.
        """
        asked = {**body, "model": self._spec.model or model.name}
        if body.get("stream"):
            asked["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        request = self._client.build_request("POST", f"{self._spec.url}/{operation}", json=asked)
        try:
            response = await self._client.send(request, stream=True)
            stack.push_async_callback(response.aclose)
            if response.status_code != 200 or not body.get("stream"):
                await response.aread()
        except httpx2.HTTPError as error:
            raise _unavailable(str(error) or type(error).__name__) from error
        served = {"model": model.served}
        if response.status_code != 200:
            raise Refusal(Canned(response.status_code, JSON, response.text))
        if body.get("stream"):
            return _streamed(response, own, served, body)
        return _whole(response.content, own, served)


def _whole(content: bytes, own: Answer, served: dict[str, str]) -> Answer:
    told = _object(content)
    dressed = _dressed(told, ANSWER_FILTER) | served
    if "choices" in told:
        dressed["prompt_filter_results"] = PROMPT_FILTER
    answer = Answer(own.input_tokens, own.output_tokens, body=dressed)
    _learn(answer, told)
    return answer


def _streamed(response: httpx2.Response, own: Answer, served: dict[str, str], body: Body) -> Answer:
    answer = Answer(own.input_tokens, own.output_tokens, end=DONE, paced=True)
    wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    answer.events = _events(_Frames(response.aiter_lines()), answer, served, wants_usage=wants_usage)
    return answer


class _Frames:
    """The next event of a stream, for somebody who cannot wait. None: the stream broke off."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.frame: dict[str, Any] | None = None
        self.done = False

    async def fetch(self) -> None:
        try:
            async for line in self._lines:
                if line.startswith("data: "):
                    self.done = line == "data: [DONE]"
                    self.frame = None if self.done else _object(line[6:])
                    return
        except (httpx2.HTTPError, Refusal):
            pass
        self.frame = None


def _events(
    frames: _Frames, answer: Answer, served: dict[str, str], *, wants_usage: bool
) -> Iterator[Event | Until]:
    """Each piece counts as a token until the server tells how many there were."""
    empty = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
    yield event({**empty, "prompt_filter_results": PROMPT_FILTER})
    said = 0
    while True:
        yield Until(frames.fetch)
        told = frames.frame
        if told is None:
            answer.end = DONE if frames.done else b""
            return
        tokens = sum(_says(choice) for choice in told.get("choices") or ())
        if told.get("usage"):
            _learn(answer, told)
            tokens = answer.output_tokens - said
        said += tokens
        if told.get("choices") or wants_usage:
            yield event(_dressed(told, SAFE) | served, tokens)
        else:
            yield Event(b"", tokens)


def _says(choice: Mapping[str, Any]) -> bool:
    delta = choice.get("delta") or choice
    return bool(delta.get("content") or delta.get("text") or delta.get("tool_calls"))


def _dressed(told: Mapping[str, Any], checked: Mapping[str, Any]) -> dict[str, Any]:
    if "choices" not in told:
        return dict(told)
    choices = [{**choice, "content_filter_results": checked} for choice in told["choices"]]
    return {**told, "choices": choices}


def _learn(answer: Answer, told: Mapping[str, Any]) -> None:
    """Bill what the server counted."""
    usage = told.get("usage")
    if isinstance(usage, dict):
        answer.input_tokens = usage.get("prompt_tokens", answer.input_tokens)
        answer.output_tokens = usage.get("completion_tokens", 0)
        answer.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        details = usage.get("completion_tokens_details") or {}
        answer.reasoning_tokens = details.get("reasoning_tokens") or 0


def _object(content: bytes | str) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = None
    if not isinstance(told, dict):
        raise _unavailable("it does not answer with JSON")
    return told


def _unavailable(why: str) -> Refusal:
    return named("service_unavailable", message=f"The server behind pass_through cannot be used: {why}")
