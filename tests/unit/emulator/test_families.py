from collections.abc import Callable
from typing import Any

import pytest

from smalt.emulator import chat
from smalt.emulator.answers import Call
from smalt.emulator.refusals import Refusal

Make = Callable[..., Call]
TOOL = {"type": "function", "function": {"name": "look"}}
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]}]
BOTH = [{"role": role, "content": "x"} for role in ("system", "developer", "user")]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("model", "body", "code", "words"),
    [
        ("o3", {"max_tokens": 50}, "unsupported_parameter", "Use 'max_completion_tokens' instead"),
        ("gpt-5", {"max_tokens": 50}, "unsupported_parameter", "Use 'max_completion_tokens' instead"),
        ("o3", {"temperature": 1}, "unsupported_parameter", "'temperature' is not supported"),
        (
            "gpt-5",
            {"temperature": 0.2},
            "unsupported_value",
            "does not support 0.2 with this model. Only the",
        ),
        ("gpt-5", {"top_p": 0.5}, "unsupported_parameter", "'top_p'"),
        ("gpt-5", {"presence_penalty": 1}, "unsupported_parameter", "'presence_penalty'"),
        ("gpt-5", {"logit_bias": {}}, "unsupported_parameter", "'logit_bias'"),
        ("gpt-5.1", {"logprobs": True}, "unsupported_parameter", "'logprobs'"),
        ("gpt-5", {"stop": "x"}, "unsupported_parameter", "'stop'"),
        ("o4-mini", {"stop": "x"}, "unsupported_parameter", "'stop'"),
        ("gpt-4o", {"reasoning_effort": "low"}, None, "Unrecognized request argument supplied"),
        ("o3", {"reasoning_effort": "minimal"}, "unsupported_value", "'low', 'medium', and 'high'."),
        (
            "gpt-5",
            {"reasoning_effort": "none"},
            "unsupported_value",
            "'minimal', 'low', 'medium', and 'high'.",
        ),
        ("gpt-5.1", {"reasoning_effort": "minimal"}, "unsupported_value", "does not support 'minimal'"),
        ("gpt-6.1-sol", {"reasoning_effort": "none"}, "unsupported_value", "'xhigh', and 'max'."),
        ("gpt-4o", {"verbosity": "low"}, "unsupported_parameter", "'verbosity'"),
        (
            "o3",
            {"tools": [TOOL], "parallel_tool_calls": True},
            "unsupported_parameter",
            "'parallel_tool_calls'",
        ),
        (
            "gpt-5",
            {"tools": [TOOL], "parallel_tool_calls": True, "reasoning_effort": "minimal"},
            "unsupported_parameter",
            "'parallel_tool_calls'",
        ),
        ("gpt-5.6-sol", {"tools": [TOOL], "reasoning_effort": "low"}, None, "use /v1/responses instead"),
        ("o1", {"stream": True}, "unsupported_value", "'stream' does not support true"),
        ("gpt-35-turbo", {"response_format": SCHEMA}, None, "'json_schema' is not supported with this model"),
        ("o3-mini", {"messages": IMAGE}, None, "image_url is only supported by certain models"),
        ("gpt-4", {"messages": IMAGE}, None, "image_url is only supported by certain models"),
        ("gpt-5", {"messages": BOTH}, None, "both 'system' and 'developer'"),
        (
            "gpt-4",
            {"prediction": {"type": "content", "content": "x"}},
            "unsupported_parameter",
            "'prediction'",
        ),
    ],
)
def test_a_family_refuses_what_it_does_not_have(
    chat_call: Make, model: str, body: dict[str, Any], code: str | None, words: str
) -> None:
    """In the words and with the code of the model backend."""
    with pytest.raises(Refusal) as caught:
        chat.answer(chat_call(model=model, version="v1", **body))
    error = caught.value.canned.body["error"]
    assert (caught.value.canned.status, error["code"]) == (400, code)
    assert words in error["message"]


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("gpt-4o", {"temperature": 0.2, "max_tokens": 9, "logprobs": True, "messages": BOTH}),
        ("o3", {"max_completion_tokens": 5_000, "reasoning_effort": "high"}),
        ("o3-mini", {"stop": "x"}),
        ("gpt-5", {"temperature": 1, "top_p": 1, "presence_penalty": 0, "verbosity": "low"}),
        ("gpt-5", {"tools": [TOOL], "parallel_tool_calls": True}),
        ("gpt-5.2", {"logprobs": True, "reasoning_effort": "none"}),
        ("gpt-5.6-sol", {"tools": [TOOL]}),
        ("gpt-5.6-sol", {"reasoning_effort": "max"}),
        ("gpt-4o", {"messages": IMAGE}),
    ],
)
def test_a_family_takes_what_it_has(chat_call: Make, model: str, body: dict[str, Any]) -> None:
    """Defaults are borne by later families, and the parameters of their own by all."""
    assert chat.answer(chat_call(model=model, version="v1", **body)).body
