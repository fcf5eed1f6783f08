"""Keys are made anew, tokens last seconds, the vault goes away; callers notice nothing."""

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from tests.integration.auth.conftest import application, settings_at
from tests.integration.emulator.identity.conftest import FLEET, Azure, running_azure, trust

from smalt import Fleet

TRAFFIC_S: Final = 30.0
PER_S: Final = 100
LIFETIME_S: Final = 3.0
HELLO: Final[Any] = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """With quotas that are no matter here."""
    fleet = re.sub(r"capacity: \d+", "capacity: 1000000", FLEET)
    with (
        running_azure(tmp_path_factory.mktemp("fleet"), fleet) as azure,
        pytest.MonkeyPatch.context() as patch,
    ):
        trust(azure, patch)
        yield azure


def rotating(azure: Azure) -> Fleet:
    """`by-key`: two keys, both in the vault. `by-token`: an application's tokens."""
    handle = azure.handle
    for number, name in enumerate(("aoai-key", "aoai-key-2"), start=1):
        key = handle.tell("resources/east/keys", keyName="Key2")[f"key{number}"]
        handle.tell(f"vaults/kv/secrets/{name}", value=key)
    handle.tell("roles", principal="app", role="Cognitive Services OpenAI User", scope="sweden")
    handle.tell("identity", token_lifetime_s=LIFETIME_S)
    vault, identity = f"{azure.url('kv')}/secrets", application(azure)
    return Fleet(
        settings_at(
            azure,
            {
                "east": {
                    "api_keys": [f"{vault}/aoai-key", f"{vault}/aoai-key-2"],
                    "deployments": {"gpt-4o-prod": {"model": "by-key"}},
                },
                "sweden": {"identity": identity, "deployments": {"gpt-4o-prod": {"model": "by-token"}}},
            },
            key_vault={"identity": application(azure, "operator"), "refresh_s": 2},
        )
    )


async def traffic(fleet: Fleet) -> Counter[str]:
    """Requests at a steady pace, and what became of them."""
    outcomes: Counter[str] = Counter()
    async with fleet.async_openai() as client, asyncio.TaskGroup() as group:

        async def ask(model: str) -> None:
            try:
                await client.chat.completions.create(model=model, messages=HELLO, max_tokens=5)
                outcomes[model] += 1
            except Exception as error:  # noqa: BLE001  counted
                outcomes[f"{model}: {error}"] += 1

        started_s = time.monotonic()
        for number in range(int(TRAFFIC_S * PER_S)):
            await asyncio.sleep(started_s + number / PER_S - time.monotonic())
            group.create_task(ask(("by-key", "by-token")[number % 2]))
    return outcomes


async def operations(azure: Azure) -> None:
    """What an operator does meanwhile: each key is made anew, then stored; the second while the vault is
    down, so that it is stored late."""

    async def tell(what: str, **body: object) -> dict[str, Any]:
        return await asyncio.to_thread(azure.handle.tell, what, **body)

    await asyncio.sleep(2)
    first = (await tell("resources/east/keys", keyName="Key1"))["key1"]
    await tell("vaults/kv/secrets/aoai-key", value=first)
    await asyncio.sleep(4)
    await tell("services/kv", mode="down")
    await asyncio.sleep(8)
    second = (await tell("resources/east/keys", keyName="Key2"))["key2"]
    await asyncio.sleep(12)
    await tell("services/kv", mode="up")
    await tell("vaults/kv/secrets/aoai-key-2", value=second)


@dataclass(frozen=True)
class Story:
    outcomes: Counter[str]
    took_s: float


@pytest.fixture(scope="module")
def story(azure: Azure) -> Story:
    """3,000 requests in 30 s: both keys are made anew, tokens live 3 s, the vault is down for 20 s."""

    async def run() -> Counter[str]:
        operating = asyncio.create_task(operations(azure))
        outcomes = await traffic(rotating(azure))
        await operating
        return outcomes

    azure.handle.tell("roles", principal="operator", role="Key Vault Secrets User", scope="kv")
    started_s = time.monotonic()
    return Story(asyncio.run(run()), time.monotonic() - started_s)


def test_req_1_32_rotating_keys_is_noticed_by_nobody(story: Story) -> None:
    """Not even while the vault they are in is down."""
    asked = int(TRAFFIC_S * PER_S)
    assert story.outcomes == {"by-key": asked // 2, "by-token": asked // 2}


def test_req_1_33_tokens_are_renewed_ahead_of_their_end(story: Story, azure: Azure) -> None:
    """One for each lifetime, which ends at a whole second, after 2 to 3 s; few are over on their way."""
    over = [entry for entry in azure.handle.log("sweden") if entry["status"] == 401]
    assert len(over) < 0.01 * story.outcomes["by-token"]
    assert azure.issued("app") <= math.ceil(story.took_s / 2)
