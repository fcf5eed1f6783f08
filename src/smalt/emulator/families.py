"""What a model family refuses, in the words of the model backend.

Sources: Azure's page on reasoning models, "API & feature support"; texts as users published them.
"""

from typing import Any

from smalt.emulator.catalogue import Model
from smalt.emulator.params import Body
from smalt.emulator.refusals import Refusal, invalid_request, named

_DEFAULTS = {
    "temperature": 1,
    "top_p": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": None,
    "logprobs": False,
    "top_logprobs": 0,
}
_LOGPROBS = ("logprobs", "top_logprobs")
_WITH_LOGPROBS_SINCE = "gpt-5.2"


def check_sampling(model: Model, body: Body) -> None:
    """Raises `Refusal` for a parameter that reasoning models do not have.

    Those of the o-series refuse it whatever its value, later ones bear their defaults.
    """
    if not model.reasons:
        return
    for name, default in _DEFAULTS.items():
        value = body.get(name)
        if value is None or (model.modern and value == default):
            continue
        if name in _LOGPROBS and model.modern and model.name >= _WITH_LOGPROBS_SINCE:
            continue
        if name == "temperature" and model.modern:
            raise _unsupported_value(
                name, f"does not support {value} with this model. Only the default (1) value is supported."
            )
        raise unsupported(name)
    if body.get("stop") is not None and model.name not in {"o1", "o3-mini"}:
        raise unsupported("stop")


def check_effort(model: Model, effort: Any, param: str) -> None:
    """`effort`: a text. Raises `Refusal` if the model does not know it; `param` is its path."""
    if effort not in model.efforts:
        known = [f"'{name}'" for name in model.efforts]
        listed = f"{', '.join(known[:-1])}, and {known[-1]}" if len(known) > 1 else known[0]
        raise _unsupported_value(
            param, f"does not support '{effort}' with this model. Supported values are: {listed}."
        )


def check_chat(model: Model, body: Body) -> None:
    """Raises `Refusal` for what a chat request may not ask of this model."""
    if model.reasons and body.get("max_tokens") is not None:
        raise named("unsupported_parameter_max_tokens")
    check_sampling(model, body)
    effort = body.get("reasoning_effort")
    if effort is not None:
        if not model.reasons:
            raise named(
                "unrecognized_argument", message="Unrecognized request argument supplied: reasoning_effort"
            )
        check_effort(model, effort, "reasoning_effort")
    if body.get("verbosity") is not None and not model.modern:
        raise unsupported("verbosity")
    check_parallel(model, body, effort)
    needs_responses = model.writes_cache and effort not in {None, "none"}
    if needs_responses and any(body.get(name) for name in ("tools", "functions")):
        raise named("tools_with_reasoning_need_responses")
    check_stream(model, body)
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_schema" and not model.structured:
        raise invalid_request(
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. "
            "Learn more about supported models at the Structured Outputs guide: "
            "https://platform.openai.com/docs/guides/structured-outputs",
            param="response_format",
        )


def check_parallel(model: Model, body: Body, effort: Any) -> None:
    parallel = body.get("parallel_tool_calls")
    if parallel is not None and (model.o_series or (effort == "minimal" and parallel)):
        raise unsupported("parallel_tool_calls")


def check_stream(model: Model, body: Body) -> None:
    if body.get("stream") and not model.streams:
        raise _unsupported_value(
            "stream", "does not support true with this model. Supported values are: false."
        )


def check_roles(model: Model, messages: list[Body]) -> None:
    """`messages`: checked ones. Raises `Refusal`."""
    roles = {message["role"] for message in messages}
    if model.reasons and roles >= {"system", "developer"}:
        raise invalid_request(
            "Invalid parameter: 'messages' cannot contain both 'system' and 'developer' messages with this "
            "model.",
            param="messages",
        )
    if model.sees:
        return
    for index, message in enumerate(messages):
        for at, part in enumerate(message["content"] if isinstance(message.get("content"), list) else ()):
            if part["type"] == "image_url":
                raise invalid_request(
                    "Invalid content type. image_url is only supported by certain models.",
                    param=f"messages.[{index}].content.[{at}].type",
                )


def unsupported(param: str) -> Refusal:
    return invalid_request(
        f"Unsupported parameter: '{param}' is not supported with this model.",
        param=param,
        code="unsupported_parameter",
    )


def _unsupported_value(param: str, what: str) -> Refusal:
    return invalid_request(f"Unsupported value: '{param}' {what}", param=param, code="unsupported_value")
