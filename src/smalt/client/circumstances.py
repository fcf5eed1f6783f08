"""What a program says about its calls, and who it lets listen: told by `with`, true for what runs inside.

Context variables carry it, so that it follows tasks and stays out of other threads and tasks.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec.structs import replace

from smalt.dispatch.dispatcher import NO_CIRCUMSTANCES, Circumstances
from smalt.types import CallRecord
from smalt.wire.instructions import Variables
from smalt.wire.trace import read_traceparent

Progress = Callable[[int, int], None]

_progress: ContextVar[Progress | None] = ContextVar("smalt_progress", default=None)
_current: ContextVar[Circumstances] = ContextVar("smalt_circumstances", default=NO_CIRCUMSTANCES)


def current() -> Circumstances:
    return _current.get()


def progress_callback() -> Progress | None:
    return _progress.get()


@contextmanager
def tag(*names: str) -> Iterator[None]:
    """Calls made inside carry these tags, besides those of the `with` around it: `fleet.usage("tag")` sums by
    them."""
    with changed(tags=tuple(dict.fromkeys((*current().tags, *names)))):
        yield


@contextmanager
def session(name: str) -> Iterator[None]:
    """Calls made inside belong to this session: it stands in their receipts and in the log."""
    with changed(session=name):
        yield


@contextmanager
def receipts() -> Iterator[list[CallRecord]]:
    """A list that fills with the receipts of the calls made inside, each when its answer has ended: for
    frameworks that hide the response."""
    collected: list[CallRecord] = []
    with changed(sinks=(*current().sinks, collected.append)):
        yield collected


@contextmanager
def of_run(told: Callable[[CallRecord], None], variables: Variables) -> Iterator[None]:
    """Calls made inside belong to a run of an agent, which is told their receipts."""
    with changed(sinks=(*current().sinks, told), variables=variables):
        yield


@contextmanager
def progress(callback: Progress) -> Iterator[None]:
    """`callback(done_inputs, total_inputs)` after each part of the embeddings requests made inside, in the
    thread or event loop that makes them; a request that needs no splitting is one part. What it raises ends
    the request."""
    token = _progress.set(callback)
    try:
        yield
    finally:
        _progress.reset(token)


@contextmanager
def changed(**changes: object) -> Iterator[None]:
    """The circumstances of calls made inside, with these fields changed."""
    token = _current.set(replace(current(), **changes))
    try:
        yield
    finally:
        _current.reset(token)


def of(headers: Mapping[str, str]) -> Circumstances:
    """Those of now, with the trace that a request carries."""
    value = headers.get("traceparent")
    trace = read_traceparent(value.encode("latin-1", "replace")) if value else None
    return current() if trace is None else replace(current(), trace=trace)
