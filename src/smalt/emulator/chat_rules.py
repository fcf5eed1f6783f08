"""What a chat request may hold."""

from typing import Any

import msgspec

from smalt.emulator import families
from smalt.emulator.answers import Call
from smalt.emulator.functions import Offer, read_offer
from smalt.emulator.messages import check_messages
from smalt.emulator.params import Body, Rule, check, check_all, require
from smalt.emulator.refusals import Refusal, invalid_request, named
from smalt.emulator.schemas import check_strict
from smalt.emulator.tokens import split

_RULES = {
    "data_sources": Rule("array", 1, since="2024-02-15"),
    "frequency_penalty": Rule("decimal", -2, 2),
    "function_call": Rule("any"),
    "functions": Rule("any"),
    "logit_bias": Rule("object"),
    "logprobs": Rule("boolean"),
    "max_completion_tokens": Rule("integer", 1, since="2024-09"),
    "max_tokens": Rule("integer", 1),
    "messages": Rule("array", 1, 2_048),
    "metadata": Rule("object", since="2024-12"),
    "model": Rule("string"),
    "n": Rule("integer", 1, 128),
    "parallel_tool_calls": Rule("boolean", since="2024-09"),
    "prediction": Rule("object", since="2025-01"),
    "presence_penalty": Rule("decimal", -2, 2),
    "prompt_cache_key": Rule("string", since="v1"),
    "reasoning_effort": Rule("string", since="2024-12"),
    "response_format": Rule("object"),
    "safety_identifier": Rule("string", since="v1"),
    "seed": Rule("integer"),
    "service_tier": Rule("string", choices=("auto", "default", "flex", "priority")),
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
    "verbosity": Rule("string", choices=("low", "medium", "high"), since="2025-04"),
}
_FORMATS = Rule("string", choices=("text", "json_object", "json_schema"))


def check_chat(call: Call) -> Offer:
    """The tools on offer. Raises `Refusal` for the first thing the model backend would refuse."""
    body, model = call.body, call.model
    check_all(body, _RULES, call.version)
    if body.get("data_sources"):
        raise _no_data_sources(call.version)
    check_messages(require(body, "messages"))
    families.check_chat(model, body)
    families.check_roles(model, body["messages"])
    offer = read_offer(body, model)
    check_format(body, "response_format", call.version, structured=model.structured)
    read_stops(body)
    check_stream_options(body)
    if body.get("top_logprobs") and not body.get("logprobs"):
        raise invalid_request(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs"
        )
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise invalid_request(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
        )
    return offer


def check_stream_options(body: Body) -> None:
    options = body.get("stream_options")
    if options is None:
        return
    if not body.get("stream"):
        raise invalid_request(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    check("stream_options.include_usage", options.get("include_usage", False), Rule("boolean"))


def check_format(body: Body, param: str, version: str, *, structured: bool) -> None:
    """`structured`: the model keeps to schemas."""
    form = body.get(param)
    if form is None:
        return
    kind = require(form, "type", param=f"{param}.type")
    check(f"{param}.type", kind, _FORMATS)
    if kind == "json_object" and b"json" not in msgspec.json.encode(body["messages"]).lower():
        raise invalid_request(
            f"'messages' must contain the word 'json' in some form, to use '{param}' of type 'json_object'.",
            param="messages",
        )
    if kind == "json_schema":
        if version < "2024-08":
            raise invalid_request(
                f"{param} value as json_schema is enabled only for api versions 2024-08-01-preview and later",
                param=param,
            )
        path = f"{param}.json_schema"
        check_named_schema(require(form, "json_schema", param=path), path, param, structured=structured)


def check_named_schema(schema: Any, path: str, param: str, *, structured: bool) -> None:
    """A schema with a name; `path`: of it. `param`: blamed for what strict mode does not take."""
    check(path, schema, Rule("object"))
    for part, rule in (("name", Rule("string", 1, 64)), ("schema", Rule("object"))):
        check(f"{path}.{part}", require(schema, part, param=f"{path}.{part}"), rule)
    if schema.get("strict") is not None:
        check(f"{path}.strict", schema["strict"], Rule("boolean"))
    if schema.get("strict") and structured:
        check_strict(schema["schema"], f"response_format '{schema['name']}'", param)


def read_stops(body: Body) -> list[str]:
    """The checked stop sequences."""
    given = body.get("stop")
    stops = [given] if isinstance(given, str) else given or []
    check("stop", stops, Rule("array", high=4))
    for index, stop in enumerate(stops):
        check(f"stop[{index}]", stop, Rule("string"))
    return [stop for stop in stops if stop]


def read_prediction(call: Call) -> list[str]:
    """The tokens the caller expects. Raises `Refusal` where a prediction is not taken."""
    body = call.body
    prediction = body.get("prediction")
    if prediction is None:
        return []
    if not call.model.predicts:
        raise families.unsupported("prediction")
    for name in ("tools", "functions", "logprobs", "max_completion_tokens"):
        if body.get(name):
            raise _beside_prediction(name)
    if (body.get("n") or 1) > 1:
        raise _beside_prediction("n")
    for name in ("presence_penalty", "frequency_penalty"):
        if (body.get(name) or 0) > 0:
            raise _beside_prediction(name)
    kind = require(prediction, "type", param="prediction.type")
    check("prediction.type", kind, Rule("string", choices=("content",)))
    content = require(prediction, "content", param="prediction.content")
    if isinstance(content, list):
        for index, part in enumerate(content):
            check(f"prediction.content[{index}]", part, Rule("object"))
            path = f"prediction.content[{index}].text"
            check(path, require(part, "text", param=path), Rule("string"))
        content = "".join(part["text"] for part in content)
    check("prediction.content", content, Rule("string"))
    return split(content)


def _beside_prediction(param: str) -> Refusal:
    return invalid_request(
        f"Unrecognized request argument supplied alongside prediction: {param}", param=param
    )


def _no_data_sources(version: str) -> Refusal:
    if version == "v1":
        return named("unknown_parameter", message="Unknown parameter: 'data_sources'.", param="data_sources")
    return named(
        "on_your_data_validation",
        message="Validation error at #/data_sources: On Your Data is not available on this resource",
    )
