"""What Azure would put on the invoice: tokens of answers, also of those cut short, and of filtered prompts.

Requests that failed are not on it. Provisioned deployments are paid by the hour: what they served is listed
and marked, and summed up apart. What spilled over from one is a line of the standard deployment.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """One billed request.

    `deployment`: the one that served it. `spilled_from`: the provisioned one that could not. `key`: key1 or
    key2. `complete`: False if the answer was cut short. `filtered`: only the prompt is billed, nothing was
    said. `cached_tokens` are part of the input, `reasoning_tokens` of the output.
    """

    resource: str
    deployment: str
    model: str
    key: str
    client_request_id: str
    input_tokens: int
    output_tokens: int
    complete: bool
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    filtered: bool = False
    provisioned: bool = False
    spilled_from: str | None = None


@dataclass(slots=True)
class Sum:
    requests: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def add(self, line: Line) -> None:
        self.requests += 1
        self.input_tokens += line.input_tokens
        self.cached_tokens += line.cached_tokens
        self.output_tokens += line.output_tokens
        self.reasoning_tokens += line.reasoning_tokens


@dataclass(slots=True)
class Bill:
    """Sums over everything, the single lines of the last 10,000 requests."""

    totals: Sum = field(default_factory=Sum)
    provisioned: Sum = field(default_factory=Sum)
    deployments: dict[str, Sum] = field(default_factory=dict)
    keys: dict[str, Sum] = field(default_factory=dict)
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=ENTRIES))

    def add(self, line: Line) -> None:
        self.totals.add(line)
        if line.provisioned:
            self.provisioned.add(line)
        self.deployments.setdefault(f"{line.resource}/{line.deployment}", Sum()).add(line)
        self.keys.setdefault(f"{line.resource}/{line.key}", Sum()).add(line)
        self.lines.append(line)

    def report(self, limit: int, client_request_id: str | None = None) -> dict[str, Any]:
        """`totals` include `provisioned`. `limit`: how many of the newest lines to tell, oldest first.

        `client_request_id`: only lines of this one. `client_request_ids`: sums over the lines told.
        """
        lines = [line for line in self.lines if client_request_id in {None, line.client_request_id}]
        newest = lines[-limit:] if limit else []
        return {
            "totals": asdict(self.totals),
            "provisioned": asdict(self.provisioned),
            "deployments": _told(self.deployments),
            "keys": _told(self.keys),
            "client_request_ids": _told(_by_client_request(newest)),
            "entries": [asdict(line) for line in newest],
        }


def _by_client_request(lines: Iterable[Line]) -> dict[str, Sum]:
    sums: dict[str, Sum] = {}
    for line in lines:
        sums.setdefault(line.client_request_id, Sum()).add(line)
    return sums


def _told(sums: dict[str, Sum]) -> dict[str, Any]:
    return {name: asdict(value) for name, value in sums.items()}
