"""What passes through smalt is what went in: compared with the same request sent to the same upstream
directly, byte by byte, but for declared rewrites.

Two emulators of one seed get the same requests in the same order. Only the second at which an answer was made
and its number, which is part of ids, may differ.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from tests.integration.client.asked import (
    ASKED,
    CHAT,
    RESPONSES,
    SURFACES,
    Asked,
    Surface,
)

from smalt import Fleet, Settings
from smalt.client import transports
from smalt.emulator.deployments import Deployment
from smalt.emulator.fleet import Fleet as EmulatorFleet
from smalt.emulator.fleet import Resource
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.sdk

Api = Literal["auto", "v1"]
APIS: tuple[Api, ...] = ("auto", "v1")  # how smalt is told to speak to its upstream

VERSION = "2024-10-21"
DEPLOYMENTS = {
    "gpt-4o": "gpt-4o-prod",
    "o3-mini": "o3-mini",  # named as its model: there is nothing to rewrite
    "text-embedding-3-small": "embed/ü",
    "instruct": "instruct",
}
_SECOND = re.compile(rb'("created(?:_at)?":)\d{10}')
_NUMBER = re.compile(rb"0{8}[0-9a-f]{5}")


def plan() -> EmulatorFleet:
    models = {"instruct": "gpt-35-turbo-instruct"}
    deployments = {
        deployment: Deployment(deployment, models.get(model, model), "Standard", 100_000)
        for model, deployment in DEPLOYMENTS.items()
    }
    resources: dict[str, Resource] = {
        api: Resource(api, 0, "eastus", (f"{api}-key",), deployments, latency_ms=0, token_ms=0)
        for api in APIS
    }
    return EmulatorFleet(0, resources)


def settings(emulator: Handle, api: Api) -> Settings:
    resource = {
        "endpoint": emulator.url(api),
        "api_keys": [emulator.key(api)],
        "api": api,
        "deployments": {deployment: {"model": model} for model, deployment in DEPLOYMENTS.items()},
    }
    return Settings.model_validate({"resources": {"only": resource}})


@dataclass(frozen=True, slots=True)
class Way:
    """`surface`: the one the application speaks. `api`: the one its upstream has."""

    asked: Asked
    surface: Surface
    api: Api

    @property
    def in_path(self) -> bool:
        """Whether the upstream's path names the deployment."""
        return self.api == "auto" and self.asked.operation != RESPONSES

    @property
    def deployment(self) -> str:
        return DEPLOYMENTS[self.asked.model]

    @property
    def rewrites(self) -> set[str]:
        """Those that must be declared, and no other."""
        declared = set(self.asked.rewrites)
        if not self.in_path and (self.asked.model != self.deployment or self.surface != "openai"):
            declared.add("model")
        if self.asked.operation == CHAT and self.asked.streamed and not self.asked.asks_usage:
            declared.add("stream_options")
        return declared

    @property
    def expected_body(self) -> bytes | dict[str, Any]:
        """What the upstream must get: every byte, if nothing is rewritten."""
        sent = self.asked.written(self.asked.model)
        if not self.rewrites:
            return sent
        told: dict[str, Any] = {"model": self.asked.model, **(self.asked.rewritten or self.asked.members)}
        if "model" in self.rewrites:
            told["model"] = self.deployment
        if "stream_options" in self.rewrites:
            told["stream_options"] = {"include_usage": True}
        return told

    def path(self, surface: Surface, name: str) -> str:
        """Where an application asks that speaks `surface`."""
        operation = self.asked.operation
        if surface == "openai":
            return f"/v1/{operation}"
        if surface == "v1" or operation == RESPONSES:
            return f"/openai/v1/{operation}"
        return f"/openai/deployments/{_quoted(name)}/{operation}?api-version={VERSION}"


def _quoted(name: str) -> str:
    return name.replace("/", "%2F").replace("ü", "%C3%BC")


