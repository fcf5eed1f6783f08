"""Azure Resource Manager, asked over TLS with tokens from the real azure-identity."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import openai
import pytest
from tests.integration.emulator.identity.conftest import Azure

MANAGEMENT = "https://management.azure.com/.default"
OLDER = "https://management.core.windows.net//.default"
HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello there"}]

Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def arm(azure_world: Azure) -> Ask:
    """Ask as a principal; gives status and body. `path`: below the subscription, or from the root with //."""
    context = ssl.create_default_context(cafile=azure_world.handle.ca_file)
    account = azure_world.state["resources"]["east"]["id"]
    subscription = "/".join(account.split("/")[:3])

    def ask(
        path: str, *, who: str = "operator", scope: str = MANAGEMENT, version: str = "2024-10-01", **body: str
    ) -> tuple[int, dict[str, Any]]:
        with azure_world.credential(who) as credential:
            token = credential.get_token(scope).token
        path = path.removeprefix("/") if path.startswith("//") else f"{subscription}/{path}"
        request = urllib.request.Request(  # noqa: S310  # the emulator's own address
            f"{azure_world.url('arm')}{path}{'?api-version=' if version else ''}{version}",
            headers={"authorization": f"Bearer {token}"},
            method="POST" if body or path.endswith("Keys") else "GET",
            data=json.dumps(body).encode() if body else None,
        )
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    return ask


ACCOUNTS = "providers/Microsoft.CognitiveServices/accounts"
EAST = f"resourceGroups/emulator/{ACCOUNTS}/east"


@pytest.mark.parametrize("path", [ACCOUNTS, f"resourcegroups/EMULATOR/{ACCOUNTS.lower()}"])
def test_accounts(arm: Ask, azure_world: Azure, path: str) -> None:
    """They are listed for the subscription and the group, with the address to call; case does not matter."""
    status, told = arm(path)
    assert status == 200
    assert {one["name"]: one["properties"]["endpoint"] for one in told["value"]} == {
        name: f"{azure_world.handle.url(name)}/" for name in ("east", "sweden")
    }


def test_lists_hold_what_may_be_read(arm: Ask) -> None:
    """A role on one account shows that account, none shows nothing."""
    assert [one["name"] for one in arm(ACCOUNTS, who="app")[1]["value"]] == ["east"]
    assert arm(ACCOUNTS, who="nobody") == (200, {"value": []})
    assert arm("//subscriptions", who="app")[1]["value"] == []
    assert [one["displayName"] for one in arm("//subscriptions")[1]["value"]] == ["default"]


def test_deployments(arm: Ask) -> None:
    """Each with SKU, capacity, model, version, limits and where it spills over to."""
    _, told = arm(f"{EAST}/deployments")
    standard, provisioned = told["value"]
    assert (standard["name"], standard["sku"]) == ("gpt-4o-prod", {"name": "Standard", "capacity": 120})
    assert standard["properties"]["model"] == {"format": "OpenAI", "name": "gpt-4o", "version": "2024-11-20"}
    assert standard["properties"]["rateLimits"][1] == {"key": "token", "renewalPeriod": 60, "count": 120_000}
    assert provisioned["sku"] == {"name": "ProvisionedManaged", "capacity": 50}
    assert provisioned["properties"]["spilloverDeploymentName"] == "gpt-4o-prod"
    assert arm(f"{EAST}/deployments/GPT-4o-ptu")[1] == provisioned


def test_usage_and_quota(arm: Ask) -> None:
    """Of each pool of a region: what the fleet file grants, and what is deployed."""
    _, told = arm("providers/Microsoft.CognitiveServices/locations/eastus/usages")
    assert {one["name"]["value"]: (one["currentValue"], one["limit"]) for one in told["value"]} == {
        "OpenAI.Standard.gpt-4o": (120, 240),
        "OpenAI.ProvisionedManaged": (50, 50),
    }


def chat(azure: Azure, key: str) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=azure.handle.url("east"), api_version="2024-10-21", api_key=key, max_retries=0
    ) as client:
        client.chat.completions.create(model="gpt-4o-prod", messages=HELLO)


def test_keys_are_rotated_one_by_one(arm: Ask, azure_world: Azure) -> None:
    """The old key is refused at once, the other and the new one work."""
    assert arm(f"{EAST}/listKeys") == (200, {"key1": "east-key-1", "key2": "east-key-2"})
    status, keys = arm(f"{EAST}/regenerateKey", keyName="Key1")
    assert (status, keys["key2"]) == (200, "east-key-2")
    assert azure_world.handle.key("east") == keys["key1"] != "east-key-1"
    chat(azure_world, keys["key1"])
    chat(azure_world, "east-key-2")
    with pytest.raises(openai.AuthenticationError, match="invalid subscription key"):
        chat(azure_world, "east-key-1")
    assert [line["key"] for line in azure_world.handle.bill()["entries"]] == ["key1", "key2"]
    told = azure_world.handle.tell("resources/east/keys", keyName="Key2")
    assert told["key1"] == keys["key1"]
    assert told["key2"] not in {"east-key-2", *keys.values()}


def test_keys_can_be_disabled(arm: Ask, azure_world: Azure) -> None:
    """Then no key is taken, and none is told."""
    azure_world.handle.set("east", disable_local_auth=True)
    with pytest.raises(openai.PermissionDeniedError, match="Key based authentication is disabled"):
        chat(azure_world, "east-key-1")
    status, told = arm(f"{EAST}/listKeys")
    assert (status, told["error"]["code"]) == (400, "BadRequest")
    assert arm(EAST)[1]["properties"]["disableLocalAuth"] is True


@pytest.mark.parametrize(
    ("path", "changes", "status", "code"),
    [
        (EAST, {"who": "nobody"}, 403, "AuthorizationFailed"),
        (f"{EAST}/listKeys", {"who": "app"}, 403, "AuthorizationFailed"),
        (EAST, {"who": "stranger"}, 401, "InvalidAuthenticationTokenTenant"),
        (
            EAST,
            {"scope": "https://cognitiveservices.azure.com/.default"},
            401,
            "InvalidAuthenticationTokenAudience",
        ),
        (EAST, {"version": ""}, 400, "MissingApiVersionParameter"),
        (EAST.replace("east", "west"), {}, 404, "ResourceNotFound"),
        (EAST.replace("emulator", "other"), {}, 404, "ResourceGroupNotFound"),
        (f"{EAST}/models", {}, 404, "InvalidResourceType"),
        ("//subscriptions/other", {}, 404, "SubscriptionNotFound"),
        (f"{EAST}/regenerateKey", {"keyName": "Key3"}, 400, "InvalidParameter"),
    ],
)
def test_refusals(arm: Ask, path: str, changes: dict[str, str], status: int, code: str) -> None:
    """Each fault has ARM's own code."""
    got, told = arm(path, **changes)
    assert (got, told["error"]["code"]) == (status, code)


def test_either_audience(arm: Ask) -> None:
    """ARM's older name is still good for a token."""
    assert arm(EAST, scope=OLDER)[0] == 200
