"""Azure's errors, by name, from `errors.json`, and the exception that carries one to the caller.

Besides what is sent, an entry of the file says: `scope`, what the failure is one of (request, credential,
deployment, resource, region, none); `billed`; `raises`, the exception of each major version of the openai
package, of its own unless another package is named, null if there is none; streams are read to their end.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any, Literal

import msgspec

from smalt.emulator.tokens import count

Billed = Literal["none", "prompt", "partial", "full"]

JSON = {"content-type": "application/json"}
FRONT_DOOR = {**JSON, "apim-request-id": ""}  # ids and region are filled in when the answer is sent


@dataclass(frozen=True, slots=True)
class Canned:
    """A ready-made answer.

    `body`: an object is sent as JSON, a string as it is. `stream`: raw server-sent events, with `cut` the
    connection drops after them. `billed`: nothing, the prompt, the prompt and what was said before it broke
    off, or a whole answer.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    stream: str | None = None
    cut: bool = False
    billed: Billed = "none"

    def usage(self, input_tokens: int) -> tuple[int, int]:
        """Input and output tokens to bill, for a request of `input_tokens`; its own figures win."""
        if self.stream is None:
            frames = [self.body] if isinstance(self.body, dict) else []
        else:
            lines = self.stream.splitlines()
            frames = [msgspec.json.decode(line[6:]) for line in lines if line.startswith("data: {")]
        for frame in frames:
            if told := frame.get("usage"):
                return told["prompt_tokens"], told["completion_tokens"]
        return input_tokens, 0 if self.billed == "prompt" else _said(frames)

    @property
    def payload(self) -> bytes:
        text = self.stream or self.body
        if text is None or isinstance(text, str):
            return (text or "").encode()
        return msgspec.json.encode(text)


def answer_json(body: object) -> Canned:
    return Canned(200, JSON, body=body)


class Refusal(Exception):  # a regular answer of the service, not a fault of the emulator
    """The request is answered with `canned` instead of what it asked for.

    `input_tokens`: of its prompt, where that is billed all the same.
    """

    def __init__(self, canned: Canned, input_tokens: int = 0) -> None:
        super().__init__(canned)
        self.canned = canned
        self.input_tokens = input_tokens


@functools.cache
def catalogue() -> Mapping[str, Canned]:
    """Every answer of `errors.json` that can be sent over HTTP, by name."""
    text = resources.files("smalt.emulator").joinpath("errors.json").read_bytes()
    return {
        entry["name"]: Canned(
            status=entry["status"],
            headers=entry["headers"],
            body=entry["body"],
            stream=entry.get("stream"),
            cut=entry.get("cut", False),
            billed=entry["billed"],
        )
        for entry in msgspec.json.decode(text)
        if entry["status"] is not None  # None: a WebSocket message
    }


def named(name: str, *, headers: Mapping[str, str] | None = None, **error: object) -> Refusal:
    """The refusal called `name`; `headers` and the members of `error` replace its example's own."""
    canned = catalogue()[name]
    body = {**canned.body, "error": {**canned.body["error"], **error}} if error else canned.body
    return Refusal(replace(canned, headers={**canned.headers, **(headers or {})}, body=body))


def invalid_request(message: str, *, param: str | None = None, code: str | None = None) -> Refusal:
    """A 400 of the model backend, in OpenAI's shape."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Refusal(Canned(400, FRONT_DOOR, {"error": error}))


def _said(frames: Iterable[dict[str, Any]]) -> int:
    said = (
        (choice.get("message") or choice.get("delta") or {}).get("content")
        for frame in frames
        for choice in frame.get("choices", ())
    )
    return sum(count(text) for text in said if text)
