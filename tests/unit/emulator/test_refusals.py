from importlib import resources
from typing import Any

import msgspec
import pytest

from smalt.emulator.refusals import catalogue, invalid_request, named


def entries() -> list[dict[str, Any]]:
    text = resources.files("smalt.emulator").joinpath("errors.json").read_bytes()
    told: list[dict[str, Any]] = msgspec.json.decode(text)
    return told


def test_every_entry_says_whom_it_concerns_what_it_costs_and_what_clients_raise() -> None:
    """Scope and bill are words of a list; only WebSocket messages have no exceptions."""
    scopes = {"request", "credential", "deployment", "resource", "region", "none"}
    for entry in entries():
        assert entry["scope"] in scopes, entry["name"]
        assert entry["billed"] in {"none", "prompt", "partial", "full"}, entry["name"]
        assert (entry["raises"] is None) == (entry["status"] is None), entry["name"]
        assert entry["status"] is None or entry["raises"].keys() == {"openai2", "openai3"}, entry["name"]


def test_failures_are_not_billed() -> None:
    """Of all that is no 200, only filtered prompts cost something."""
    billed = {entry["name"] for entry in entries() if entry["status"] != 200 and entry["billed"] != "none"}
    assert billed == {"content_filter_prompt", "content_filter_jailbreak", "content_policy_image"}


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("content_filter_prompt", (50, 0)),
        ("stream_error_after_content", (50, 1)),
        ("stream_async_filter_late_block", (50, 2)),
        ("filter_unavailable", (8, 3)),
        ("spillover_served", (50, 0)),
    ],
)
def test_the_cost_of_a_ready_made_answer_is_what_it_says(name: str, usage: tuple[int, int]) -> None:
    """Its own usage, else the prompt it answers and the words it holds."""
    assert catalogue()[name].usage(50) == usage


def test_every_answer_of_the_catalogue_can_be_sent() -> None:
    """WebSocket messages are left out, everything else has a status and bytes."""
    assert "ws_connection_limit" not in catalogue()
    assert len(catalogue()) > 40
    for canned in catalogue().values():
        assert canned.status >= 200
        assert isinstance(canned.payload, bytes)


def test_a_payload_is_json_text_or_nothing() -> None:
    """Objects become JSON, texts stay as they are, streams are taken raw."""
    assert catalogue()["resource_not_found"].payload.startswith(b'{"error":')
    assert catalogue()["bad_gateway_html"].payload.startswith(b"<html>")
    assert catalogue()["gateway_timeout"].payload == b""
    assert catalogue()["stream_filtered_default"].payload.endswith(b"data: [DONE]\n\n")


def test_only_the_cut_stream_is_cut() -> None:
    """The connection drops after one of the streams."""
    assert [name for name, canned in catalogue().items() if canned.cut] == ["stream_cut"]


def test_an_example_can_be_made_concrete() -> None:
    """Headers and members of the error are replaced, the catalogue keeps its own."""
    canned = named("rate_limit_tokens_classic", headers={"retry-after": "9"}, message="wait").canned
    assert (canned.headers["retry-after"], canned.body["error"]) == ("9", {"code": "429", "message": "wait"})
    assert catalogue()["rate_limit_tokens_classic"].headers["retry-after"] == "7"


def test_an_invalid_request_has_openais_shape() -> None:
    """Four members, of which two may be null."""
    assert invalid_request("no").canned.body == {
        "error": {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
    }
