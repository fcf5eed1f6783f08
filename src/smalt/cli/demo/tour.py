"""The story itself: what happens, in order, and what must hold."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx2
import typer

from smalt.cli.processes import exit_on, needs
from smalt.errors import SmaltError

with needs("smalt demo", "openai"):
    import openai

    from smalt import AzureOpenAI, Fleet
    from smalt.cli.demo import requests
    from smalt.cli.demo.latency import Latency, measure
    from smalt.cli.demo.report import Row, Tally, plain, rows, total
    from smalt.cli.demo.requests import CROWD, Crowd
    from smalt.cli.demo.scene import Region, Scene, scene
    from smalt.cli.demo.teller import Teller

READING_MS = 25.0  # between two pieces of a stream, so that they can be seen coming


@dataclass(slots=True)
class Figures:
    """What the story adds up to. `requests`: by door, as the application counted them."""

    requests: dict[str, int] = field(default_factory=dict)
    cut: dict[str, Crowd] = field(default_factory=dict)
    latency: Latency | None = None
    faults: list[str] = field(default_factory=list)

    def expect(self, held: object, fault: str) -> None:
        if not held:
            self.faults.append(fault)


@dataclass(slots=True)
class Tour:
    """The acts share the scene, the teller and the figures."""

    scene: Scene
    teller: Teller
    figures: Figures
    tallies: list[Mapping[str, Tally]] = field(default_factory=list)

    @property
    def first(self) -> Region:
        return self.scene.emulator.regions[0]

    def opening(self) -> None:
        scene, teller = self.scene, self.teller
        regions = ", ".join(region.name for region in scene.emulator.regions)
        teller.item("emulator", f"process {scene.emulator.pid} plays Azure OpenAI in {regions}")
        teller.item(
            "gateway", f"process {scene.gateway.pid} at {scene.gateway.url}: one address for all of them"
        )
        teller.item(
            "application", f"this process: the official openai {openai.__version__} package, unmodified"
        )

    def four_things(self, client: openai.OpenAI) -> int:
        """Chat, stream, tool call, embeddings; how many requests that made."""
        teller = self.teller
        self.scene.emulator.pace(latency_ms=40, token_ms=READING_MS)
        answer = requests.chat(client, "What makes a system easy to trust?")
        teller.item("chat", answer.text, answer.told)
        stream = requests.stream(client, "How do I find the cause of a slow page?")
        teller.stream("stream", stream, stream.told)
        first_ms, last_ms = stream.first_s * 1_000, stream.last_s * 1_000
        teller.item(
            "", f"{stream.count} pieces: the first after {first_ms:.0f} ms, the last after {last_ms:.0f} ms"
        )
        self.figures.expect(stream.count > 1 and first_ms < last_ms / 2, "the stream came in one piece")
        answer = requests.tool_call(client, "Choose one of our cities and tell me how warm it is there.")
        teller.item("tool call", answer.text, answer.told)
        answer = requests.embeddings(client, ["blue glass", "smalt"])
        teller.item("embeddings", answer.text, answer.told)
        return 5

    def through_the_gateway(self, client: openai.OpenAI) -> None:
        gateway = self.scene.gateway
        self.teller.act(
            "One address, the official SDK",
            f'openai.OpenAI(base_url="{gateway.url}/v1", api_key=<gateway key>), and nothing else changes. '
            "The headers of each answer say who served it, after how many attempts, and what it cost (of a "
            "stream that is known only at its end).",
        )
        made = self.four_things(client)
        with openai.AzureOpenAI(
            azure_endpoint=gateway.url, api_key=gateway.key, api_version="2024-10-21", max_retries=0
        ) as azure:
            answer = requests.chat(azure, "And with the Azure client?")
        self.teller.item(
            "Azure client", "the same through openai.AzureOpenAI(azure_endpoint=...)", answer.told
        )
        self.figures.requests["gateway"] = made + 1

    def losing_a_region(self) -> None:
        gateway = self.scene.gateway
        self.teller.act(
            f"{self.first.name} goes dark",
            f"{CROWD} requests are waiting for their answers when {self.first.name} is cut off: connections "
            "drop, new ones are refused. The gateway sends what was lost to the other region at once. The "
            "SDK's own retries are off, so whatever succeeds here succeeds by the gateway.",
        )
        self.cut_off(
            "gateway",
            lambda: openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0),
        )
        rest_s = gateway.rests_for_s(f"{self.first.resource}/{self.first.chat}")
        again = f"the gateway asks it again in {rest_s:.0f} s" if rest_s else "the gateway uses it again"
        self.teller.item("afterwards", f"{self.first.name} is back; {again}")

    def cut_off(self, door: str, make_client: Callable[[], openai.AsyncOpenAI]) -> None:
        """The crowd, the cut, and what must be true of it."""
        emulator = self.scene.emulator
        with self.teller.working(f"{CROWD} requests, one region less ..."):
            crowd = asyncio.run(requests.crowd(make_client, emulator, self.first))
        emulator.restore(self.first)
        answered = sum(crowd.by_region.values())
        by_region = ", ".join(f"{count} by {region}" for region, count in crowd.by_region.items()) or "none"
        self.teller.item("at the cut", f"{crowd.waiting_at_cut} requests were waiting in {self.first.name}")
        self.teller.item("answered", f"{answered} of {crowd.requests}: {by_region}")
        self.teller.item(
            "rescued", f"{crowd.rescued} needed a second attempt; the application noticed nothing"
        )
        self.figures.cut[door] = crowd
        self.figures.requests[door] += crowd.requests
        for error in dict.fromkeys(crowd.errors):
            self.figures.faults.append(f"a request through the {door} failed: {error}")
        self.figures.expect(crowd.rescued, f"the cut rescued nothing through the {door}")
        self.figures.expect(
            self.first.name not in crowd.by_region, f"{self.first.name} answered after its end"
        )

    def without_a_gateway(self) -> None:
        self.teller.act(
            "The same inside the application",
            'fleet = smalt.Fleet.load("smalt.yaml"); client = fleet.openai(). The official client again, '
            "with the same decisions in its transport; no gateway takes part.",
        )
        fleet = Fleet.load(self.scene.config)
        with fleet.openai() as client:
            made = self.four_things(client)
        with AzureOpenAI(fleet=fleet) as azure:
            answer = requests.chat(azure, "And with the Azure client?")
        self.teller.item("Azure client", "the same through smalt.AzureOpenAI(fleet=fleet)", answer.told)
        self.figures.requests["library"] = made + 1
        self.cut_off("library", fleet.async_openai)
        self.tallies.append({name: Tally.of_library(sums) for name, sums in fleet.usage().items()})

    def latency(self, client: openai.OpenAI) -> None:
        self.scene.emulator.pace(latency_ms=0)
        self.teller.act(
            "What the gateway adds",
            "The same small chat, once direct to the emulator and once through the gateway, in turns. The "
            "times are the application's, with its SDK's own work; the emulator answers at once. A "
            "difference below this machine's noise may come out negative.",
        )
        latency, direct = measure(client, self.first, self.teller.rounds)
        self.teller.item("", f"{'p50':>9}{'p99':>9}   of {latency.rounds} each, in ms")
        for label, p50_ms, p99_ms in (
            ("direct", latency.direct_p50_ms, latency.direct_p99_ms),
            ("gateway", latency.gateway_p50_ms, latency.gateway_p99_ms),
            ("added", latency.added_p50_ms, latency.added_p99_ms),
        ):
            self.teller.item(label, f"{p50_ms:9.2f}{p99_ms:9.2f}")
        self.figures.latency = latency
        self.figures.requests["gateway"] += direct.answers
        self.figures.requests["direct"] = direct.answers
        self.tallies.append({f"{self.first.resource}/{self.first.chat}": direct})

    def settling_up(self) -> list[Row]:
        gateway = {name: Tally.of_gateway(row) for name, row in self.scene.gateway.usage().items()}
        self.tallies.append(gateway)
        made, figures = self.figures.requests, self.figures
        by_door = ", ".join(f"{count} {door}" for door, count in made.items())
        self.teller.act(
            "The bill",
            "The tokens (input+output) smalt counted, and beside them what the emulator, which shares no "
            "code with it, would have Azure bill. Lost attempts cost nothing. USD leaves out the direct "
            "requests of the comparison: smalt never saw them.",
        )
        table = rows(self.tallies, self.scene.emulator.bill())
        self.teller.bill(table)
        self.teller.item("requests", f"{sum(made.values())}: {by_door}")
        if latency := figures.latency:
            added = f"{latency.added_p50_ms:.2f} ms (p50), {latency.added_p99_ms:.2f} ms (p99)"
            self.teller.item("added latency", f"{added}, by the gateway")
        for row in table:
            figures.expect(row.equal, f"{row.upstream}: counted {row.ours}, billed {row.billed}")
        answers = total(row.ours for row in table).answers
        figures.expect(
            answers == sum(made.values()), f"{answers} answers were counted for {sum(made.values())} requests"
        )
        return table


def run(seed: int, *, as_json: bool) -> None:
    """Tell it from start to end. Exit code 1 if anything did not hold."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in its background
    exit_on(signal.SIGTERM, code=128 + signal.SIGTERM)
    started_s = time.monotonic()
    teller = Teller(quiet=as_json)
    figures = Figures()
    try:
        table = _play(seed, teller, figures)
    except (openai.OpenAIError, httpx2.HTTPError) as error:
        raise SmaltError(f"the demo broke off: {type(error).__name__}: {error}") from None
    seconds = time.monotonic() - started_s
    teller.end(figures.faults, seconds)
    if as_json:
        print(json.dumps(document(figures, table, seconds), indent=2))
    if figures.faults:
        raise typer.Exit(1)


