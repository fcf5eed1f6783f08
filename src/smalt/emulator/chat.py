"""The chat operation: checks, answers, streams.

An answer follows from the seed and from what was asked; whether it is streamed makes no difference to it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import msgspec

from smalt.emulator.answers import Answer, Call, Event, Operation
from smalt.emulator.functions import ToolUse, check_tools, pick
from smalt.emulator.messages import check_messages
from smalt.emulator.params import Body, Rule, check, check_all, require
from smalt.emulator.quota import DEFAULT_OUTPUT_TOKENS
from smalt.emulator.refusals import Refusal, invalid_request, named
from smalt.emulator.text import dice, fitting, prose
from smalt.emulator.tokens import count_prompt, split

_RULES = {
    "frequency_penalty": Rule("decimal", -2, 2),
    "logit_bias": Rule("object"),
    "logprobs": Rule("boolean"),
    "max_completion_tokens": Rule("integer", 1, since="2024-09"),
    "max_tokens": Rule("integer", 1),
    "messages": Rule("array", 1, 2_048),
    "metadata": Rule("object", since="2024-12"),
    "model": Rule("string"),
    "n": Rule("integer", 1, 128),
    "parallel_tool_calls": Rule("boolean", since="2024-09"),
    "presence_penalty": Rule("decimal", -2, 2),
    "response_format": Rule("object"),
    "seed": Rule("integer"),
    "stop": Rule("any"),
    "store": Rule("boolean", since="2024-12"),
    "stream": Rule("boolean"),
    "stream_options": Rule("object", since="2024-09"),
    "temperature": Rule("decimal", 0, 2),
    "tool_choice": Rule("any", since="2023-12"),
    "tools": Rule("array", 1, 128, since="2023-12"),
    "top_logprobs": Rule("integer", 0, 20),
    "top_p": Rule("decimal", 0, 1),
    "user": Rule("string"),
    "user_security_context": Rule("object", since="2024-12"),
}
_FORMATS = Rule("string", choices=("text", "json_object", "json_schema"))
_WITHOUT_EFFECT = {"metadata", "model", "store", "stream", "stream_options", "user"}  # on what is said

_SAFE = {
    name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")
}
_UNDETECTED = {"filtered": False, "detected": False}
_PROMPT_FILTER = [{"prompt_index": 0, "content_filter_results": {**_SAFE, "jailbreak": _UNDETECTED}}]
_ANSWER_FILTER = {**_SAFE, "protected_material_code": _UNDETECTED, "protected_material_text": _UNDETECTED}


@dataclass(frozen=True, slots=True)
class Choice:
    """`tokens`: of the text, or of the arguments of `tool`."""

    index: int
    tokens: list[str]
    finish_reason: str
    tool: ToolUse | None = None
    tool_id: str = ""

    def tool_call(self, arguments: str) -> dict[str, Any]:
        assert self.tool  # noqa: S101  # narrows the type
        function = {"name": self.tool.name, "arguments": arguments}
        return {"id": self.tool_id, "type": "function", "function": function}

    @property
    def message(self) -> dict[str, Any]:
        said = "".join(self.tokens)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if self.tool else said,
            "refusal": None,
            "annotations": [],
        }
        return message | {"tool_calls": [self.tool_call(said)]} if self.tool else message

    @property
    def opening(self) -> dict[str, Any]:
        """The first delta of a stream."""
        if not self.tool:
            return {"role": "assistant", "content": "", "refusal": None}
        calls = [{"index": 0, **self.tool_call("")}]
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}

    def delta(self, token: str) -> dict[str, Any]:
        return (
            {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
            if self.tool
            else {"content": token}
        )


def max_output(body: Body) -> int:
    """Output tokens charged on arrival. Bears any body."""
    asked = body.get("max_completion_tokens") or body.get("max_tokens")
    return asked if isinstance(asked, int) and asked > 0 else DEFAULT_OUTPUT_TOKENS


def answer(call: Call) -> Answer:
    _check(call)
    prompt_tokens = count_prompt(call.body)
    limit = _output_limit(call, prompt_tokens)
    choices = _choices(call, prompt_tokens, limit)
    output_tokens = sum(len(choice.tokens) for choice in choices)
    usage = _usage(prompt_tokens, output_tokens)
    if call.body.get("stream"):
        return Answer(
            prompt_tokens, output_tokens, events=_events(call, choices, usage), end=b"data: [DONE]\n\n"
        )
    return Answer(
        prompt_tokens,
        output_tokens,
        body=_frame(call, "chat.completion")
        | {
            "service_tier": "default",
            "choices": [
                {
                    "index": choice.index,
                    "finish_reason": choice.finish_reason,
                    "logprobs": None,
                    "message": choice.message,
                    "content_filter_results": {} if choice.tool else _ANSWER_FILTER,
                }
                for choice in choices
            ],
            "prompt_filter_results": _PROMPT_FILTER,
            "usage": usage,
        },
    )


OPERATION = Operation(
    kind="chat",
    azure_name="ChatCompletions_Create",
    verb="chatCompletion",
    prompt="messages",
    max_output=max_output,
    answer=answer,
)


def _check(call: Call) -> None:
    body = call.body
    check_all(body, _RULES, call.version)
    check_messages(require(body, "messages"))
    check_tools(body)
    _check_format(body, call.version)
    _stops(body)
    if body.get("stream_options") is not None:
        if not body.get("stream"):
            raise invalid_request(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
                param="stream_options",
            )
        check(
            "stream_options.include_usage",
            body["stream_options"].get("include_usage", False),
            Rule("boolean"),
        )
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise invalid_request(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
        )


def _check_format(body: Body, version: str) -> None:
    form = body.get("response_format")
    if form is None:
        return
    kind = require(form, "type", param="response_format.type")
    check("response_format.type", kind, _FORMATS)
    if kind == "json_object" and b"json" not in msgspec.json.encode(body["messages"]).lower():
        raise invalid_request(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
            "'json_object'.",
            param="messages",
        )
    if kind == "json_schema":
        if version < "2024-08":
            raise invalid_request(
                "response_format value as json_schema is enabled only for api versions 2024-08-01-preview "
                "and later",
                param="response_format",
            )
        schema = require(form, "json_schema", param="response_format.json_schema")
        check("response_format.json_schema", schema, Rule("object"))
        for part, rule in (("name", Rule("string", 1, 64)), ("schema", Rule("object"))):
            path = f"response_format.json_schema.{part}"
            check(path, require(schema, part, param=path), rule)


def _stops(body: Body) -> list[str]:
    """The checked stop sequences."""
    given = body.get("stop")
    stops = [given] if isinstance(given, str) else given or []
    check("stop", stops, Rule("array", high=4))
    for index, stop in enumerate(stops):
        check(f"stop[{index}]", stop, Rule("string"))
    return [stop for stop in stops if stop]


def _output_limit(call: Call, prompt_tokens: int) -> int:
    """The most tokens each choice may have. Raises `Refusal` if the model cannot hold prompt and answer."""
    model, param = call.model, "max_tokens"
    if call.body.get("max_completion_tokens") is not None:
        param = "max_completion_tokens"
    asked: int | None = call.body.get(param)
    if asked is not None and asked > model.max_output:
        raise invalid_request(
            f"{param} is too large: {asked}. This model supports at most {model.max_output} completion "
            f"tokens, whereas you provided {asked}.",
            param=param,
            code="invalid_value",
        )
    if prompt_tokens + (asked or 1) > model.window:
        raise _too_long(model.window, prompt_tokens, asked)
    return asked or min(model.max_output, model.window - prompt_tokens)


def _too_long(window: int, prompt_tokens: int, asked: int | None) -> Refusal:
    size = f"your messages resulted in {prompt_tokens} tokens. Please reduce the length of the messages."
    if asked:
        size = (
            f"you requested {prompt_tokens + asked} tokens ({prompt_tokens} in the messages, {asked} in the "
            "completion). Please reduce the length of the messages or completion."
        )
    text = f"This model's maximum context length is {window} tokens. However, {size}"
    return named("context_length_exceeded", message=text)


def _choices(call: Call, prompt_tokens: int, limit: int) -> list[Choice]:
    asked = {name: value for name, value in call.body.items() if name not in _WITHOUT_EFFECT}
    digest = hashlib.blake2b(msgspec.json.encode(asked, order="sorted"), digest_size=8).hexdigest()
    return [
        _choice(call, f"{digest}/{index}", index, prompt_tokens, limit)
        for index in range(call.body.get("n") or 1)
    ]


def _choice(call: Call, key: str, index: int, prompt_tokens: int, limit: int) -> Choice:
    roll = dice(call.seed, call.model.name, key)
    reason, tool_id = "stop", ""
    if tool := pick(call.body, roll):
        tool_id = f"call_{roll.getrandbits(96):024x}"
        reason = "stop" if tool.forced else "tool_calls"
        tokens = split(msgspec.json.encode(tool.arguments).decode())
    elif (form := call.body.get("response_format") or {"type": "text"})["type"] != "text":
        schema = form["json_schema"]["schema"] if form["type"] == "json_schema" else _ANY_OBJECT
        tokens = split(msgspec.json.encode(fitting(schema, roll)).decode())
    else:
        tokens = _until_stop(prose(roll, prompt_tokens), _stops(call.body))
    if len(tokens) > limit:
        tokens, reason = tokens[:limit], "length"
    return Choice(index, tokens, reason, tool, tool_id)


_ANY_OBJECT = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "confidence": {"type": "number"}},
}


def _until_stop(tokens: list[str], stops: list[str]) -> list[str]:
    text = "".join(tokens)
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return split(text[: min(found)]) if found else tokens


def _frame(call: Call, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{call.seed:x}{call.serial:012x}",
        "object": kind,
        "created": call.created_s,
        "model": call.model.served,
        "system_fingerprint": f"fp_{dice(call.model.served).getrandbits(40):010x}",
    }


def _usage(prompt_tokens: int, output_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
        "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _events(call: Call, choices: list[Choice], usage: dict[str, Any]) -> Iterator[Event]:
    """The stream under the default filter, without its end mark; choices take turns."""
    empty = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
    yield _event({**empty, "prompt_filter_results": _PROMPT_FILTER})
    frame = _frame(call, "chat.completion.chunk")

    def chunk(
        choice: Choice, delta: dict[str, Any], reason: str | None = None, **more: object
    ) -> dict[str, Any]:
        checked = _SAFE if "content" in delta and "role" not in delta else {}
        said = {
            "index": choice.index,
            "delta": delta,
            "content_filter_results": checked,
            "finish_reason": reason,
        }
        return {**frame, "choices": [said | more], "usage": None}

    for choice in choices:
        yield _event(chunk(choice, choice.opening, logprobs=None))
    for turn in zip_longest(*(choice.tokens for choice in choices)):
        for choice, token in zip(choices, turn, strict=True):
            if token is not None:
                yield _event(chunk(choice, choice.delta(token)), tokens=1)
    for choice in choices:
        yield _event(chunk(choice, {}, choice.finish_reason))
    if (call.body.get("stream_options") or {}).get("include_usage"):
        yield _event({**frame, "choices": [], "usage": usage})


def _event(data: dict[str, Any], tokens: int = 0) -> Event:
    return Event(b"data: " + msgspec.json.encode(data) + b"\n\n", tokens)
