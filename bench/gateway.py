"""What the gateway costs, compared with nginx as plain proxy: CPU of a request and of a streamed chunk, added
latency, memory. With PEERS=1 in the environment other gateways are measured too.

All are held on the first core, and forward to the same server: an nginx that answers from memory, or passes
on streams that come at a steady pace. The server and the load are held on the last core. Proxies take turns,
a second or two each; told are medians over rounds. Exit code 1 if a goal is missed.
"""

import argparse
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import nan
from statistics import median

import uvloop
from bench import asked, nginx, page, peers, proxies, streams, wrk
from bench.cpu import cpu_s, on_core
from bench.debian import Missing
from bench.proxies import Proxy

ROUNDS, QUICK_ROUNDS = 9, 3
STREAMS, CHUNKS = 50, 200  # of a round
OPEN_STREAMS = 1_000
LONG = 100_000  # chunks: such a stream does not end while memory is looked at
REQUESTS, QUICK_REQUESTS = 100_000, 20_000  # after which memory is looked at again
GOALS = {  # of smalt
    "request_ratio": 3.5,
    "chunk_ratio": 1.5,
    "idle_mib": 75.0,
    "stream_kib": 40.0,
    "grown_mib": 2.0,  # an allocator's noise: 20 bytes a request
}

Found = dict[str, dict[str, float]]  # figures by proxy
Load = wrk.Wrk | wrk.Sockets


def progress(text: str) -> None:
    sys.stderr.write(f"\r\33[K{text}")
    sys.stderr.flush()


@contextmanager
def behind() -> Iterator[int]:
    """The server that answers; its port. Raises Missing."""
    port = nginx.free_port()
    with on_core(-1), streams.serving() as streamed:
        rules = f"{nginx.ANSWERS} {nginx.STREAMS}"
        with nginx.started(nginx.find(), port, rules, {"streams": streamed}):
            yield port


def request_us(proxy: Proxy, load: Load) -> float:
    before_s = cpu_s(proxy.pid)
    request = asked.whole(proxy.path)
    sent = load.run(proxy.port, connections=nginx.CONNECTIONS, seconds=proxy.seconds, request=request)
    return 1e6 * (cpu_s(proxy.pid) - before_s) / sent.requests


def chunk_us(proxy: Proxy) -> float:
    """With its share of what the whole stream costs."""
    before_s = cpu_s(proxy.pid)
    came = uvloop.run(streams.read_all(proxy.port, asked.streamed(proxy.path, CHUNKS), STREAMS))
    if came < STREAMS * CHUNKS:
        raise SystemExit(f"{proxy.name}: {came} chunks in place of {STREAMS * CHUNKS}")
    return 1e6 * (cpu_s(proxy.pid) - before_s) / came


def warm_up(proxy: Proxy) -> None:
    """The first answers take other gateways seconds."""
    for request in (asked.whole(proxy.path), asked.streamed(proxy.path, CHUNKS)):
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=streams.PATIENCE_S) as peer:
            peer.sendall(request)
            if not (answer := peer.recv(65_536)).startswith(b"HTTP/1.1 200 "):
                raise SystemExit(f"{proxy.name}: not answered: {answer.decode(errors='replace')[:500]}")


def ratios(kind: str, compared: Sequence[Proxy], cost_us: Callable[[Proxy], float], rounds: int) -> Found:
    """Medians by proxy: microseconds, and the ratio to nginx's of the same round."""
    taken = list[dict[str, float]]()
    for number in range(rounds):
        progress(f"{kind}: round {number + 1} of {rounds}")
        taken.append({proxy.name: cost_us(proxy) for proxy in compared})
    return {
        proxy.name: {
            f"{kind}_us": median(one[proxy.name] for one in taken),
            f"{kind}_ratio": median(one[proxy.name] / one["nginx"] for one in taken),
        }
        for proxy in compared
    }


def added(port: int, compared: Sequence[Proxy], load: Load, rounds: int) -> Found:
    """Medians by proxy: how much longer a request takes than without a proxy, one at a time."""
    direct = Proxy("direct", port, 0, asked.AZURE)
    taken = list[dict[str, tuple[int, int]]]()
    for number in range(rounds):
        progress(f"latency: round {number + 1} of {rounds}")
        sent = {
            proxy.name: load.run(
                proxy.port, connections=1, seconds=proxy.seconds, request=asked.whole(proxy.path)
            )
            for proxy in (direct, *compared)
        }
        taken.append({name: (one.p50_us, one.p99_us) for name, one in sent.items()})

    def more_us(name: str, which: int) -> float:
        return median(one[name][which] - one["direct"][which] for one in taken)

    return {
        proxy.name: {"added_p50_us": more_us(proxy.name, 0), "added_p99_us": more_us(proxy.name, 1)}
        for proxy in compared
    }


