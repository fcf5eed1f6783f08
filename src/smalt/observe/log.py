"""Log lines about calls that did not go smoothly. Smooth ones say nothing: they are counted."""

import logging

from smalt.core.final_error import cause
from smalt.types import CallRecord, FailureKind

logger = logging.getLogger("smalt.calls")
logging.getLogger("smalt").addHandler(logging.NullHandler())  # a library is silent until it is asked to log

NOBODYS_TROUBLE = {FailureKind.CALLER_LEFT, FailureKind.REQUEST, FailureKind.CONTENT_FILTER}


def log_trouble(record: CallRecord) -> None:
    """One warning per call that an upstream failed, or that none was free for."""
    failed = [a for a in record.attempts if a.failure and a.failure.kind not in NOBODYS_TROUBLE]
    if not failed and (record.attempts or record.error is None):
        return
    causes = "; ".join(cause(attempt, len(record.attempts)) for attempt in failed)
    ending = f"answered by {record.upstream}" if record.error is None else record.error
    logger.warning("%s %s: %s; %s", record.request_id, record.model, causes or "no attempt", ending)
