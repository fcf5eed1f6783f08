"""The responses operation: one response, whole, streamed or in the background."""

from collections.abc import Callable
from typing import Any

import msgspec

from smalt.emulator import families
from smalt.emulator.answers import Answer, Call, Operation
from smalt.emulator.chat import ANSWER_FILTER, PROMPT_FILTER
from smalt.emulator.chat_rules import check_named_schema
from smalt.emulator.functions import Offer, read_offer
from smalt.emulator.logprobs import logprobs
from smalt.emulator.params import Body, Rule, check, check_all, require
from smalt.emulator.prompt_cache import cacheable
from smalt.emulator.quota import output_charge
from smalt.emulator.refusals import invalid_request, named
from smalt.emulator.responses.events import narrate
from smalt.emulator.responses.items import as_messages, check_calls, read_input
from smalt.emulator.responses.store import Job, Record
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
from smalt.emulator.tokens import read_prompt

_INCLUDES = (
    *("code_interpreter_call.outputs", "computer_call_output.output.image_url", "file_search_call.results"),
    *("message.input_image.image_url", "message.output_text.logprobs", "reasoning.encrypted_content"),
    "web_search_call.action.sources",
)
_RULES = {
    "background": Rule("boolean", since="v1"),
    "include": Rule("array"),
    "input": Rule("any"),
    "instructions": Rule("string"),
    "max_output_tokens": Rule("integer", 16),
    "max_tool_calls": Rule("integer", 1),
    "metadata": Rule("object"),
    "model": Rule("string"),
    "parallel_tool_calls": Rule("boolean"),
    "previous_response_id": Rule("string"),
    "prompt_cache_key": Rule("string"),
    "reasoning": Rule("object"),
    "safety_identifier": Rule("string"),
    "service_tier": Rule("string", choices=("auto", "default", "flex", "priority")),
    "store": Rule("boolean"),
    "stream": Rule("boolean"),
    "stream_options": Rule("object"),
    "temperature": Rule("decimal", 0, 2),
    "text": Rule("object"),
    "tool_choice": Rule("any"),
    "tools": Rule("array", 0, 128),
    "top_logprobs": Rule("integer", 0, 20),
    "top_p": Rule("decimal", 0, 1),
    "truncation": Rule("string", choices=("auto", "disabled")),
    "user": Rule("string"),
}
_FORMATS = Rule("string", choices=("text", "json_object", "json_schema"))
_LEVELS = Rule("string", choices=("low", "medium", "high"))
_SUMMARIES = Rule("string", choices=("auto", "concise", "detailed"))


def answer(call: Call) -> Answer:
    body = call.body
    offer = _check(call)
    new = read_input(require(body, "input"), call.store, f"{call.seed:x}{call.serial:012x}")
    items = [*_previous(call), *new]
    check_calls(items)
    messages = as_messages(items, None)
    families.check_roles(call.model, messages)
    messages = as_messages(items, body.get("instructions"))
    told = {"messages": messages, "tools": body.get("tools"), "response_format": _format(body)}
    prompt = _truncated(call, read_prompt(told))
    wish = _wish(call, offer, told, len(prompt))
    said = say(call, wish)
    cached = cached_tokens(call, prompt)
    started = _started(call, wish.effort)
    final = _final(call, started, said, _usage(call, len(prompt), cached, said))
    record = Record(started, items)
    return _answer(call, record, final, said, lambda: call.store.add(record, new))


OPERATION = Operation(
    api="responses",
    azure_name="Responses_Create",
    verb="responses",
    prompt="input",
    max_output=output_charge,
    answer=answer,
)


def _answer(call: Call, record: Record, final: dict[str, Any], said: Said, add: Callable[[], None]) -> Answer:
    body, usage = call.body, final["usage"]
    keep = add if body.get("store") in {None, True} else lambda: None
    job = None
    whole: dict[str, Any] | None = None
    if body.get("background"):
        job = record.job = Job(streams=bool(body.get("stream")))
        keep()
        keep = lambda: None  # noqa: E731  # it is kept from now on
        whole = None if job.streams else record.response
    elif not body.get("stream"):
        record.response = whole = final
        keep()
    events = () if whole is final else narrate(record, final, said.tokens, keep)
    return Answer(
        usage["input_tokens"],
        usage["output_tokens"],
        body=whole,
        events=events,
        cached_tokens=usage["input_tokens_details"]["cached_tokens"],
        reasoning_tokens=said.reasoning_tokens,
        job=job,
    )