def stream_kib(proxy: Proxy) -> float:
    """Memory that an open stream takes; not a number where so many could not be opened in time."""
    progress(f"memory: {OPEN_STREAMS:,} streams through {proxy.name}")
    before_mib = proxy.memory_mib()
    try:
        with streams.held(proxy.port, asked.streamed(proxy.path, LONG), OPEN_STREAMS):
            return proxies.MIB * (proxy.memory_mib() - before_mib) / OPEN_STREAMS
    except TimeoutError:
        return nan


def grown_mib(proxy: Proxy, load: Load, requests: int) -> float:
    """Memory after so many requests, beyond that after the first tenth of them."""

    def send(count: int) -> float:
        while count > 0:
            progress(f"memory: {count:,} requests to go")
            request = asked.whole(proxy.path)
            count -= load.run(
                proxy.port, connections=nginx.CONNECTIONS, seconds=proxy.seconds, request=request
            ).requests
        return proxy.memory_mib()

    return -send(requests // 10) + send(requests)


def measure(port: int, compared: Sequence[Proxy], *, quick: bool) -> Found:
    """Figures by proxy."""
    load = wrk.found()
    rounds = QUICK_ROUNDS if quick else ROUNDS
    for proxy in compared:
        progress(f"warming up {proxy.name}")
        warm_up(proxy)
    found: Found = {proxy.name: {"idle_mib": proxy.memory_mib()} for proxy in compared}
    smalt = next(proxy for proxy in compared if proxy.name == "smalt")
    for figures in (
        ratios("request", compared, lambda proxy: request_us(proxy, load), rounds),
        ratios("chunk", compared, chunk_us, rounds),
        added(port, compared, load, rounds),
        {proxy.name: {"stream_kib": stream_kib(proxy)} for proxy in compared},
        {"smalt": {"grown_mib": grown_mib(smalt, load, QUICK_REQUESTS if quick else REQUESTS)}},
    ):
        for name, more in figures.items():
            found[name] |= more
    progress("")
    return found


def told(found: Found) -> str:
    smalt, plain = found["smalt"], found["nginx"]
    goals = {name: f"the goal is {goal:g}" for name, goal in GOALS.items()}
    lines = [
        *(
            f"{kind}: {smalt[f'{kind}_us']:.1f} us of CPU, {smalt[f'{kind}_ratio']:.2f} of nginx's "
            f"{plain[f'{kind}_us']:.1f} us ({goals[f'{kind}_ratio']})"
            for kind in ("request", "chunk")
        ),
        f"latency: {smalt['added_p50_us']:.0f} us more (p50), {smalt['added_p99_us']:.0f} us (p99)",
        f"memory: {smalt['idle_mib']:.0f} MiB idle ({goals['idle_mib']})",
        f"memory: {smalt['stream_kib']:.1f} KiB an open stream ({goals['stream_kib']})",
        f"memory: {smalt['grown_mib']:+.1f} MiB after many requests ({goals['grown_mib']})",
        *(
            f"{name}: request {other['request_us']:,.0f} us, {other['request_ratio']:.0f} times nginx; "
            f"chunk {other['chunk_us']:,.0f} us, {other['chunk_ratio']:.0f} times nginx"
            for name, other in found.items()
            if name not in {"smalt", "nginx"}
        ),
    ]
    return "".join(f"gateway: {line}\n" for line in lines)


def missed(found: Found) -> bool:
    """Also if another gateway in Rust is cheaper: it is what has to be beaten."""
    smalt = found["smalt"]
    above = any(not smalt[name] <= goal for name, goal in GOALS.items())
    return above or ("rolter" in found and smalt["request_ratio"] > found["rolter"]["request_ratio"])


def main() -> int:
    parser = argparse.ArgumentParser(description="What the gateway costs, compared with nginx.")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and requests")
    parser.add_argument("--write-docs", action="store_true", help=f"renew the figures of {page.PAGE.name}")
    wanted = parser.parse_args()
    with ExitStack() as stack:
        try:
            port = stack.enter_context(behind())
            with on_core(0):
                compared = [
                    stack.enter_context(proxies.plain_nginx(port)),
                    stack.enter_context(proxies.serving(proxies.SMALT, port)),
                    *(peers.running(stack, port) if os.environ.get("PEERS") else ()),
                ]
        except Missing as missing:
            sys.stderr.write(f"{missing}\n")
            return 0
        with on_core(-1):
            found = measure(port, compared, quick=wanted.quick)
    if wanted.write_docs:
        page.write(found)
    sys.stdout.write(json.dumps({"goals": GOALS, **found}) + "\n" if wanted.json else told(found))
    return int(missed(found))


if __name__ == "__main__":
    sys.exit(main())
