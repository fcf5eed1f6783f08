"""Log lines about calls that did not go smoothly. Smooth ones say nothing: they are counted."""

import logging

from smalt.core.final_error import cause
from smalt.types import CallRecord, FailureKind

logger = logging.getLogger("smalt.calls")


def log_trouble(record: CallRecord) -> None:
    """One warning per call that needed more than one attempt or got none."""
    failed = [attempt for attempt in record.attempts if attempt.failure is not None]
    if not failed and record.error is None:
        return
    if any(a.failure is not None and a.failure.kind is FailureKind.CALLER_LEFT for a in failed):
        return
    causes = "; ".join(cause(attempt, len(record.attempts)) for attempt in failed)
    ending = f"answered by {record.upstream}" if record.error is None else record.error
    logger.warning("%s %s: %s; %s", record.request_id, record.model, causes or "no attempt", ending)
