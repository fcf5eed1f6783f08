"""Answers as steps, and what a caller would have of them."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from smalt.emulator import chat
from smalt.emulator.answers import Answer
from smalt.emulator.faults.layers import Layer, Scene, layered
from smalt.emulator.steps import Data, End, Head, Pace, Step, Wait, of_answer

SCENE = Scene("east", "chat/completions", "/openai/v1/chat/completions", {"east": "http://127.0.0.1:9"}, 100)


@dataclass(frozen=True)
class Played:
    steps: list[Step]

    @property
    def head(self) -> Head:
        return next(step for step in self.steps if isinstance(step, Head))

    @property
    def end(self) -> End:
        (end,) = (step for step in self.steps if isinstance(step, End))
        return end

    @property
    def body(self) -> bytes:
        return b"".join(step.data for step in self.steps if isinstance(step, Data | End))

    @property
    def tokens(self) -> int:
        """Of output, as they would be billed."""
        return sum(step.tokens for step in self.steps if isinstance(step, Head | Data))

    @property
    def without_waits(self) -> list[Step]:
        return [step for step in self.steps if not isinstance(step, Wait)]

    @property
    def frames(self) -> list[dict[str, Any]]:
        lines = self.body.decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: {")]

    @property
    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    @property
    def text(self) -> str:
        """What the first choice of a chat stream says."""
        choices = [choice for frame in self.frames for choice in frame["choices"] if not choice["index"]]
        return "".join((choice.get("delta") or {}).get("content") or "" for choice in choices)


Play = Callable[..., Played]


@pytest.fixture
def play(chat_call: Callable[..., Any]) -> Play:
    """Let layers play on the answer of a chat call; `answer`: on another; other keywords: of its body."""

    def run(*layers: Layer, answer: Answer | None = None, scene: Scene = SCENE, **body: Any) -> Played:
        answer = answer or chat.OPERATION.answer(chat_call(version="v1", **body))
        steps = of_answer(answer, {"x-ms-region": "East US"}, Pace(5, 2, 1))
        return Played(list(itertools.islice(layered(steps, list(layers), scene), 100_000)))

    return run
