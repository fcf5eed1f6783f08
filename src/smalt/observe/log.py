"""Log lines about calls that did not go smoothly. Smooth ones say nothing: they are counted."""

import logging

from smalt.core.final_error import cause
from smalt.redact import redacted
from smalt.types import AttemptRecord, CallRecord, FailureKind, Notice

logger = logging.getLogger("smalt.calls")
logging.getLogger("smalt").addHandler(logging.NullHandler())  # a library is silent until it is asked to log

REFUSALS = {FailureKind.REQUEST, FailureKind.CONTENT_FILTER}
NOBODYS_TROUBLE = {FailureKind.CALLER_LEFT, *REFUSALS}
QUIET = {"abandoned", *NOBODYS_TROUBLE}


def log_trouble(record: CallRecord) -> None:
    """One warning per call that an upstream failed, whose answer broke off, or that none was free for. A
    request that was refused is not worth a warning."""
    if record.error is None and len(record.attempts) < 2:  # the usual case
        return
    failed = [a for a in record.attempts if a.failure and a.failure.kind not in NOBODYS_TROUBLE]
    if not failed and (record.error is None or (record.attempts and record.error in QUIET)):
        _log_refusal(record)
        return
    causes = [cause(attempt) for attempt in failed]
    if not record.attempts:
        causes.append("no attempt")
    if record.upstream is not None:
        causes.append(f"answered by {record.upstream}")
    if record.error is not None:
        causes.append(record.error)
    logger.warning("%s", _line(record, "; ".join(causes)))


def _log_refusal(record: CallRecord) -> None:
    """Without the upstream's words: they may repeat what the caller wrote."""
    for attempt in record.attempts:
        if attempt.failure is not None and attempt.failure.kind in REFUSALS:
            status, kind = attempt.failure.status, attempt.failure.kind
            logger.info("%s", _line(record, f"refused by {attempt.upstream}: {status} {kind}"))


def log_wait(failed: AttemptRecord, wait_s: float) -> None:
    """What went wrong, before the wait for another try."""
    logger.warning("%s", _one_line(f"retrying in {wait_s:.1f} s: {cause(failed)}"))


def log_notice(notice: Notice) -> None:
    """What happened to an upstream; the numbers ride along as attributes of the log record."""
    text = _one_line(f"{notice.upstream}: {notice.text}")
    logger.warning("%s", text, extra={"upstream": notice.upstream, **notice.data})


def _line(record: CallRecord, what: str) -> str:
    session = "" if record.session is None else f" session={record.session}"
    return _one_line(f"{record.request_id} {record.model}{session}: {what}")


def _one_line(text: str) -> str:
    """Names come from callers, causes from upstreams: they must not begin lines of their own."""
    text = redacted(text)
    return text if text.isprintable() else ascii(text)
