"""What a call costs in CPU through smalt's client, compared with the SDK's own client.

Both clients live in this process and call the same emulator, which has a process of its own. They take turns,
some calls each, so that what disturbs one disturbs the other. Per kind of call: the median over rounds of the
ratio of their CPU times. Exit code 1 if one of them is above the goal.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import openai
from bench.azure import DEPLOYMENT, EMBEDDING_DEPLOYMENT, EMBEDDING_MODEL, KEY, MODEL, emulated
from bench.cpu import on_core

import smalt

GOAL_RATIO = 1.05
ROUNDS = 15
TURNS = 6  # of one round
CALLS = 10  # of one turn of one client
VERSION = "2024-10-21"
CHAT = {
    "model": DEPLOYMENT,
    "messages": [{"role": "user", "content": "Tell me what a call costs. " * 75}],
    "max_tokens": 200,
}
VECTORS = {"model": EMBEDDING_DEPLOYMENT, "input": ["Tell me what a call costs."]}

Ask = Callable[[int], None]  # makes so many calls


def chat(client: Any) -> Ask:
    def ask(calls: int) -> None:
        for _ in range(calls):
            client.chat.completions.create(**CHAT)

    return ask


def stream(client: Any) -> Ask:
    def ask(calls: int) -> None:
        for _ in range(calls):
            for _chunk in client.chat.completions.create(stream=True, **CHAT):
                pass

    return ask


def embeddings(client: Any) -> Ask:
    def ask(calls: int) -> None:
        for _ in range(calls):
            client.embeddings.create(**VECTORS)

    return ask


def async_chat(client: Any, loop: asyncio.Runner) -> Ask:
    async def ask(calls: int) -> None:
        for _ in range(calls):
            await client.chat.completions.create(**CHAT)

    return lambda calls: loop.run(ask(calls))


def one_round(bare: Ask, ours: Ask) -> tuple[float, float]:
    """CPU time of a call by the SDK's client and by ours, in microseconds."""
    spent_s = {bare: 0.0, ours: 0.0}
    for _ in range(TURNS):
        for ask in spent_s:
            before_s = time.process_time()
            ask(CALLS)
            spent_s[ask] += time.process_time() - before_s
    each_us = 1e6 / (TURNS * CALLS)
    return spent_s[bare] * each_us, spent_s[ours] * each_us


def measure(bare: Ask, ours: Ask) -> dict[str, float]:
    """Medians over rounds."""
    one_round(bare, ours)  # connections, caches
    rounds = [one_round(bare, ours) for _ in range(ROUNDS)]
    return {
        "sdk_us": median(bare_us for bare_us, _ in rounds),
        "smalt_us": median(ours_us for _, ours_us in rounds),
        "ratio": median(ours_us / bare_us for bare_us, ours_us in rounds),
    }


@contextmanager
def kinds(url: str) -> Iterator[dict[str, tuple[Ask, Ask]]]:
    """Every kind of call: as the SDK's client makes it, and as ours does."""
    sdk: dict[str, Any] = {"azure_endpoint": url, "api_key": KEY, "api_version": VERSION, "max_retries": 0}
    deployments = {
        DEPLOYMENT: {"model": MODEL, "quota_tpm": "1000m"},
        EMBEDDING_DEPLOYMENT: {"model": EMBEDDING_MODEL, "quota_tpm": "1000m"},
    }
    east = {"endpoint": url, "api_keys": [KEY], "deployments": deployments}
    settings = smalt.Settings.model_validate({"resources": {"east": east}})
    with smalt.Fleet(settings) as fleet, asyncio.Runner() as loop, openai.AzureOpenAI(**sdk) as bare:
        ours, bare_async, ours_async = (
            fleet.azure_openai(),
            openai.AsyncAzureOpenAI(**sdk),
            fleet.async_azure_openai(),
        )
        yield {
            "chat": (chat(bare), chat(ours)),
            "stream": (stream(bare), stream(ours)),
            "embeddings": (embeddings(bare), embeddings(ours)),
            "async chat": (async_chat(bare_async, loop), async_chat(ours_async, loop)),
        }
        loop.run(bare_async.close())
        loop.run(ours_async.close())


def told(kind: str, found: dict[str, float]) -> str:
    return (
        f"library: {kind}: {found['smalt_us']:,.0f} us of CPU a call, {found['ratio']:.3f} of the SDK's "
        f"{found['sdk_us']:,.0f} us (the goal is {GOAL_RATIO})\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="What smalt's client costs, compared with the SDK's.")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    as_json = parser.parse_args().json
    found = {}
    with emulated() as azure, on_core(-1), kinds(azure.url) as asks:
        for kind, (bare, ours) in asks.items():
            found[kind] = measure(bare, ours)
            if not as_json:
                sys.stdout.write(told(kind, found[kind]))
    if as_json:
        sys.stdout.write(json.dumps({"goal_ratio": GOAL_RATIO, **found}) + "\n")
    return int(any(one["ratio"] > GOAL_RATIO for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())
