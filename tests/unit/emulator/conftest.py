"""Builders of calls and bodies."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from smalt.emulator.answers import Call
from smalt.emulator.catalogue import MODELS
from smalt.emulator.responses.store import Store

Make = Callable[..., Call]


@pytest.fixture
def chat_call() -> Make:
    """Make a chat call; keywords are parameters of the body, `model` and `version` those of the call."""

    def make(*, model: str = "gpt-4o", version: str = "2024-10-21", seed: int = 0, **body: Any) -> Call:
        body.setdefault("messages", [{"role": "user", "content": "What is blue glass?"}])
        return Call(MODELS[model], version, body, seed=seed, serial=1, created_s=1_763_700_000)

    return make


@pytest.fixture
def embeddings_call() -> Make:
    """Make an embeddings call; keywords as for `chat_call`."""

    def make(*, model: str = "text-embedding-3-small", version: str = "2024-10-21", **body: Any) -> Call:
        return Call(MODELS[model], version, body, seed=0, serial=1, created_s=1_763_700_000)

    return make


@pytest.fixture
def completions_call() -> Make:
    """Make a completions call; keywords as for `chat_call`."""

    def make(*, version: str = "2024-10-21", **body: Any) -> Call:
        return Call(MODELS["gpt-35-turbo-instruct"], version, body, seed=0, serial=1, created_s=1_763_700_000)

    return make


@pytest.fixture
def responses_call() -> Make:
    """Make a responses call; keywords as for `chat_call`, `store_` is that of the resource."""
    serial = itertools.count(1)

    def make(*, model: str = "gpt-4o", version: str = "v1", store_: Store | None = None, **body: Any) -> Call:
        body.setdefault("input", "What is blue glass?")
        store = store_ or Store("east")
        return Call(MODELS[model], version, body, 0, next(serial), 1_763_700_000, store=store)

    return make
