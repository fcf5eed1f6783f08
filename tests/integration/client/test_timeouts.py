"""How long the library waits: the SDK's timeouts and the fleet's, whichever end first."""

import time
from typing import Any

import openai
import pytest
from tests.contract import world

from smalt import Fleet
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
SILENT_S = 20.0


def fleet(azure: Handle, **timeouts: float) -> Fleet:
    """Over regions that answer after a long time."""
    for name in world.REGIONS:
        azure.set(name, latency_ms=SILENT_S * 1_000)
    return Fleet(world.settings(azure, timeouts=timeouts))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("timeouts", "sdk"),
    [({"total_s": 0.2, "stream_first_byte_s": 0.2}, {}), ({}, {"timeout": 0.2})],
    ids=["the fleet's", "the SDK's"],
)
def test_a_silent_upstream(azure: Handle, timeouts: Any, sdk: Any, *, stream: bool) -> None:
    """The call ends with the caller's patience or the fleet's, unrepeated: it may have been billed."""
    started_s = time.monotonic()
    with fleet(azure, **timeouts) as patient, patient.openai(**sdk) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=stream)
        assert [status.in_flight for status in patient.status()] == [0] * len(patient.status())
    assert time.monotonic() - started_s < SILENT_S / 2
    assert (caught.value.status_code, caught.value.code) == (504, "timeout")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_silent_upstream_in_an_event_loop(azure: Handle, *, stream: bool) -> None:
    """The same."""
    patient = fleet(azure, total_s=0.2, stream_first_byte_s=0.2)
    async with patient.async_openai() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (504, "timeout")
