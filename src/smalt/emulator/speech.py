"""What a model says, whichever operation asks: words, JSON for a schema, a tool call; what it thinks first.

All of it follows from the seed, the model and what was asked; a rule of the fleet file comes before that.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from smalt.emulator.answers import Call
from smalt.emulator.canned import choose
from smalt.emulator.functions import NO_TOOLS, Offer, ToolUse, pick
from smalt.emulator.params import Body
from smalt.emulator.refusals import Refusal, invalid_request, named
from smalt.emulator.text import dice, fitting, prose
from smalt.emulator.tokens import split

Reason = Literal["stop", "length", "tool"]

ANY_OBJECT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "confidence": {"type": "number"}},
}
_THOUGHT_TOKENS = 64  # reasoning is told in multiples of it
_THOUGHTS = {"low": 2, "medium": 8, "high": 24, "xhigh": 48, "max": 96}  # at most, in such multiples


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for.

    `key`: stands for everything that has an effect on what is said. `limit`: tokens of each answer, thoughts
    included. `asked`: the user's last words. `answers_user`: they are the last words of all. `schema`: of
    the JSON to say; None: prose. `effort`: of reasoning; None: the model does not reason.
    """

    key: str
    prompt_tokens: int
    limit: int
    asked: str = ""
    answers_user: bool = True
    offer: Offer = NO_TOOLS
    schema: Mapping[str, Any] | None = None
    stops: Sequence[str] = ()
    effort: str | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """`tokens`: of the text, or of what is handed to `tool`. `id`: hexadecimal digits, for ids."""

    tokens: list[str]
    reason: Reason
    id: str
    tool: ToolUse | None = None
    reasoning_tokens: int = 0

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @property
    def output_tokens(self) -> int:
        return len(self.tokens) + self.reasoning_tokens


def say(call: Call, wish: Wish, index: int = 0) -> Said:
    """The answer number `index` to a wish."""
    roll = dice(call.seed, call.model.name, f"{wish.key}/{index}")
    tool, tokens = _content(call, wish, roll)
    reason: Reason = "tool" if tool else "stop"
    thoughts = _thoughts(wish.effort, roll)
    if thoughts + len(tokens) > wish.limit:
        thoughts = min(thoughts, wish.limit)
        tokens, reason = tokens[: wish.limit - thoughts], "length"
    return Said(tokens, reason, f"{roll.getrandbits(96):024x}", tool, thoughts)


def key_of(asked: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(asked, order="sorted"), digest_size=8).hexdigest()


def last_words(messages: list[Body]) -> str:
    """Of the user, in checked messages."""
    spoken = next((m.get("content") for m in reversed(messages) if m["role"] == "user"), None)
    if isinstance(spoken, list):
        return "".join(part["text"] for part in spoken if part["type"] == "text")
    return spoken or ""


def output_limit(call: Call, prompt_tokens: int, param: str, default: int | None = None) -> int:
    """The most tokens an answer may have, of which `param` tells; `default`: where it is absent.

    Raises `Refusal` if the model cannot hold prompt and answer.
    """
    model, asked = call.model, call.body.get(param) or default
    if asked is not None and asked > model.max_output:
        raise invalid_request(
            f"{param} is too large: {asked}. This model supports at most {model.max_output} completion "
            f"tokens, whereas you provided {asked}.",
            param=param,
            code="invalid_value",
        )
    if prompt_tokens > model.max_input and model.modern:
        raise named(
            "context_length_exceeded",
            message=f"Input tokens exceed the configured limit of {model.max_input} tokens. Your messages "
            f"resulted in {prompt_tokens} tokens. Please reduce the length of the messages.",
        )
    if prompt_tokens + (asked or 1) > model.window:
        raise _too_long(model.window, prompt_tokens, asked)
    return asked or min(model.max_output, model.window - prompt_tokens)


def cached_tokens(call: Call, prompt: list[str]) -> int:
    """How much of the prompt the deployment has seen before; it remembers this one."""
    if not call.model.caches:
        return 0
    return call.cache.take(prompt, call.body.get("prompt_cache_key") or "")


def service_tier(call: Call) -> str:
    """The tier that is billed. Where priority cannot be had the request is served as any other."""
    asked = call.body.get("service_tier")
    if asked == "flex":  # refused before, where it cannot be
        return "flex"
    priority = call.sku in _PRIORITY_SKUS and (
        call.model.name.startswith(_PRIORITY_FAMILIES) or call.model.version >= _PRIORITY_SINCE
    )
    return "priority" if asked == "priority" and priority else "default"


_PRIORITY_SKUS = ("GlobalStandard", "DataZoneStandard")
_PRIORITY_FAMILIES = ("gpt-4.1", "gpt-5.1")
_PRIORITY_SINCE = "2025-12"  # of a model's version


def _content(call: Call, wish: Wish, roll: random.Random) -> tuple[ToolUse | None, list[str]]:
    callable_tools = wish.offer.tools if wish.answers_user and wish.offer.mode != "none" else {}
    rule = choose(call.rules, wish.asked, call.model.name, callable_tools)
    if rule and rule.tool:
        custom = wish.offer.tools[rule.tool].schema is None
        tool: ToolUse | None = ToolUse(
            rule.tool, dict(rule.arguments), custom=custom, legacy=wish.offer.legacy
        )
    elif rule and rule.text is not None and wish.offer.named is None and wish.offer.mode != "required":
        return None, _until_stop(split(rule.text), wish.stops)
    else:
        tool = pick(wish.offer, roll, answers_user=wish.answers_user)
    if tool:
        plain = tool.custom and isinstance(tool.arguments, str)
        return tool, split(tool.arguments if plain else msgspec.json.encode(tool.arguments).decode())
    if wish.schema is not None:
        return None, split(msgspec.json.encode(fitting(wish.schema, roll)).decode())
    return None, _until_stop(prose(roll, wish.prompt_tokens), wish.stops)


def _thoughts(effort: str | None, roll: random.Random) -> int:
    most = _THOUGHTS.get(effort or "", 0)
    return roll.randint((most + 1) // 2, most) * _THOUGHT_TOKENS if most else 0


def _until_stop(tokens: list[str], stops: Sequence[str]) -> list[str]:
    text = "".join(tokens)
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return split(text[: min(found)]) if found else tokens


def _too_long(window: int, prompt_tokens: int, asked: int | None) -> Refusal:
    size = f"your messages resulted in {prompt_tokens} tokens. Please reduce the length of the messages."
    if asked:
        size = (
            f"you requested {prompt_tokens + asked} tokens ({prompt_tokens} in the messages, {asked} in the "
            "completion). Please reduce the length of the messages or completion."
        )
    text = f"This model's maximum context length is {window} tokens. However, {size}"
    return named("context_length_exceeded", message=text)
