"""What a program sees of the upstreams of its fleet."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.contract import world
from tests.contract.gateways import eventually

from smalt import Fleet
from smalt.core.upstream import UpstreamStatus
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]


def of(fleet: Fleet, region: str) -> UpstreamStatus:
    return next(status for status in fleet.status() if status.name == f"{region}/gpt-4o-prod")


def test_who_is_in_flight_and_how_long_it_took(fleet: Fleet, azure: Handle) -> None:
    """Whole answers by their end, streams by their first byte."""
    for region in world.REGIONS:
        azure.set(region, "up", latency_ms=200)
    with fleet.openai() as client, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(client.chat.completions.create, model="gpt-4o", messages=HELLO)
        eventually(lambda: of(fleet, "east").in_flight == 1)
        asking.result()
        status = of(fleet, "east")
        assert (status.state, status.available, status.in_flight) == ("available", True, 0)
        assert status.total_s is not None
        assert 0.2 <= status.total_s < 2
        assert status.first_byte_s is None
        with client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True) as stream:
            assert list(stream)
        first_byte_s = of(fleet, "sweden").first_byte_s
        assert first_byte_s is not None
        assert 0.2 <= first_byte_s < 2


def test_why_an_upstream_rests(fleet: Fleet, azure: Handle) -> None:
    """The failure behind it, and how long it is left alone still; what Azure said of the quota is known."""
    azure.set("east", "error", error="rate_limit_tokens_classic")
    with fleet.openai() as client:
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
    east, sweden = of(fleet, "east"), of(fleet, "sweden")
    assert (east.state, east.available, east.region) == ("cooling", False, "eastus")
    assert east.reason is not None
    assert "exceeded token rate limit" in east.reason
    assert 5 < east.rests_for_s <= 6.85
    assert (sweden.state, sweden.reason, sweden.rests_for_s) == ("available", None, 0)
    (tokens, *_) = sweden.windows
    assert tokens.limit == world.PLENTY * 1_000
    assert tokens.spent > 0