def _check(call: Call) -> Offer:
    """The tools on offer. Raises `Refusal`."""
    body, model = call.body, call.model
    for name in body.keys() - _RULES.keys():
        raise named("unknown_parameter", message=f"Unknown parameter: '{name}'.", param=name)
    check_all(body, _RULES, call.version)
    families.check_sampling(model, body)
    effort = _check_reasoning(call)
    families.check_parallel(model, body, effort)
    families.check_stream(model, body)
    _check_text(call)
    for index, name in enumerate(body.get("include") or ()):
        check(f"include[{index}]", name, Rule("string", choices=_INCLUDES))
    if body.get("background") and body.get("store") is False:
        raise invalid_request("Background responses must be stored: 'store' cannot be false.", param="store")
    if "reasoning.encrypted_content" in (body.get("include") or ()) and not model.reasons:
        raise invalid_request("Encrypted content is not supported with this model.", param="include")
    return read_offer(body, model, flat=True)


def _check_reasoning(call: Call) -> str | None:
    reasoning = call.body.get("reasoning") or {}
    effort, summary = reasoning.get("effort"), reasoning.get("summary")
    for name, value in (("effort", effort), ("summary", summary)):
        if value is not None and not call.model.reasons:
            raise families.unsupported(f"reasoning.{name}")
    if effort is not None:
        check("reasoning.effort", effort, Rule("string"))
        families.check_effort(call.model, effort, "reasoning.effort")
    if summary is not None:
        check("reasoning.summary", summary, _SUMMARIES)
    return effort


def _check_text(call: Call) -> None:
    text = call.body.get("text") or {}
    if (level := text.get("verbosity")) is not None:
        check("text.verbosity", level, _LEVELS)
        if level != "medium" and not call.model.modern:
            raise families.unsupported("text.verbosity")
    form = text.get("format")
    if form is None:
        return
    check("text.format", form, Rule("object"))
    kind = require(form, "type", param="text.format.type")
    check("text.format.type", kind, _FORMATS)
    if kind == "json_object" and b"json" not in msgspec.json.encode(call.body.get("input")).lower():
        raise invalid_request(
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
            "'json_object'.",
            param="input",
        )
    if kind == "json_schema":
        if not call.model.structured:
            raise families.unsupported("text.format")
        check_named_schema(form, "text.format", "text.format.schema", structured=True)


def _format(body: Body) -> Body | None:
    """The format of the answer, None for plain text."""
    form: Body | None = (body.get("text") or {}).get("format")
    return None if form is None or form["type"] == "text" else form


def _previous(call: Call) -> list[Body]:
    """What the response before this one was given and said."""
    name = call.body.get("previous_response_id")
    if name is None:
        return []
    record = call.store.get(name)
    if record is None:
        raise named("previous_response_not_found", message=f"Previous response with id '{name}' not found.")
    if record.response["status"] in {"queued", "in_progress"}:
        raise invalid_request(
            f"Previous response with id '{name}' is still in progress.", param="previous_response_id"
        )
    return record.context


def _truncated(call: Call, prompt: list[str]) -> list[str]:
    """With truncation, what does not fit is dropped from the beginning."""
    if call.body.get("truncation") != "auto":
        return prompt
    room = min(call.model.max_input, call.model.window - (call.body.get("max_output_tokens") or 1))
    return prompt[-room:]


def _wish(call: Call, offer: Offer, told: Body, prompt_tokens: int) -> Wish:
    body, messages, form = call.body, told["messages"], told["response_format"]
    effort = (body.get("reasoning") or {}).get("effort") or call.model.effort
    effect = ("max_output_tokens", "temperature", "top_p", "tool_choice", "reasoning")
    return Wish(
        key=key_of(told | {name: body.get(name) for name in effect}),
        prompt_tokens=prompt_tokens,
        limit=output_limit(call, prompt_tokens, "max_output_tokens"),
        asked=last_words(messages) if call.rules else "",
        answers_user=bool(messages) and messages[-1]["role"] == "user",
        offer=offer,
        schema=None if form is None else form.get("schema", ANY_OBJECT),
        effort=effort if call.model.reasons else None,
    )


