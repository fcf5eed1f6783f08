"""A conversation that the service keeps goes on where it was begun, whoever else serves the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.doors import sdk_client
from tests.contract.gateways import Adapter, Stage

from smalt import Fleet
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

MODEL = "gpt-4o"


@contextmanager
def served(way: str, azure: Handle, stages: dict[Adapter, Stage]) -> Iterator[openai.OpenAI]:
    """By turns, so that the second turn would go to another region."""
    settings = world.settings(azure, models={MODEL: {"strategy": "round_robin"}})
    if way == "library":
        client: openai.OpenAI = Fleet(settings).openai()
    else:
        stages["hot"].play(settings)
        client = sdk_client(stages["hot"].url, "openai")
    with client:
        yield client


def ask(client: openai.OpenAI, *, stream: bool, **more: Any) -> str:
    """The id of the response."""
    if not stream:
        return str(client.responses.create(model=MODEL, input="hello", **more).id)
    *_, last = client.responses.create(model=MODEL, input="hello", stream=True, **more)
    assert last.type == "response.completed"
    return str(last.response.id)


@pytest.mark.parametrize("way", ["library", "gateway"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_builds_on_a_response_goes_to_its_resource(
    way: str, stream: bool, azure: Handle, stages: dict[Adapter, Stage]
) -> None:
    """Of several conversations at the same time, each to its own."""
    with served(way, azure, stages) as client:
        latest = [ask(client, stream=stream) for _ in range(4)]
        for _ in range(3):
            latest = [ask(client, stream=stream, previous_response_id=before) for before in latest]
    assert {entry["status"] for entry in azure.log()} == {200}
    assert len({entry["resource"] for entry in azure.log()}) > 1


@pytest.mark.parametrize("way", ["library", "gateway"])
def test_a_response_nobody_has_seen(way: str, azure: Handle, stages: dict[Adapter, Stage]) -> None:
    """Several regions might keep it: the refusal says so, and nothing is sent."""
    with served(way, azure, stages) as client, pytest.raises(openai.BadRequestError, match="several"):
        ask(client, stream=False, previous_response_id="resp_unknown")
    assert not azure.log()
