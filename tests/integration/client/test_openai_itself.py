"""OpenAI beside Azure: off unless it is enabled by a route."""

from pathlib import Path
from typing import Any

import openai
import pytest

from smalt import Fleet
from smalt.config import from_data
from smalt.emulator.testing import Handle
from smalt.errors import ConfigurationError

pytestmark = pytest.mark.sdk


def fleet(azure: Handle, **sections: Any) -> Fleet:
    """Azure is the east; sweden, asked on its v1 surface, plays OpenAI."""
    east = {
        "endpoint": azure.url("east"),
        "api_keys": [azure.key("east")],
        "deployments": {"gpt-4o-prod": {"model": "gpt-4o"}},
    }
    itself = {
        **east,
        "kind": "openai",
        "endpoint": f"{azure.url('sweden')}/openai/v1",
        "api_keys": [azure.key("sweden")],
    }
    return Fleet(from_data({"resources": {"east": east, "openai": itself}, **sections}))


def ask(fleet: Fleet) -> str:
    """Who answered."""
    with fleet.openai() as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Hello?"}]
        )
    return str(raw.headers["x-smalt-upstream"])


def test_req_3_19_openai_itself_is_off_unless_a_route_names_it(azure: Handle) -> None:
    """Its key may be there: without a route the answer is Azure's, or an error."""
    azure.set("east", mode="down")
    with pytest.raises(openai.APIStatusError) as caught:
        ask(fleet(azure, retry={"max_attempts": 2, "base_s": 0, "jitter_s": 0}))
    assert caught.value.code == "no_upstream_available"
    assert azure.log("sweden") == []


def test_req_3_19_openai_itself_serves_where_a_route_names_it(azure: Handle) -> None:
    """After Azure, if it stands after Azure."""
    enabled = fleet(azure, models={"gpt-4o": {"route": ["east/gpt-4o-prod", "openai/gpt-4o-prod"]}})
    assert ask(enabled) == "east/gpt-4o-prod"
    azure.set("east", mode="down")
    assert ask(enabled) == "openai/gpt-4o-prod"
    assert [entry["status"] for entry in azure.log("sweden")] == [200]


def test_req_3_19_a_key_of_openai_in_the_environment_enables_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a setting of Azure's there is no fleet."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_ENDPOINT"):
        Fleet.load(env={"OPENAI_API_KEY": "example"})
