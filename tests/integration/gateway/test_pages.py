"""The pages of the gateway: health for probes, the upstreams for operators."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.contract import world
from tests.contract.gateways import ADMIN_KEY, KEY, Stage, eventually
from tests.contract.scenarios import ONLY_EAST
from tests.integration.gateway.raw import Answer, ask, body, head, request

from smalt.config import Settings
from smalt.emulator.testing import Handle

EAST, SWEDEN = "east/gpt-4o-prod", "sweden/gpt-4o-prod"


def page(stage: Stage, target: str, key: str = ADMIN_KEY) -> Answer:
    return ask(stage.url, head(target=target, method="GET", key=key))


def upstreams(stage: Stage) -> dict[str, dict[str, Any]]:
    """The rows of the page, by name."""
    answer = page(stage, "/admin/v1/upstreams")
    assert answer.status == 200
    return {row["name"]: row for row in json.loads(answer.body)}


def limited(azure: Handle, **limits: int) -> Settings:
    """Only the deployment in the east serves, and has limits of ours."""
    told = world.written(azure, **ONLY_EAST)
    told["resources"]["east"]["deployments"]["gpt-4o-prod"] = {"model": "gpt-4o", **limits}
    return Settings.model_validate(told)


@pytest.mark.parametrize("key", [KEY, "adm_wrong"])
@pytest.mark.parametrize("target", ["/admin/v1/upstreams", "/admin/v1/usage"])
def test_the_admins_pages_need_his_key(stage: Stage, target: str, key: str) -> None:
    """A gateway key is none."""
    assert page(stage, target, key).status == 401


def test_an_idle_upstream(stage: Stage) -> None:
    """Available, with nothing known of its speed or its quota."""
    row = upstreams(stage)[EAST]
    windows = row.pop("windows")
    assert row == {
        "name": EAST,
        "model": "gpt-4o",
        "region": "eastus",
        "state": "available",
        "rests_for_s": 0.0,
        "breaker": "closed",
        "reason": None,
        "in_flight": 0,
        "waiting": 0,
        "share": 0.0,
        "first_byte_s": None,
        "total_s": None,
    }
    assert windows == [{"counts": "tokens", "span_s": 60.0, "spent": 0, "limit": None, "resets_in_s": 0.0}]


def test_an_upstream_at_work(stage: Stage, azure: Handle) -> None:
    """Who is in flight now, and how long it took lately: whole answers and streams by themselves."""
    azure.set("east", "up", latency_ms=200)
    stage.play(limited(azure))
    caller = threading.Thread(target=ask, args=(stage.url, request()))
    caller.start()
    eventually(lambda: upstreams(stage)[EAST]["in_flight"] == 1)
    caller.join()
    row = upstreams(stage)[EAST]
    assert (row["in_flight"], row["first_byte_s"]) == (0, None)
    assert 0.2 <= row["total_s"] < 2
    ask(stage.url, request(content=body(stream=True)))
    assert 0.2 <= upstreams(stage)[EAST]["first_byte_s"] < 2


def test_a_quota_and_who_waits_for_it(stage: Stage, azure: Handle) -> None:
    """What is spent of each window and when it begins anew; the upstream is full, and one call waits."""
    stage.play(limited(azure, limit_tpm=1_000, quota_rpm=60))
    caller = threading.Thread(target=lambda: [ask(stage.url, request()) for _ in range(2)])
    caller.start()
    eventually(lambda: upstreams(stage)[EAST]["waiting"] == 1)
    row = upstreams(stage)[EAST]
    caller.join()
    assert (row["state"], row["in_flight"], row["share"]) == ("full", 0, pytest.approx(0.1))
    tokens, second, ten_seconds = row["windows"]
    assert (tokens["counts"], tokens["span_s"], tokens["limit"]) == ("tokens", 60, 1_000)
    assert 0 < tokens["spent"] < 100
    assert 50 < tokens["resets_in_s"] < 61
    assert [second[name] for name in ("counts", "span_s", "limit", "spent")] == ["requests", 1, 1, 1]
    assert [ten_seconds[name] for name in ("span_s", "limit", "spent")] == [10, 10, 1]
    assert upstreams(stage)[EAST]["waiting"] == 0


@pytest.mark.parametrize(
    ("error", "state", "longest_s", "reason"),
    [
        ("rate_limit_tokens_classic", "cooling", 6.85, "exceeded token rate limit"),
        ("server_error", "cooling", 1, "The server had an error"),
        ("invalid_api_key", "flagged", 30, "invalid subscription key"),
        ("rate_limit_free_trial", "parked", 60, "Please retry after 86400 seconds"),
    ],
)
def test_an_upstream_that_rests(
    stage: Stage, azure: Handle, error: str, state: str, longest_s: float, reason: str
) -> None:
    """How, for how long still, and because of what."""
    azure.set("east", "error", error=error)
    assert ask(stage.url, request()).status == 200
    rows = upstreams(stage)
    row = rows[EAST]
    assert row["state"] == state
    assert longest_s - 1 < row["rests_for_s"] <= longest_s
    assert reason in row["reason"]
    assert rows[SWEDEN]["state"] == "available"


def test_ready_while_every_model_has_a_healthy_upstream(stage: Stage, azure: Handle) -> None:
    """One region lost is no reason to be taken out; with the last one the probe says which model and why."""
    for region in world.REGIONS:
        assert page(stage, "/health/ready", KEY).status == 200
        azure.set(region, "error", error="rate_limit_tokens_classic")
        ask(stage.url, request())
    answer = page(stage, "/health/ready", KEY)
    told = json.loads(answer.body)
    assert (answer.status, told["status"]) == (503, "not ready")
    assert told["models_without_upstream"] == ["gpt-4o", "azure/gpt-4o-prod"]
    assert told["upstreams"].keys() == {EAST, SWEDEN}
    assert page(stage, "/health/live", KEY).status == 200
    eventually(lambda: page(stage, "/health/ready", KEY).status == 200, within_s=10)


def test_only_required_models_make_it_unready(stage: Stage, azure: Handle) -> None:
    """One that nobody must have may be lost; it is still told."""
    stage.play(world.settings(azure, gateway={"ready_models": ["gpt-4"]}))
    for region in world.REGIONS:
        azure.set(region, "error", error="rate_limit_tokens_classic")
    ask(stage.url, request())
    assert page(stage, "/health/ready", KEY).status == 200
    answer = page(stage, "/health", KEY)
    told = json.loads(answer.body)
    assert (answer.status, told["status"]) == (200, "degraded")
    assert "gpt-4o" in told["models_without_upstream"]
    stage.play(world.settings(azure, gateway={"ready_models": ["gpt-4", "azure/gpt-4o-prod"]}))
    ask(stage.url, request())
    answer = page(stage, "/health/ready", KEY)
    assert (answer.status, json.loads(answer.body)["models_without_upstream"]) == (503, ["azure/gpt-4o-prod"])


def test_a_full_upstream_is_ready(stage: Stage, azure: Handle) -> None:
    """A spent quota is no fault: others in the same place would find it spent, too."""
    stage.play(limited(azure, quota_rpm=6))
    ask(stage.url, request())
    assert upstreams(stage)[EAST]["state"] == "full"
    assert page(stage, "/health/ready", KEY).status == 200


def health(stage: Stage) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(page(stage, "/health", KEY).body)
    return told


def with_keys(azure: Handle, *keys: str) -> Settings:
    """Those of the region in the east."""
    told = world.written(azure)
    told["resources"]["east"]["api_keys"] = keys
    return Settings.model_validate(told)


def test_all_is_well(stage: Stage) -> None:
    """Each dependency by itself, and what its loss would do to calls."""
    told = health(stage)
    assert told["status"] == "ok"
    assert told["credentials"] == {
        region: [{"state": "in use", "reason": None, "since": None}] for region in world.REGIONS
    }
    assert told["configuration"]["problems"] == []
    assert told["when_lost"].keys() < told.keys()
    assert all(policy.startswith("fail open") for policy in told["when_lost"].values())


def test_a_refused_key_is_seen_although_nobody_notices(stage: Stage, azure: Handle) -> None:
    """The other one serves; the key itself is nowhere in the page."""
    stage.play(with_keys(azure, "a-key-that-is-refused", azure.key("east")))
    while "refused" not in (states := [key["state"] for key in health(stage)["credentials"]["east"]]):
        assert states == ["in use", "ready"]
        assert ask(stage.url, request()).status == 200
    answer = page(stage, "/health", KEY)
    told = json.loads(answer.body)
    refused, used = told["credentials"]["east"]
    assert (answer.status, told["status"]) == (200, "degraded")
    assert (refused["state"], refused["reason"]) == ("refused", "the resource refused it")
    assert refused["since"] >= told["configuration"]["in_force_since"]
    assert used == {"state": "in use", "reason": None, "since": None}
    assert b"a-key-that-is-refused" not in answer.body
    assert azure.key("east").encode() not in answer.body


def test_a_key_that_cannot_be_read(stage: Stage, azure: Handle, tmp_path: Path) -> None:
    """Where it should be, and since when it is missing; other regions serve meanwhile."""
    stage.play(with_keys(azure, f"file:{tmp_path}/nowhere"))
    eventually(lambda: health(stage)["credentials"]["east"][0]["since"] is not None)
    told = health(stage)
    (key,) = told["credentials"]["east"]
    assert told["status"] == "degraded"
    assert key["state"] == "missing"
    assert key["reason"] == f"the secret file {tmp_path}/nowhere cannot be read: No such file or directory"
    assert ask(stage.url, request()).status == 200
