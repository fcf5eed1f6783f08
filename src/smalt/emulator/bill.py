"""What Azure would put on the invoice: tokens of answers, also of those cut short, and nothing else."""

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """One billed request. `key`: key1 or key2. `complete`: False if the answer was cut short."""

    resource: str
    deployment: str
    model: str
    key: str
    client_request_id: str
    input_tokens: int
    output_tokens: int
    complete: bool


@dataclass(slots=True)
class Sum:
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, line: Line) -> None:
        self.requests += 1
        self.input_tokens += line.input_tokens
        self.output_tokens += line.output_tokens


@dataclass(slots=True)
class Bill:
    """Sums over everything, the single lines of the last 10,000 requests."""

    totals: Sum = field(default_factory=Sum)
    deployments: dict[str, Sum] = field(default_factory=dict)
    keys: dict[str, Sum] = field(default_factory=dict)
    lines: deque[Line] = field(default_factory=lambda: deque(maxlen=ENTRIES))

    def add(self, line: Line) -> None:
        self.totals.add(line)
        self.deployments.setdefault(f"{line.resource}/{line.deployment}", Sum()).add(line)
        self.keys.setdefault(f"{line.resource}/{line.key}", Sum()).add(line)
        self.lines.append(line)

    def report(self, limit: int) -> dict[str, Any]:
        """`limit`: how many of the newest lines to tell, oldest first."""
        newest = list(self.lines)[-limit:] if limit else []
        return {
            "totals": asdict(self.totals),
            "deployments": {name: asdict(value) for name, value in self.deployments.items()},
            "keys": {name: asdict(value) for name, value in self.keys.items()},
            "entries": [asdict(line) for line in newest],
        }
