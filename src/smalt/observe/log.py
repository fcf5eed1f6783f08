"""Log lines about calls that did not go smoothly. Smooth ones say nothing: they are counted."""

import logging

from smalt.core.final_error import cause
from smalt.errors import StreamInterrupted
from smalt.types import CallRecord, FailureKind, Notice

logger = logging.getLogger("smalt.calls")
logging.getLogger("smalt").addHandler(logging.NullHandler())  # a library is silent until it is asked to log

NOBODYS_TROUBLE = {FailureKind.CALLER_LEFT, FailureKind.REQUEST, FailureKind.CONTENT_FILTER}


def log_trouble(record: CallRecord) -> None:
    """One warning per call that an upstream failed, whose answer broke off, or that none was free for."""
    failed = [a for a in record.attempts if a.failure and a.failure.kind not in NOBODYS_TROUBLE]
    broke = record.error == StreamInterrupted.code
    if not failed and not broke and (record.attempts or record.error is None):
        return
    causes = [cause(attempt) for attempt in failed]
    if not record.attempts:
        causes.append("no attempt")
    if record.upstream is not None:
        causes.append(f"answered by {record.upstream}")
    if record.error is not None:
        causes.append(record.error)
    session = "" if record.session is None else f" session={record.session}"
    logger.warning("%s", _one_line(f"{record.request_id} {record.model}{session}: {'; '.join(causes)}"))


def log_notice(notice: Notice) -> None:
    """What happened to an upstream; the numbers ride along as attributes of the log record."""
    text = _one_line(f"{notice.upstream}: {notice.text}")
    logger.warning("%s", text, extra={"upstream": notice.upstream, **notice.data})


def _one_line(text: str) -> str:
    """Names come from callers, causes from upstreams: they must not begin lines of their own."""
    return text if text.isprintable() else ascii(text)