def _play(seed: int, teller: Teller, figures: Figures) -> list[Row]:
    teller.act("The scene", "All of it runs on this machine: no account, no network, no cost.")
    with teller.working("starting an emulator of Azure and a gateway ...") as status, scene(seed) as stage:
        status.stop()
        tour = Tour(stage, teller, figures)
        tour.opening()
        with openai.OpenAI(
            base_url=f"{stage.gateway.url}/v1", api_key=stage.gateway.key, max_retries=0
        ) as client:
            tour.through_the_gateway(client)
            tour.losing_a_region()
            tour.without_a_gateway()
            tour.latency(client)
        return tour.settling_up()


def document(figures: Figures, table: list[Row], seconds: float) -> dict[str, Any]:
    """All figures, for scripts."""
    latency = figures.latency
    ours = total(row.ours for row in table)
    return {
        "ok": not figures.faults,
        "faults": figures.faults,
        "seconds": round(seconds, 1),
        "requests": {**figures.requests, "all": sum(figures.requests.values())},
        "cut": {door: asdict(crowd) for door, crowd in figures.cut.items()},
        "latency": latency
        and {**asdict(latency), "added_p50_ms": latency.added_p50_ms, "added_p99_ms": latency.added_p99_ms},
        "cost_usd": plain(ours.cost_usd),
        "upstreams": {
            row.upstream: {
                **asdict(row.ours),
                "cost_usd": plain(row.ours.cost_usd),
                "billed": asdict(row.billed),
                "equal": row.equal,
            }
            for row in table
        },
    }
