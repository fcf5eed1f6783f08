"""How many simple requests a second the emulator answers on one core, and what one costs in CPU.

The emulator has a process of its own; the load comes from this one, over kept connections that send the next
request when the last is answered. On Linux each process is held on a core of its own, if there are two.
Exit code 1 below the goal.
"""

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

from bench.azure import DEPLOYMENT, KEY, emulated
from bench.cpu import cpu_s, on_core

GOAL_PER_S = 1_000
CONNECTIONS = 32
WARM_UP_S = 1.0
MEASURED_S = 5.0

BODY = json.dumps({"messages": [{"role": "user", "content": "Say yes or no."}], "max_tokens": 4}).encode()
HEAD = (
    f"POST /openai/deployments/{DEPLOYMENT}/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n"
    f"host: east\r\napi-key: {KEY}\r\ncontent-type: application/json\r\n"
    f"content-length: {len(BODY)}\r\n\r\n"
)
REQUEST = HEAD.encode() + BODY


async def ask_on_and_on(host: str, port: int, until_s: float) -> list[float]:
    """When each answer came."""
    reader, writer = await asyncio.open_connection(host, port)
    times = []
    while (now := time.monotonic()) < until_s:
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"not answered: {head.decode()}")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        times.append(now)
    writer.close()
    await writer.wait_closed()
    return times


async def load(url: str) -> tuple[int, int]:
    """Requests answered: all of them, and those after the warm-up."""
    address = urlsplit(url)
    began_s = time.monotonic() + WARM_UP_S
    callers = [
        ask_on_and_on(address.hostname or "", address.port or 0, began_s + MEASURED_S)
        for _ in range(CONNECTIONS)
    ]
    moments = [moment for times in await asyncio.gather(*callers) for moment in times]
    return len(moments), sum(moment >= began_s for moment in moments)


def main() -> int:
    with emulated() as azure, on_core(-1):
        before_s = cpu_s(azure.pid)
        answered, measured = asyncio.run(load(azure.url))
        spent_s = cpu_s(azure.pid) - before_s
    per_s = measured / MEASURED_S
    sys.stdout.write(
        f"emulator: {per_s:,.0f} requests/s on one core, {1e6 * spent_s / answered:.0f} us of CPU each "
        f"({CONNECTIONS} connections; the goal is {GOAL_PER_S:,})\n"
    )
    return int(per_s < GOAL_PER_S)


if __name__ == "__main__":
    sys.exit(main())
