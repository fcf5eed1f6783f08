"""Two lines of the log for each call: when it begins, when it has ended. No prompt, no answer, no key."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

from smalt.redact import redacted
from smalt.types import AttemptRecord, CallBegun, CallRecord, Usage
from smalt.wire.prices import usd_text

REQUESTS: Final = logging.getLogger("smalt.requests")
RESPONSES: Final = logging.getLogger("smalt.responses")
LONGEST: Final = 256  # characters of a name that a caller or an upstream has chosen


class Pairs(dict[str, Any]):
    """The keys of a line; as text those that have a value."""

    def __str__(self) -> str:
        return " ".join(f"{key}={_text(value)}" for key, value in self.items() if value not in (None, []))


class Line(NamedTuple):
    """One line. `at`: in UTC."""

    at: datetime
    logger: str
    what: str
    keys: Pairs


def of_begun(begun: CallBegun) -> Pairs:
    """The keys of the first line."""
    return Pairs(
        request_id=begun.request_id,
        principal=begun.principal,
        model=shown(begun.model),
        operation=str(begun.operation),
        stream=begun.stream,
        prompt_tokens=begun.prompt_tokens,
        session=shown(begun.session),
        tags=[shown(tag) for tag in begun.tags],
    )


def of_ended(record: CallRecord) -> Pairs:
    """The keys of the second."""
    usage = record.usage or Usage(0)
    ids, upstream = record.upstream_ids, record.upstream
    return Pairs(
        request_id=record.request_id,
        principal=record.principal,
        model=shown(record.model),
        operation=str(record.operation),
        outcome="ok" if record.error is None else "error",
        error=record.error,
        degraded=record.degraded,
        upstream=shown(upstream),
        deployment=shown(upstream.partition("/")[2]) if upstream else None,
        region=record.region,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        estimated=record.estimated,
        cost_usd=None if record.cost_nusd is None else usd_text(record.cost_nusd),
        latency_ms=_ms(record.duration_s),
        first_token_ms=None if record.first_byte_s is None else _ms(record.first_byte_s),
        attempts=len(record.attempts),
        failed_attempts=[_failed(attempt) for attempt in record.attempts if attempt.failure is not None],
        apim_request_id=shown(ids.get("apim-request-id")),
        x_request_id=shown(ids.get("x-request-id")),
        session=shown(record.session),
        tags=[shown(tag) for tag in record.tags],
        trace_id=record.trace.trace_id if record.trace else None,
    )


def log_begun(begun: CallBegun) -> None:
    """A sink: INFO of the logger smalt.requests, the keys as its attributes, too."""
    if REQUESTS.isEnabledFor(logging.INFO):
        REQUESTS.handle(_log_record(line_of(begun)))


def log_ended(record: CallRecord) -> None:
    """A sink: INFO of the logger smalt.responses."""
    if RESPONSES.isEnabledFor(logging.INFO):
        RESPONSES.handle(_log_record(line_of(record)))


def line_of(told: CallBegun | CallRecord) -> Line:
    """At the time of the call, whenever it is written."""
    if isinstance(told, CallBegun):
        return Line(told.started_at, REQUESTS.name, "call began", of_begun(told))
    at = told.started_at or datetime.now(UTC)
    return Line(at + timedelta(seconds=told.duration_s), RESPONSES.name, "call ended", of_ended(told))


def _log_record(line: Line) -> logging.LogRecord:
    record = logging.LogRecord(line.logger, logging.INFO, "", 0, f"{line.what}: %s", (line.keys,), None)
    record.created, record.msecs = line.at.timestamp(), line.at.microsecond // 1000
    vars(record).update(line.keys)
    return record


def shown(name: str | None) -> str | None:
    """A name that somebody else has chosen, as it may stand in a line."""
    return None if name is None else _shown(name[:LONGEST])


@lru_cache(maxsize=4_096)
def _shown(name: str) -> str:
    name = redacted(name)
    return name if name.isprintable() else ascii(name)


def _failed(attempt: AttemptRecord) -> Mapping[str, Any]:
    failure = attempt.failure
    return {
        "upstream": shown(attempt.upstream),
        "failure": str(failure.kind) if failure else None,
        "status": failure.status if failure else None,
        "apim_request_id": shown(attempt.upstream_ids.get("apim-request-id")),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    if isinstance(value, dict):
        return ":".join(_text(item) for item in value.values() if item is not None)
    text = str(value)
    return f'"{text.replace(chr(34), chr(39))}"' if " " in text or "=" in text or '"' in text else text
