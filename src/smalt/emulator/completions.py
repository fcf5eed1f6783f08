"""The legacy completions operation, which only gpt-35-turbo-instruct still has."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from smalt.emulator.answers import Answer, Call, Event, Operation
from smalt.emulator.chat import ANSWER_FILTER, DONE, PROMPT_FILTER, SAFE, Usage, event
from smalt.emulator.chat_rules import check_stream_options, read_stops
from smalt.emulator.logprobs import legacy
from smalt.emulator.params import Body, Rule, check, check_all
from smalt.emulator.quota import DEFAULT_OUTPUT_TOKENS, output_charge
from smalt.emulator.refusals import Refusal, invalid_request
from smalt.emulator.speech import Said, Wish, key_of, output_limit, say
from smalt.emulator.tokens import split

MAX_PROMPTS = 2_048

_RULES = {
    "best_of": Rule("integer", 1, 20),
    "echo": Rule("boolean"),
    "frequency_penalty": Rule("decimal", -2, 2),
    "logit_bias": Rule("object"),
    "logprobs": Rule("integer", 0, 5),
    "max_tokens": Rule("integer", 0),
    "model": Rule("string"),
    "n": Rule("integer", 1, 128),
    "presence_penalty": Rule("decimal", -2, 2),
    "prompt": Rule("any"),
    "seed": Rule("integer"),
    "stop": Rule("any"),
    "stream": Rule("boolean"),
    "stream_options": Rule("object", since="2024-09"),
    "suffix": Rule("string"),
    "temperature": Rule("decimal", 0, 2),
    "top_p": Rule("decimal", 0, 1),
    "user": Rule("string"),
}
_WITHOUT_EFFECT = {"best_of", "echo", "logprobs", "model", "stream", "stream_options", "user"}


def answer(call: Call) -> Answer:
    body = call.body
    prompts, n = _check(call), body.get("n") or 1
    candidates = [_say(call, prompt) for prompt in prompts]  # the caller sees n of them, and pays for all
    choices = [said for told in candidates for said in told[:n]]
    echoed = [prompt for prompt in prompts for _ in range(n)]
    prompt_tokens = sum(map(len, prompts))
    output_tokens = sum(len(said.tokens) for told in candidates for said in told)
    usage = Usage(prompt_tokens, 0, None, output_tokens, 0).told
    if body.get("stream"):
        events = _events(call, choices, echoed, usage)
        return Answer(prompt_tokens, output_tokens, events=events, end=DONE)
    filters = [{**PROMPT_FILTER[0], "prompt_index": index} for index in range(len(prompts))]
    told = _frame(call) | {
        "choices": [_choice(call, index, said, echoed[index]) for index, said in enumerate(choices)],
        "prompt_filter_results": filters,
        "usage": usage,
    }
    return Answer(prompt_tokens, output_tokens, body=told)


OPERATION = Operation(
    api="completions",
    azure_name="Completions_Create",
    verb="completion",
    prompt="prompt",
    max_output=output_charge,
    answer=answer,
)


def _check(call: Call) -> list[list[str]]:
    """The tokens of each prompt. Raises `Refusal`."""
    body = call.body
    check_all(body, _RULES, call.version)
    read_stops(body)
    check_stream_options(body)
    n, best_of = body.get("n") or 1, body.get("best_of")
    if best_of is not None and best_of < n:
        raise invalid_request(f"best_of must be greater than or equal to n, got {best_of} and {n}.")
    if best_of is not None and best_of > n and body.get("stream"):
        raise invalid_request("Cannot stream results with best_of > n.", param="best_of")
    if body.get("suffix") is not None and body.get("echo"):
        raise invalid_request("'suffix' and 'echo' cannot be used together.", param="suffix")
    return _prompts(body["prompt"]) if body.get("prompt") else [["<|endoftext|>"]]


def _prompts(given: object) -> list[list[str]]:
    """A string or a list of token ids is one prompt, a list of either is many."""
    if isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], int)):
        return [_prompt(given)]
    check("prompt", given, Rule("array", 1, MAX_PROMPTS))
    assert isinstance(given, list)  # noqa: S101  # narrows the type
    return [_prompt(prompt) for prompt in given]


def _prompt(given: object) -> list[str]:
    if isinstance(given, str):
        return split(given)
    if isinstance(given, list) and given and all(type(token) is int and token >= 0 for token in given):
        return [f"<{token}>" for token in given]
    raise _unfit()


def _unfit() -> Refusal:
    return invalid_request(
        "Invalid 'prompt': expected a string, an array of strings, an array of tokens, or an array of token "
        "arrays.",
        param="prompt",
        code="invalid_type",
    )


def _say(call: Call, prompt: list[str]) -> list[Said]:
    body = call.body
    limit = output_limit(call, len(prompt), "max_tokens", DEFAULT_OUTPUT_TOKENS)
    asked = {name: value for name, value in body.items() if name not in _WITHOUT_EFFECT}
    text = "".join(prompt)
    wish = Wish(
        key=key_of(asked | {"prompt": text}),
        prompt_tokens=len(prompt),
        limit=limit,
        asked=text,
        stops=read_stops(body),
    )
    told = [say(call, wish, index) for index in range(body.get("best_of") or body.get("n") or 1)]
    if body.get("max_tokens") == 0:  # allowed, to have the probabilities of an echoed prompt alone
        return [replace(said, tokens=[], reason="length") for said in told]
    return told


def _choice(call: Call, index: int, said: Said, prompt: list[str]) -> dict[str, Any]:
    told = [*prompt, *said.tokens] if call.body.get("echo") else said.tokens
    top = call.body.get("logprobs")
    return {
        "text": "".join(told),
        "index": index,
        "finish_reason": said.reason,
        "logprobs": None if top is None else legacy(told, top),
        "content_filter_results": ANSWER_FILTER,
    }


def _frame(call: Call) -> Body:
    return {
        "id": f"cmpl-{call.seed:x}{call.serial:012x}",
        "object": "text_completion",
        "created": call.created_s,
        "model": call.model.served,
    }


def _events(
    call: Call, choices: list[Said], prompts: list[list[str]], usage: dict[str, Any]
) -> Iterator[Event]:
    """Without the end mark; choices take turns."""
    frame, top = _frame(call), call.body.get("logprobs")
    filters = [{**PROMPT_FILTER[0], "prompt_index": index} for index in range(len(choices))]
    yield event({**frame, "choices": [], "prompt_filter_results": filters[: _prompt_count(prompts, call)]})

    def chunk(index: int, text: str, reason: str | None = None, logprobs: object = None) -> dict[str, Any]:
        checked = {} if reason else SAFE
        told = {"text": text, "index": index, "finish_reason": reason, "logprobs": logprobs}
        return {**frame, "choices": [{**told, "content_filter_results": checked}]}

    offsets = [0] * len(choices)
    if call.body.get("echo"):
        for index, prompt in enumerate(prompts):
            told = None if top is None else legacy(prompt, top)
            yield event(chunk(index, "".join(prompt), logprobs=told))
            offsets[index] = len("".join(prompt))
    for turn in zip_longest(*(said.tokens for said in choices)):
        for index, token in enumerate(turn):
            if token is not None:
                told = None if top is None else legacy([token], top, offsets[index])
                offsets[index] += len(token)
                yield event(chunk(index, token, logprobs=told), tokens=1)
    for index, said in enumerate(choices):
        yield event(chunk(index, "", said.reason))
    if (call.body.get("stream_options") or {}).get("include_usage"):
        yield event({**frame, "choices": [], "usage": usage})


def _prompt_count(prompts: list[list[str]], call: Call) -> int:
    return len(prompts) // (call.body.get("n") or 1)
