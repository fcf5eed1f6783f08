"""What a request costs in CPU through the gateway, and a streamed chunk, compared with nginx as plain proxy.

Both are held on the first core, and forward to the same two servers: an nginx that answers from memory, and
one that streams at a steady pace. These and the load are held on the last core. They take turns, a second or
two each; told are medians over rounds. Exit code 1 above a goal.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median

import uvloop
from bench import nginx, proxies, streams, wrk
from bench.cpu import cpu_s, on_core
from bench.debian import Missing
from bench.proxies import KEY, Proxy

GOALS = {"request": 3.5, "chunk": 1.5}
ROUNDS, QUICK_ROUNDS = 9, 3
SECONDS = 1  # of load, in a round
STREAMS, CHUNKS = 50, 200  # of a round
REQUEST = nginx.REQUEST.replace(b"api-key: east-key", f"api-key: {KEY}".encode())


@contextmanager
def behind() -> Iterator[tuple[int, int]]:
    """The servers that answer; their ports. Raises Missing."""
    port = nginx.free_port()
    with on_core(-1), nginx.started(nginx.find(), port, nginx.ANSWERS), streams.serving() as streamed:
        yield port, streamed


def request_us(proxy: Proxy, load: wrk.Wrk) -> float:
    before_s = cpu_s(proxy.pid)
    sent = load.run(proxy.port, connections=nginx.CONNECTIONS, seconds=SECONDS, request=REQUEST)
    return 1e6 * (cpu_s(proxy.pid) - before_s) / sent.requests


def chunk_us(proxy: Proxy) -> float:
    """With its share of what the whole stream costs."""
    before_s = cpu_s(proxy.pid)
    reading = streams.read_all(proxy.port, KEY, streams=STREAMS, chunks=CHUNKS, size=nginx.REQUEST_BYTES)
    came = uvloop.run(reading)
    return 1e6 * (cpu_s(proxy.pid) - before_s) / came


def measure(compared: Sequence[Proxy], load: wrk.Wrk, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """By kind and proxy: microseconds, and the ratio to the first of them."""
    first = compared[0].name
    cost = {"request": lambda proxy: request_us(proxy, load), "chunk": chunk_us}
    found = {}
    for kind, one in cost.items():
        taken = []
        for number in range(rounds):
            taken.append({proxy.name: one(proxy) for proxy in compared})
            sys.stderr.write(f"\r{kind}: round {number + 1} of {rounds}")
        sys.stderr.write("\r\33[K")
        found[kind] = {
            proxy.name: {
                "us": median(taken_us[proxy.name] for taken_us in taken),
                "ratio": median(taken_us[proxy.name] / taken_us[first] for taken_us in taken),
            }
            for proxy in compared
        }
    return found


def told(found: dict[str, dict[str, dict[str, float]]]) -> str:
    return "".join(
        f"gateway: {kind}: {by['smalt']['us']:.1f} us of CPU, {by['smalt']['ratio']:.2f} of nginx's "
        f"{by['nginx']['us']:.1f} us (the goal is {GOALS[kind]})\n"
        for kind, by in found.items()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="What the gateway costs, compared with nginx.")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds instead of {ROUNDS}")
    asked = parser.parse_args()
    with ExitStack() as stack:
        try:
            load = wrk.found()
            ports = stack.enter_context(behind())
        except Missing as missing:
            sys.stderr.write(f"{missing}\n")
            return 0
        with on_core(0):
            compared = [stack.enter_context(start(*ports)) for start in (proxies.plain_nginx, proxies.smalt)]
        with on_core(-1):
            found = measure(compared, load, QUICK_ROUNDS if asked.quick else ROUNDS)
    sys.stdout.write(json.dumps(found) + "\n" if asked.json else told(found))
    return int(any(by["smalt"]["ratio"] > GOALS[kind] for kind, by in found.items()))


if __name__ == "__main__":
    sys.exit(main())
