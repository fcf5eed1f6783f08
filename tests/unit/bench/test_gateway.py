"""What is measured of the gateway, told, and held against its goals."""

from typing import Any

import pytest
import uvloop
from bench import asked, gateway, page, proxies, streams

NGINX = {
    "request_us": 20.0,
    "request_ratio": 1.0,
    "chunk_us": 8.0,
    "chunk_ratio": 1.0,
    "added_p50_us": 50.0,
    "added_p99_us": 90.0,
    "idle_mib": 6.0,
    "stream_kib": 9.0,
}
SMALT = NGINX | {"request_us": 60.0, "request_ratio": 3.0, "idle_mib": 52.0, "grown_mib": 0.5}


def test_a_stream_of_so_many_chunks() -> None:
    """In turn to all that wait: by callers and server of their own processes."""
    with streams.serving() as port:
        request = asked.streamed(asked.AZURE, 20)
        assert uvloop.run(streams.read_all(port, request, 3)) == 60
        with streams.held(port, asked.streamed(asked.AZURE, 100_000), 3):
            pass


def test_the_gateway_answers_what_is_asked() -> None:
    """The settings it is measured with are good ones: a stream comes through."""
    with streams.serving() as behind, proxies.serving(proxies.SMALT, behind) as smalt:
        assert smalt.memory_mib() > 10
        assert uvloop.run(streams.read_all(smalt.port, asked.streamed(smalt.path, 20), 3)) == 60


@pytest.mark.parametrize("path", [asked.AZURE, asked.OPENAI])
def test_requests_of_2_kb(path: str) -> None:
    """Of either kind."""
    for request in (asked.whole(path), asked.streamed(path, 200)):
        assert len(request.partition(b"\r\n\r\n")[2]) == asked.BYTES


@pytest.mark.parametrize(
    ("more", "missed"),
    [
        ({}, False),
        ({"smalt": SMALT | {"request_ratio": 3.6}}, True),
        ({"smalt": SMALT | {"grown_mib": 2.1}}, True),
        ({"rolter": NGINX | {"request_ratio": 2.9}}, True),
        ({"rolter": NGINX | {"request_ratio": 5.0}}, False),
    ],
)
def test_goals(more: dict[str, Any], missed: bool) -> None:
    """Each has one, and another gateway's figure is one too."""
    found = {"nginx": NGINX, "smalt": SMALT, **more}
    assert gateway.missed(found) is missed


def test_what_is_told() -> None:
    """Figures with their goals, and other gateways if there are."""
    told = gateway.told({"nginx": NGINX, "smalt": SMALT, "litellm": NGINX | {"request_ratio": 400.0}})
    assert "request: 60.0 us of CPU, 3.00 of nginx's 20.0 us (the goal is 3.5)\n" in told
    assert "litellm: request 20 us, 400 times nginx" in told


def test_a_table_and_a_picture() -> None:
    """The cheapest first."""
    found = {"smalt": SMALT, "nginx": NGINX}
    lines = page.table(found).splitlines()
    assert [line.split()[1] for line in lines[2:]] == ["nginx", "smalt"]
    assert lines[3].startswith("| smalt | 60 us | 3.0 |")
    assert page.drawn(found, "2026-01-01").count("<rect") == 5
