"""The gateway's own pages keep to their description, whatever they are asked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from starlette.routing import Route
from tests.contract import world
from tests.contract.gateways import ADMIN_KEY, KEY, Adapter, Stage
from tests.integration.gateway.raw import Answer, ask, head, request

from smalt.emulator.testing import Handle
from smalt.gateway.openapi import PATH, description
from smalt.gateway.pages import pages

MAX_EXAMPLES = 4  # by page
ALIKE = "^/(openai|health/)"  # served by the same code as what is left
CONFIG = f"""
[[operations]]
include-path-regex = "^/admin"
headers = {{ Authorization = "Bearer {ADMIN_KEY}" }}

[[operations]]
include-path-regex = "models"
headers = {{ Authorization = "Bearer {KEY}" }}
checks.unsupported_method.enabled = false  # the surfaces' word is unsupported_operation
"""


@pytest.fixture
def hot(stages: dict[Adapter, Stage], azure: Handle) -> Stage:
    """With a call behind it that was answered elsewhere, so that the pages have something to say."""
    azure.set("east", "error", error="server_error")
    stage = stages["hot"]
    stage.play(world.settings(azure, models={"gpt-4o": {"route": ["east", "sweden"]}}))
    assert ask(stage.url, request()).status == 200
    return stage


def page(stage: Stage, target: str, key: str | None = ADMIN_KEY, method: str = "GET") -> Answer:
    return ask(stage.url, head(target=target, method=method, key=key), method=method)


def test_every_page_is_described(hot: Stage) -> None:
    """And nothing is that is not there."""
    assert hot._current
    routes = [route for route in pages(hot._current).routes if isinstance(route, Route)]
    served = {route.path.replace(":path", ""): route.methods for route in routes}
    assert served.keys() == description()["paths"].keys()
    assert all(methods == {"GET", "HEAD"} for methods in served.values())


def test_the_description_is_a_page_of_the_admin(hot: Stage) -> None:
    """As all below its path."""
    assert json.loads(page(hot, PATH).body) == description()
    assert page(hot, PATH, KEY).status == page(hot, PATH, None).status == 401


def kept(stage: Stage, target: str) -> Any:
    """A page's status and body, which its description allows, and of which it leaves nothing out."""
    answer, told = page(stage, target), description()
    schema = told["paths"][target]["get"]["responses"][str(answer.status)]["content"]["application/json"][
        "schema"
    ]
    body = json.loads(answer.body)
    jsonschema_rs.validate({**schema, "components": told["components"]}, body)
    if schema["type"] == "object":
        assert body.keys() == schema["properties"].keys()
    return answer.status, body


def test_pages_in_trouble_are_as_described(hot: Stage, azure: Handle) -> None:
    """While a model has nobody, and while somebody is at work."""
    for name in world.REGIONS:
        azure.set(name, "error", error="invalid_api_key")
    assert ask(hot.url, request()).status == 502
    status, body = kept(hot, "/ready")
    assert (status, body["status"]) == (503, "not ready")
    assert "gpt-4o" in body["models_without_upstream"]
    status, body = kept(hot, "/health")
    assert (status, body["status"]) == (503, "unavailable")
    _, rows = kept(hot, "/admin/v1/upstreams")
    assert any(row["reason"] for row in rows)
    _, usage = kept(hot, "/admin/v1/usage")
    assert usage["errors"] == 1
    assert usage["upstreams"]["sweden/gpt-4o-prod"]["calls"] == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_page_is_only_read(hot: Stage, method: str) -> None:
    """What it takes is told."""
    answer = page(hot, "/admin/v1/upstreams", method=method)
    assert (answer.status, answer.error["code"]) == (405, "405")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_schemathesis_finds_nothing(hot: Stage, tmp_path: Path) -> None:
    """Every page, right and wrong keys, methods, parameters: only what is described, and no fault of ours."""
    file, config = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    file.write_bytes(page(hot, PATH).body)
    config.write_text(CONFIG)
    command = Path(sys.executable).with_name("st")
    phases = ["--exclude-path-regex", ALIKE, "--phases", "coverage,fuzzing"]
    options = [*phases, "--max-examples", str(MAX_EXAMPLES), "--seed", "1", "--no-color"]
    done = subprocess.run(
        [command, "--config-file", config, "run", file, "--url", hot.url, *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout
