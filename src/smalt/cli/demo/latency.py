"""What the gateway adds to a request: the same one, once direct and once through it, in turns."""

import gc
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import openai

from smalt.cli.demo.report import Tally
from smalt.cli.demo.scene import CHAT_MODEL, Region

WARM_UP = 20
ROUNDS = 300


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds as the application sees them, its SDK's own work included."""

    rounds: int
    direct_p50_ms: float
    direct_p99_ms: float
    gateway_p50_ms: float
    gateway_p99_ms: float

    @property
    def added_p50_ms(self) -> float:
        return round(self.gateway_p50_ms - self.direct_p50_ms, 2)

    @property
    def added_p99_ms(self) -> float:
        return round(self.gateway_p99_ms - self.direct_p99_ms, 2)


def measure(
    gateway: openai.OpenAI, region: Region, rounds: Callable[[Sequence[int]], Iterable[int]]
) -> tuple[Latency, Tally]:
    """The latencies, and what the direct requests used: smalt never saw those. `rounds` may show progress."""
    used = Tally()
    direct_ms: list[float] = []
    gateway_ms: list[float] = []
    with openai.AzureOpenAI(
        azure_endpoint=region.endpoint, api_key=region.api_key, api_version="2024-10-21", max_retries=0
    ) as direct:
        gc.disable()  # its pauses in this process would be taken for latency
        for number in rounds(range(WARM_UP + ROUNDS)):
            took_ms, answer = _timed(direct, region.chat)
            used.add_answer(answer.usage)
            through_ms, _ = _timed(gateway, CHAT_MODEL)
            if number >= WARM_UP:
                direct_ms.append(took_ms)
                gateway_ms.append(through_ms)
        gc.enable()
    latency = Latency(
        ROUNDS,
        *(round(percentile(values, share), 2) for values in (direct_ms, gateway_ms) for share in (0.5, 0.99)),
    )
    return latency, used


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def _timed(client: openai.OpenAI, model: str) -> tuple[float, openai.types.chat.ChatCompletion]:
    started_s = time.perf_counter()
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Say yes or no."}], max_tokens=4
    )
    return (time.perf_counter() - started_s) * 1_000, answer
