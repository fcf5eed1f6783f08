"""Azure's errors, by name, from `errors.json`, and the exception that carries one to the caller."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

import msgspec

JSON = {"content-type": "application/json"}
FRONT_DOOR = {**JSON, "apim-request-id": ""}  # ids and region are filled in when the answer is sent


@dataclass(frozen=True, slots=True)
class Canned:
    """A ready-made answer.

    `body`: an object is sent as JSON, a string as it is. `stream`: raw server-sent events, with `cut` the
    connection drops after them.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    stream: str | None = None
    cut: bool = False

    @property
    def payload(self) -> bytes:
        text = self.stream or self.body
        if text is None or isinstance(text, str):
            return (text or "").encode()
        return msgspec.json.encode(text)


class Refusal(Exception):  # a regular answer of the service, not a fault of the emulator
    """The request is answered with `canned` instead of what it asked for."""

    def __init__(self, canned: Canned) -> None:
        super().__init__(canned)
        self.canned = canned


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