WAYS = {
    f"{one.name} ({surface} to {api})": Way(one, surface, api)
    for one in ASKED.values()
    for surface in SURFACES
    for api in APIS
}


@dataclass(slots=True)
class Seen:
    """What came back, and what the upstream's log shows of the request. `length`: of its body, in bytes."""

    status: int
    body: bytes
    headers: dict[str, str]
    received: Any = None
    length: int = 0
    target: str = ""


class Both:
    """The same upstream twice: one is asked directly, one through smalt."""

    def __init__(self, stack: ExitStack) -> None:
        library = transports.library_of_the_sdk()
        self._http = transports.transport_classes(library).http
        self._direct, self._behind = (stack.enter_context(running(plan())) for _ in range(2))
        self._client = stack.enter_context(self._http.Client())
        self._through = {}
        for api in APIS:
            fleet = stack.enter_context(Fleet(settings(self._behind, api)))
            client = self._http.Client(transport=fleet.transport(library), base_url="http://any.invalid")
            self._through[api] = stack.enter_context(client)

    def ask(self, way: Way) -> tuple[Seen, Seen]:
        """Directly, as an application would have to write it, and through smalt."""
        for emulator in (self._direct, self._behind):
            if way.asked.refusal:
                emulator.set(way.api, "error", error=way.asked.refusal, count=1)
            if way.asked.befalls:
                emulator.fault(way.asked.befalls, times=1)
        return self._ask_directly(way), self._ask_through(way)

    def _ask_directly(self, way: Way) -> Seen:
        name = way.deployment
        body = Asked("", way.asked.operation, json.dumps(way.asked.rewritten or way.asked.members))
        headers = {
            "api-key": self._direct.key(way.api),
            "content-type": "application/json",
            "accept-encoding": "identity",
        }
        url = self._direct.url(way.api) + way.path("classic" if way.in_path else "v1", name)
        answer = self._client.post(url, content=body.written(name), headers=headers)
        return Seen(answer.status_code, answer.content, dict(answer.headers))

    def _ask_through(self, way: Way) -> Seen:
        path = way.path(way.surface, way.asked.model)
        headers = {"content-type": "application/json", "authorization": "Bearer mine", "x-mine": "mine"}
        answer = self._through[way.api].post(
            path, content=way.asked.written(way.asked.model), headers=headers
        )
        seen = Seen(answer.status_code, answer.content, dict(answer.headers))
        entry = self._behind.log(limit=1)[0]
        seen.received = entry["body"]
        seen.length = int(dict(entry["headers"])["content-length"])
        seen.target = entry["path"]
        return seen


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with ExitStack() as stack:
        yield Both(stack)


def test_there_are_enough_requests() -> None:
    """Of every kind, in every way."""
    assert len(WAYS) >= 300


@pytest.mark.parametrize("name", WAYS)
def test_what_passes_is_what_went_in(both: Both, name: str) -> None:
    """Status and body of the answer are the upstream's own; the request differs where that is declared."""
    way = WAYS[name]
    direct, through = both.ask(way)
    assert through.status == direct.status
    assert unnumbered(through.body) == unnumbered(direct.body)
    assert through.headers.get("content-type") == direct.headers.get("content-type")
    assert through.headers["x-smalt-attempts"] == "1"
    declared = through.headers.get("x-smalt-rewrites")
    assert set(declared.split(",") if declared else ()) == way.rewrites
    check_request(through, way.expected_body)


def check_request(seen: Seen, expected: bytes | dict[str, Any]) -> None:
    """The log tells a body as JSON, and its length."""
    if isinstance(expected, bytes):
        assert seen.length == len(expected)
        expected = json.loads(expected)
    else:
        assert list(seen.received) == list(expected), "members keep their order"
    assert seen.received == expected


def unnumbered(body: bytes) -> bytes:
    return _NUMBER.sub(b"", _SECOND.sub(rb"\g<1>", body))