def _usage(call: Call, prompt_tokens: int, cached: int, said: Said) -> dict[str, Any]:
    details = {"cached_tokens": cached}
    if call.model.writes_cache:
        details["cache_write_tokens"] = cacheable(prompt_tokens) - cached
    return {
        "input_tokens": prompt_tokens,
        "input_tokens_details": details,
        "output_tokens": said.output_tokens,
        "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
        "total_tokens": prompt_tokens + said.output_tokens,
    }


def _started(call: Call, effort: str | None) -> dict[str, Any]:
    """The response before anything is said."""
    body, model = call.body, call.model
    text = body.get("text") or {}
    background = bool(body.get("background"))
    return {
        "id": f"resp_{call.seed:x}{call.serial:012x}",
        "object": "response",
        "created_at": call.created_s,
        "status": "queued" if background else "in_progress",
        "background": background,
        "content_filters": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "metadata": body.get("metadata") or {},
        "model": model.served,
        "output": [],
        "parallel_tool_calls": _or(body.get("parallel_tool_calls"), default=True),
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": effort, "summary": (body.get("reasoning") or {}).get("summary")},
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": "auto" if background else service_tier(call),
        "store": _or(body.get("store"), default=True),
        "temperature": _or(body.get("temperature"), default=1.0),
        "text": {
            "format": text.get("format") or {"type": "text"},
            "verbosity": text.get("verbosity") or "medium",
        },
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_logprobs": body.get("top_logprobs") or 0,
        "top_p": _or(body.get("top_p"), default=1.0),
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "user": body.get("user"),
    }


def _final(call: Call, started: dict[str, Any], said: Said, usage: dict[str, Any]) -> dict[str, Any]:
    cut = said.reason == "length"
    verdicts = (("prompt", PROMPT_FILTER[0]["content_filter_results"]), ("completion", ANSWER_FILTER))
    return {
        **started,
        "status": "incomplete" if cut else "completed",
        "content_filters": [
            {"blocked": False, "source_type": source, "content_filter_results": results}
            for source, results in verdicts
        ],
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": _output(call, said, started["reasoning"]["effort"]),
        "service_tier": service_tier(call),
        "usage": usage,
    }


def _output(call: Call, said: Said, effort: str | None) -> list[dict[str, Any]]:
    include, output = call.body.get("include") or (), []
    if effort not in {None, "none"}:
        thought: dict[str, Any] = {"id": f"rs_{said.id}", "type": "reasoning", "summary": []}
        if (call.body.get("reasoning") or {}).get("summary") and said.reasoning_tokens:
            thought["summary"] = [{"type": "summary_text", "text": "**Weighing the question**"}]
        if "reasoning.encrypted_content" in include:
            thought["encrypted_content"] = call.store.seal(bytes.fromhex(said.id))
        output.append(thought)
        if said.reasoning_tokens and not said.tokens:
            return output  # the limit went to thoughts alone
    status = "incomplete" if said.reason == "length" else "completed"
    if said.tool:
        kind, member, letters = ("function_call", "arguments", "fc")
        if said.tool.custom:
            kind, member, letters = ("custom_tool_call", "input", "ctc")
        called = {"call_id": f"call_{said.id}", "name": said.tool.name, member: said.text}
        return [*output, {"id": f"{letters}_{said.id}", "type": kind, "status": status, **called}]
    top, told = call.body.get("top_logprobs") or 0, []
    if top or "message.output_text.logprobs" in include:
        told = [logprobs(token, at, top) for at, token in enumerate(said.tokens)]
    part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": told}
    message = {"type": "message", "status": status, "role": "assistant", "content": [part]}
    return [*output, {"id": f"msg_{said.id}", **message}]


def _or(value: Any, *, default: Any) -> Any:
    return default if value is None else value
