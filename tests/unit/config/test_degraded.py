"""What callers are told when nothing is available."""

from collections.abc import Callable

import pytest

from smalt.config.degraded import degraded
from smalt.config.schema import Settings
from smalt.core.degraded import NOTHING_DEGRADED, Degraded
from smalt.errors import NoUpstreamAvailable
from smalt.types import Facts, Operation

WRITTEN = """\
resources:
  east: {endpoint: "https://east.openai.azure.com", api_keys: [k], deployments: {prod: {model: gpt-4o}}}
agents:
  narrator: {model: gpt-4o}
degraded:
"""
OUTAGE = NoUpstreamAvailable("down")


@pytest.mark.parametrize("asked", ["gpt-4o", "agent/narrator", "azure/prod", "prod"])
def test_agents_and_deployments_are_what_their_model_is(loaded: Callable[..., Settings], asked: str) -> None:
    """As far as they have nothing of their own."""
    answers = degraded(loaded(WRITTEN + "  gpt-4o: {status: 200, message: Soon.}\n"))
    assert answers.find(Facts(Operation.CHAT, asked), OUTAGE) == Degraded(200, "Soon.")
    assert answers.find(Facts(Operation.CHAT, "gpt-4"), OUTAGE) is None


def test_the_usual_case(loaded: Callable[..., Settings]) -> None:
    """Nothing is configured, and nothing is looked for."""
    assert degraded(loaded(WRITTEN.removesuffix("degraded:\n"))) is NOTHING_DEGRADED


@pytest.mark.parametrize("name", ["gpt-4o", "agent/narrator", "azure/prod", "'*'", "gpt-*"])
@pytest.mark.parametrize("status", [400, 503, 599])
def test_names_and_statuses(loaded: Callable[..., Settings], name: str, status: int) -> None:
    """All that callers can ask for, and patterns; errors need no words."""
    assert loaded(f"{WRITTEN}  {name}: {{status: {status}}}\n").degraded


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("gpt4o: {}", "6:3: degraded.gpt4o: no model is named 'gpt4o'; did you mean 'gpt-4o'?"),
        (
            "gpt-4o: {status: 302}",
            "6:12: degraded.gpt-4o.status: 302: expected 200, for an answer, or an error from 400 to 599",
        ),
        (
            "gpt-4o: {status: 600}",
            "6:12: degraded.gpt-4o.status: 600: expected 200, for an answer, or an error from 400 to 599",
        ),
        (
            "gpt-4o: {status: 200}",
            "6:3: degraded.gpt-4o.message: message is required: the text of the answer",
        ),
    ],
)
def test_mistakes(problems: Callable[..., list[str]], written: str, problem: str) -> None:
    """With their place."""
    assert problems(f"{WRITTEN}  {written}\n") == [problem]


@pytest.mark.parametrize("name", ["gpt-4o", "agent/narrator", "azure/prod"])
def test_models_that_the_gateway_must_have(loaded: Callable[..., Settings], name: str) -> None:
    """All that has a route."""
    written = WRITTEN.replace("degraded:\n", "gateway:\n")
    assert loaded(f"{written}  ready_models: [{name}]\n").gateway.ready_models == (name,)


@pytest.mark.parametrize("name", ["gpt-4", "'gpt-*'", "prod"])
def test_models_that_no_gateway_has(problems: Callable[..., list[str]], name: str) -> None:
    """They would never be missed; patterns have no upstreams of their own."""
    written = WRITTEN.replace("degraded:\n", "gateway:\n")
    (problem,) = problems(f"{written}  ready_models: [{name}]\n")
    assert problem.startswith("6:18: gateway.ready_models[0]: no model is named")


def test_a_default_resource_may_serve_any_name(loaded: Callable[..., Settings]) -> None:
    """So no name is wrong."""
    assert loaded(WRITTEN.replace("east:", "default:", 1) + "  anything: {}\n").degraded
