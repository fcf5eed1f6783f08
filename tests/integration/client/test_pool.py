"""A pool of clients over one fleet."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.contract import world

from smalt import AzureOpenAIClientPool, AzureOpenAISettings
from smalt import get_azure_openai_completion as complete
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(azure: Handle) -> AzureOpenAISettings:
    return AzureOpenAISettings(endpoint=azure.url("east"), api_key=azure.key("east"))


def test_req_0_13_round_robin(settings: AzureOpenAISettings) -> None:
    """None is made before it is asked for; ten gets give each of the five twice, in turn."""
    pool = AzureOpenAIClientPool(settings=settings)
    assert (pool.pool_size, pool.clients, pool.current_index) == (5, [], 0)
    given = [pool.get_client() for _ in range(10)]
    assert given[:5] == given[5:] == pool.clients
    assert len({id(client) for client in given}) == 5
    assert len({id(client.fleet) for client in pool.clients}) == 1
    close(pool)


def close(pool: AzureOpenAIClientPool) -> None:
    for client in pool.clients:
        client.close()


def test_req_0_13_unconfigured(caplog: pytest.LogCaptureFixture, azure: Handle) -> None:
    """None and a warning, until there are settings."""
    later = AzureOpenAISettings()
    pool = AzureOpenAIClientPool(settings=later)
    assert pool.get_client() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    later.endpoint, later.api_key = azure.url("east"), azure.key("east")
    client = pool.get_client()
    assert client is not None
    client.close()


def test_req_0_13_calls_spread_over_the_fleets_upstreams(azure: Handle, tmp_path: Path) -> None:
    """With a smalt.yaml here, calls of the pool's clients reach every region, and a lost one costs none."""
    told = world.written(azure, models={"gpt-4o": {"strategy": "round_robin"}})
    (tmp_path / "smalt.yaml").write_text(json.dumps(told))  # JSON is YAML
    pool = AzureOpenAIClientPool()
    for _ in range(10):
        complete(pool.get_client(), "gpt-4o", HELLO)
    assert Counter(entry["resource"] for entry in azure.log()) == {"east": 5, "sweden": 5}
    azure.set("east", "down")
    for _ in range(10):
        assert complete(pool.get_client(), "gpt-4o", HELLO).choices
    close(pool)


def test_threads_share_a_pool(settings: AzureOpenAISettings) -> None:
    """Each client is made once and given equally often."""
    pool = AzureOpenAIClientPool(3, settings)
    with ThreadPoolExecutor(8) as threads:
        given = Counter(map(id, threads.map(lambda _: pool.get_client(), range(30))))
    assert sorted(given.values()) == [10, 10, 10]
    close(pool)


def test_a_client_may_be_closed(azure: Handle, settings: AzureOpenAISettings) -> None:
    """The others go on, and when its turn comes it is replaced; the fleet stays the same."""
    settings.gpt4o_deployment_name = "gpt-4o-prod"
    pool = AzureOpenAIClientPool(2, settings)
    first, second = pool.get_client(), pool.get_client()
    assert first is not None
    first.close()
    assert complete(second, "gpt-4o", HELLO).choices
    for _ in range(4):
        client = pool.get_client()
        assert client is not None
        with client:
            assert complete(client, "gpt-4o", HELLO).choices
    assert len(pool.clients) == 2
    assert first.fleet.usage()["default/gpt-4o-prod"].calls == len(azure.log()) == 5


def test_a_pool_without_room() -> None:
    """It is refused where it is made."""
    with pytest.raises(ValueError, match="pool_size must be 1 or more, not 0"):
        AzureOpenAIClientPool(0)
