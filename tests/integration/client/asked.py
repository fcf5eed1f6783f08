"""A few dozen requests of every kind, each for every surface: what applications send, right or wrong."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Surface = Literal["openai", "classic", "v1"]
SURFACES: tuple[Surface, ...] = ("openai", "classic", "v1")

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = "chat/completions", "completions", "embeddings", "responses"


@dataclass(frozen=True, slots=True)
class Asked:
    """`body`: without the model, as JSON with the white space that its author likes. `refusal`: what the
    upstream answers in any case, by its name in the emulator. `befalls`: a fault that the answer meets on its
    way. `rewrites`: declared for every surface, and what the body must say then."""

    name: str
    operation: str
    body: str
    model: str = "gpt-4o"
    refusal: str | None = None
    befalls: str | None = None
    rewrites: tuple[str, ...] = ()
    rewritten: Mapping[str, Any] | None = None

    @property
    def members(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def streamed(self) -> bool:
        return self.members.get("stream") is True

    @property
    def asks_usage(self) -> bool:
        return bool((self.members.get("stream_options") or {}).get("include_usage"))

    def written(self, model: str) -> bytes:
        """As it leaves the application, which names `model`."""
        return f'{{"model": {json.dumps(model)},{self.body.strip()[1:]}'.encode()


def said(content: object, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


def told(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [said(text)], **more}


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
FUNCTION = {"name": "weather", "description": "Tomorrow's weather.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
CLOCK = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
ROUND_TRIP = [
    said("How is the weather in Oslo?"),
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
]
ANSWER_FORMAT = {"type": "json_schema", "json_schema": {"name": "forecast", "strict": True, "schema": SCHEMA}}
PIXEL = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 40).decode()
SIGHT = [
    {"type": "text", "text": "What is to be seen?"},
    {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
]
UNICODE = 'Grüße, 世界! \u200f\u05e9\u05dc\u05d5\u05dd \U0001f30d\u0000\u2028 \\u00e4 "quoted" </script>'

# name -> body of a chat request, sent whole, streamed, and streamed with usage
CHATS: dict[str, dict[str, Any]] = {
    "plain": told("Say hello."),
    "conversation": {
        "messages": [said("Be brief.", "system"), said("Hi"), said("Hello.", "assistant"), said("?")]
    },
    "unicode": told(UNICODE, user="Jürgen"),
    "large": told("A long story. " * 8_000, max_tokens=40),
    "sampling": told("Dice", temperature=0, top_p=0.5, seed=7, presence_penalty=0.5, frequency_penalty=-1.5),
    "several": told("Three, please.", n=3, max_tokens=9),
    "stopped": told("Count.", stop=["the", ","], max_tokens=100),
    "probabilities": told("Likely?", logprobs=True, top_logprobs=3, max_tokens=6),
    "tools": told("Weather?", tools=[TOOL, CLOCK], tool_choice="auto", parallel_tool_calls=False),
    "a tool by name": told(
        "Weather?", tools=[TOOL], tool_choice={"type": "function", "function": {"name": "weather"}}
    ),
    "a tool's result": {"messages": ROUND_TRIP, "tools": [TOOL]},
    "functions": told("Weather?", functions=[FUNCTION], function_call={"name": "weather"}),
    "json mode": told("Answer in json.", response_format={"type": "json_object"}),
    "structured output": told("Forecast.", response_format=ANSWER_FORMAT),
    "vision": {"messages": [said(SIGHT)], "max_tokens": 20},
}
EMBEDDED: dict[str, dict[str, Any]] = {
    "one text": {"input": "alpha"},
    "floats": {"input": ["alpha", "beta"], "encoding_format": "float", "dimensions": 8},
    "base64": {"input": ["alpha", UNICODE], "encoding_format": "base64"},
    "many": {"input": [f"text number {number}" for number in range(500)], "dimensions": 4},
    "tokens": {"input": [[1, 2, 3], [4]], "dimensions": 16, "user": "me"},
    "no text": {"input": ""},
}
RESPONDED: dict[str, dict[str, Any]] = {
    "text": {"input": "Say hello."},
    "items": {
        "input": [said([{"type": "input_text", "text": UNICODE}])],
        "instructions": "Be kind.",
        "store": False,
    },
    "tools": {
        "input": "Weather?",
        "tools": [{"type": "function", "strict": True, **FUNCTION}],
        "tool_choice": "required",
    },
    "structured": {
        "input": "Forecast.",
        "text": {"format": {"type": "json_schema", "name": "forecast", "schema": SCHEMA}},
    },
    "cut off": {"input": "A long story.", "max_output_tokens": 16, "metadata": {"a": "b"}},
}
COMPLETED: dict[str, dict[str, Any]] = {
    "prompt": {"prompt": "Once upon a time", "max_tokens": 20},
    "prompts": {"prompt": ["One", "Two"], "n": 2, "logprobs": 2, "echo": True, "max_tokens": 5},
}
WRONG: dict[str, dict[str, Any]] = {
    "no messages": {"messages": []},
    "no such parameter": told("Hi", temprature=1),
    "too warm": told("Hi", temperature=3),
    "no such role": {"messages": [said("Hi", "narrator")]},
    "too much output": told("Hi", max_tokens=1_000_000),
    "json mode without the word": told("Hi", response_format={"type": "json_object"}),
    "an unanswered tool": {"messages": ROUND_TRIP[:2]},
    "usage of no stream": told("Hi", stream_options={"include_usage": True}),
}
# final ones: for the others smalt has reactions of its own
REFUSED = (
    "content_filter_prompt",
    "content_filter_jailbreak",
    "resource_not_found",
    "unsupported_parameter_max_tokens",
    "string_above_max_length",
    "operation_not_supported",
    "api_version_not_supported",
    "unsupported_media_type",
)
ODD_STREAMS = ("crlf", "gzip", "no_done", "split")  # whole, and all the same other than usual
LIKED = """{
	"messages" : [ {"role":"user", "content":"Gr\\u00fc\\u00dfe \\/ \\ud83c\\udf0d"} ],
 "seed": 7 , "top_p":5.0e-1, "n":1}
