"""What all decisions about one call cost in CPU, compared with nginx forwarding one request.

A call is opened, sent to one of six upstreams with limits on, answered and finished: everything `smalt.core`
does for a request that goes well. Both take turns on one core, some ten milliseconds each, so that what
disturbs one disturbs the other; told are medians over rounds. Exit code 1 above the goal. Without nginx the
absolute figure is all there is.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import cycle, repeat
from statistics import median

from bench.cpu import on_core
from bench.debian import Missing
from bench.nginx import Nginx, running

from smalt.core.call import Relay, Send, Wait
from smalt.core.engine import Engine
from smalt.core.settings import EngineSettings, PoolSpec, RouteSpec, UpstreamSpec
from smalt.types import Facts, Failure, FailureKind, Operation, QuotaHints, Usage

GOAL_RATIO = 0.5
ROUNDS = 9
TURNS = 20  # of one round
CALLS = 1_024  # of one turn; as many requests of nginx
SIMULATED_CALLS = 100_000
BETWEEN_S = 0.01  # of the engine's time, from call to call
DEADLINE_S = 600.0

MODEL = "gpt-4o"
NAMES = tuple(f"{resource}/{MODEL}" for resource in ("east", "west", "north", "south", "france", "japan"))
LIMIT_TPM, LIMIT_RPM = 1_000_000, 6_000  # of each: the calls below use 70 % of the fleet's tokens
FACTS = Facts(Operation.CHAT, MODEL, prompt_bytes=2_048, max_tokens=200)
USAGE = Usage(input_tokens=500, output_tokens=200)
HINTS = tuple(  # what Azure says remains while the calls of a turn go round the upstreams
    QuotaHints(LIMIT_TPM, LIMIT_TPM - 700 * (number // len(NAMES) + 1)) for number in range(CALLS)
)
GOES_ON = (Send, Wait)
WELL = (None,) * 249
REFUSED = Failure(FailureKind.QUOTA, "Rate limit is exceeded.", 429, wait_s=6.0)
BROKEN = Failure(FailureKind.SERVER, "The server had an error.", 500)
SIMULATED = (*WELL, REFUSED, *WELL, BROKEN)  # how attempts go, over and over


def fleet() -> Engine:
    upstreams = {name: UpstreamSpec(name, MODEL, limit_tpm=LIMIT_TPM, limit_rpm=LIMIT_RPM) for name in NAMES}
    return Engine(EngineSettings(upstreams, {MODEL: RouteSpec(MODEL, (PoolSpec((NAMES,)),))}))


def one_call(
    engine: Engine, outcomes: Iterator[Failure | None], hints: Iterator[QuotaHints], now: float
) -> float:
    """Drive a call to its end; returns the engine's time then. `outcomes`: how its attempts go."""
    call = engine.open_call(FACTS, unit=0.5, deadline_s=now + DEADLINE_S)
    while isinstance(step := call.next(now), GOES_ON):
        if isinstance(step, Wait):
            now = step.until_s
        else:
            call.record(next(outcomes), now, next(hints))
    if not isinstance(step, Relay):
        raise SystemExit(f"a call was not answered: {step}")
    call.finish(USAGE, now)
    return now


def calls_s(count: int, outcomes: Iterable[Failure | None]) -> float:
    """CPU time of so many calls, one after the other, on a new fleet."""
    engine, coming, hints, now = fleet(), iter(outcomes), cycle(HINTS), 0.0
    before_s = time.process_time()
    for _ in range(count):
        now = one_call(engine, coming, hints, now + BETWEEN_S)
    return time.process_time() - before_s


def one_round(nginx: Nginx | None) -> tuple[float, float]:
    """CPU time of a core call and of a request through nginx, in microseconds."""
    core_s = nginx_s = 0.0
    for _ in range(TURNS):
        core_s += calls_s(CALLS, repeat(None))
        nginx_s += nginx.cpu_s(CALLS) if nginx else 0.0
    each_us = 1e6 / (TURNS * CALLS)
    return core_s * each_us, nginx_s * each_us


def measure(nginx: Nginx | None) -> dict[str, float | None]:
    """Medians, and the seconds a simulation takes; None without nginx."""
    rounds = [one_round(nginx) for _ in range(ROUNDS)]
    return {
        "core_us": median(core_us for core_us, _ in rounds),
        "nginx_us": median(nginx_us for _, nginx_us in rounds) if nginx else None,
        "ratio": median(core_us / nginx_us for core_us, nginx_us in rounds) if nginx else None,
        "goal_ratio": GOAL_RATIO,
        "simulated_calls": SIMULATED_CALLS,
        "simulated_s": calls_s(SIMULATED_CALLS, cycle(SIMULATED)),
    }


def told(found: dict[str, float | None]) -> str:
    compared = f"no ratio: its goal is {GOAL_RATIO} of nginx's"
    if found["ratio"] is not None:
        compared = f"{found['ratio']:.2f} of nginx's {found['nginx_us']:.1f} us (the goal is {GOAL_RATIO})"
    return (
        f"core: {found['core_us']:.1f} us of CPU a call, {compared}\n"
        f"core: {found['simulated_s']:.1f} s of CPU for {SIMULATED_CALLS:,} simulated calls, some failing\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="What the core costs, compared with nginx.")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    as_json = parser.parse_args().json
    with ExitStack() as stack:
        stack.enter_context(on_core(0))
        nginx = None
        try:
            nginx = stack.enter_context(running())
        except Missing as missing:
            sys.stderr.write(f"{missing}\n")
        found = measure(nginx)
    sys.stdout.write(json.dumps(found) + "\n" if as_json else told(found))
    return int(found["ratio"] is not None and found["ratio"] > GOAL_RATIO)


if __name__ == "__main__":
    sys.exit(main())
