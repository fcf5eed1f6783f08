"""The chat operation: answers and streams.

An answer follows from the seed and from what was asked; whether it is streamed makes no difference to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile, zip_longest
from typing import Any

import msgspec

from smalt.emulator.answers import Answer, Call, Event, Operation
from smalt.emulator.chat_rules import check_chat, read_prediction, read_stops
from smalt.emulator.functions import Offer
from smalt.emulator.logprobs import logprobs
from smalt.emulator.params import Body
from smalt.emulator.prompt_cache import cacheable
from smalt.emulator.quota import output_charge
from smalt.emulator.speech import (
    ANY_OBJECT,
    Said,
    Wish,
    cached_tokens,
    key_of,
    last_words,
    output_limit,
    say,
    service_tier,
)
from smalt.emulator.text import dice
from smalt.emulator.tokens import read_prompt

_WITHOUT_EFFECT = {  # on what is said
    "metadata",
    "model",
    "prediction",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "user",
}

SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_UNDETECTED = {"filtered": False, "detected": False}
PROMPT_FILTER = [{"prompt_index": 0, "content_filter_results": {**SAFE, "jailbreak": _UNDETECTED}}]
ANSWER_FILTER = {**SAFE, "protected_material_code": _UNDETECTED, "protected_material_text": _UNDETECTED}
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Usage:
    """`written`: tokens put into the cache; None: the model does not tell."""

    prompt: int
    cached: int
    written: int | None
    output: int
    reasoning: int
    accepted: int = 0
    rejected: int = 0

    @property
    def told(self) -> dict[str, Any]:
        details = {"audio_tokens": 0, "cached_tokens": self.cached}
        if self.written is not None:
            details["cache_write_tokens"] = self.written
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.output,
            "total_tokens": self.prompt + self.output,
            "prompt_tokens_details": details,
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning,
                "accepted_prediction_tokens": self.accepted,
                "rejected_prediction_tokens": self.rejected,
            },
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """`top_logprobs`: how many alternatives to tell of; None: no probabilities at all."""

    index: int
    said: Said
    top_logprobs: int | None = None

    @property
    def finish_reason(self) -> str:
        tool = self.said.tool
        if self.said.reason != "tool" or tool is None:
            return self.said.reason
        return "stop" if tool.forced else "function_call" if tool.legacy else "tool_calls"

    @property
    def message(self) -> dict[str, Any]:
        text = self.said.text
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if self.said.tool else text,
            "refusal": None,
            "annotations": [],
        }
        return message | self._calling(text, opening=True)

    @property
    def opening(self) -> dict[str, Any]:
        """The first delta of a stream."""
        content = None if self.said.tool else ""
        delta = {"role": "assistant", "content": content, "refusal": None}
        return delta | self._calling("", opening=True, index=0)

    def delta(self, token: str) -> dict[str, Any]:
        return self._calling(token, opening=False, index=0) if self.said.tool else {"content": token}

    def logprobs(self, first: int = 0, last: int | None = None) -> dict[str, Any] | None:
        """Of the tokens from `first` to before `last`."""
        if self.top_logprobs is None or self.said.tool:
            return None
        tokens = self.said.tokens[first:last]
        told = [logprobs(token, first + at, self.top_logprobs) for at, token in enumerate(tokens)]
        return {"content": told, "refusal": None}

    def _calling(self, arguments: str, *, opening: bool, **place: int) -> dict[str, Any]:
        """The part of a message or delta that calls a tool; the first one names it."""
        tool = self.said.tool
        if tool is None:
            return {}
        name = {"name": tool.name} if opening else {}
        if tool.legacy:
            return {"function_call": {**name, "arguments": arguments}}
        kind, key = ("custom", "input") if tool.custom else ("function", "arguments")
        head = {"id": f"call_{self.said.id}", "type": kind} if opening else {}
        return {"tool_calls": [{**place, **head, kind: {**name, key: arguments}}]}


def answer(call: Call) -> Answer:
    body = call.body
    offer, predicted = check_chat(call), read_prediction(call)
    prompt = read_prompt(body)
    param = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    wish = _wish(call, offer, len(prompt), output_limit(call, len(prompt), param))
    top = (body.get("top_logprobs") or 0) if body.get("logprobs") else None
    choices = [Choice(index, say(call, wish, index), top) for index in range(body.get("n") or 1)]
    usage = _usage(call, prompt, choices, predicted)
    whole = None if body.get("stream") else _whole(call, choices, usage)
    return Answer(
        usage.prompt,
        usage.output,
        body=whole,
        events=() if whole else _events(call, choices, usage),
        end=DONE,
        cached_tokens=usage.cached,
        reasoning_tokens=usage.reasoning,
    )


def _whole(call: Call, choices: list[Choice], usage: Usage) -> dict[str, Any]:
    return _frame(call, "chat.completion") | {
        "service_tier": service_tier(call),
        "choices": [
            {
                "index": choice.index,
                "finish_reason": choice.finish_reason,
                "logprobs": choice.logprobs(),
                "message": choice.message,
                "content_filter_results": {} if choice.said.tool else ANSWER_FILTER,
            }
            for choice in choices
        ],
        "prompt_filter_results": PROMPT_FILTER,
        "usage": usage.told,
    }


OPERATION = Operation(
    api="chat",
    azure_name="ChatCompletions_Create",
    verb="chatCompletion",
    prompt="messages",
    max_output=output_charge,
    answer=answer,
)


def _wish(call: Call, offer: Offer, prompt_tokens: int, limit: int) -> Wish:
    body, model = call.body, call.model
    messages: list[Body] = body["messages"]
    form = body.get("response_format") or {"type": "text"}
    schema = form["json_schema"]["schema"] if form["type"] == "json_schema" else ANY_OBJECT
    return Wish(
        key=key_of({name: value for name, value in body.items() if name not in _WITHOUT_EFFECT}),
        prompt_tokens=prompt_tokens,
        limit=limit,
        asked=last_words(messages) if call.rules else "",
        answers_user=messages[-1]["role"] == "user",
        offer=offer,
        schema=None if form["type"] == "text" else schema,
        stops=read_stops(body),
        effort=(body.get("reasoning_effort") or model.effort) if model.reasons else None,
    )


def _usage(call: Call, prompt: list[str], choices: list[Choice], predicted: list[str]) -> Usage:
    said = choices[0].said.tokens
    accepted = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(predicted, said, strict=False))))
    rejected = len(predicted) - accepted
    cached = cached_tokens(call, prompt)
    return Usage(
        prompt=len(prompt),
        cached=cached,
        written=cacheable(len(prompt)) - cached if call.model.writes_cache else None,
        output=sum(choice.said.output_tokens for choice in choices) + rejected,
        reasoning=sum(choice.said.reasoning_tokens for choice in choices),
        accepted=accepted,
        rejected=rejected,
    )


def _frame(call: Call, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{call.seed:x}{call.serial:012x}",
        "object": kind,
        "created": call.created_s,
        "model": call.model.served,
        "system_fingerprint": fingerprint(call),
    }


def fingerprint(call: Call) -> str:
    return f"fp_{dice(call.model.served).getrandbits(40):010x}"


def _events(call: Call, choices: list[Choice], usage: Usage) -> Iterator[Event]:
    """The stream under the default filter, without its end mark; choices take turns."""
    empty = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
    yield event({**empty, "prompt_filter_results": PROMPT_FILTER})
    frame = _frame(call, "chat.completion.chunk")

    def chunk(
        choice: Choice, delta: dict[str, Any], reason: str | None = None, **more: object
    ) -> dict[str, Any]:
        checked = SAFE if "content" in delta and "role" not in delta else {}
        said = {
            "index": choice.index,
            "delta": delta,
            "content_filter_results": checked,
            "finish_reason": reason,
        }
        return {**frame, "choices": [said | more], "usage": None}

    for choice in choices:  # what was thought is generated before the first word
        yield event(chunk(choice, choice.opening, logprobs=None), tokens=choice.said.reasoning_tokens)
    for at, turn in enumerate(zip_longest(*(choice.said.tokens for choice in choices))):
        for choice, token in zip(choices, turn, strict=True):
            if token is not None:
                told = choice.logprobs(at, at + 1)
                more: dict[str, Any] = {"logprobs": told} if told else {}
                yield event(chunk(choice, choice.delta(token), None, **more), tokens=1)
    for choice in choices:
        yield event(chunk(choice, {}, choice.finish_reason), tokens=0 if choice.index else usage.rejected)
    if (call.body.get("stream_options") or {}).get("include_usage"):
        yield event({**frame, "choices": [], "usage": usage.told})


def event(data: dict[str, Any], tokens: int = 0) -> Event:
    return Event(b"data: " + msgspec.json.encode(data) + b"\n\n", tokens)