"""


def asked() -> Iterator[Asked]:
    for name, body in CHATS.items():
        yield Asked(name, CHAT, json.dumps(body))
        yield Asked(f"{name}, streamed", CHAT, json.dumps({**body, "stream": True}))
        counted = {**body, "stream": True, "stream_options": {"include_usage": True}}
        yield Asked(f"{name}, streamed with usage", CHAT, json.dumps(counted))
    for name, body in EMBEDDED.items():
        yield Asked(f"embeddings, {name}", EMBEDDINGS, json.dumps(body), "text-embedding-3-small")
    for name, body in RESPONDED.items():
        yield Asked(f"responses, {name}", RESPONSES, json.dumps(body))
        yield Asked(f"responses, {name}, streamed", RESPONSES, json.dumps({**body, "stream": True}))
    for name, body in COMPLETED.items():
        yield Asked(f"completions, {name}", COMPLETIONS, json.dumps(body), "instruct")
        yield Asked(
            f"completions, {name}, streamed", COMPLETIONS, json.dumps({**body, "stream": True}), "instruct"
        )
    for name, body in WRONG.items():
        yield Asked(f"wrong: {name}", CHAT, json.dumps(body))
    for refusal in REFUSED:
        yield Asked(f"refused: {refusal}", CHAT, json.dumps(CHATS["plain"]), refusal=refusal)
    for fault in ODD_STREAMS:
        yield Asked(
            f"{fault}, streamed", CHAT, json.dumps({**CHATS["unicode"], "stream": True}), befalls=fault
        )
    yield Asked("gzip", CHAT, json.dumps(CHATS["unicode"]), befalls="gzip")
    yield Asked("written as its author likes", CHAT, LIKED)
    yield from adapted()


def adapted() -> Iterator[Asked]:
    """What Azure would refuse as it is."""
    capped = told("Think.", max_tokens=2_000)
    yield Asked(
        "an old cap",
        CHAT,
        json.dumps(capped),
        "o3-mini",
        rewrites=("max_completion_tokens",),
        rewritten=told("Think.", max_completion_tokens=2_000),
    )
    narrow = {
        **SCHEMA,
        "properties": {"city": {"type": "string", "minLength": 1}, "days": {"type": "integer"}},
    }
    yield Asked(
        "a narrow schema",
        CHAT,
        json.dumps(told("Weather?", tools=[_strict(narrow)])),
        rewrites=("tool_schemas",),
        rewritten=told("Weather?", tools=[_strict(SCHEMA)]),
    )


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "weather", "strict": True, "parameters": schema}}


ASKED = {one.name: one for one in asked()}
