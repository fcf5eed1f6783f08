"""Embeddings of any number: a request that is too large for Azure is sent in parts, a few at a time.

Each part is a call of its own, with its own attempts. Their answers are put together in the order of the
inputs; if one part is refused for good, that is the answer, and the others are stopped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec import structs

from smalt.client import circumstances
from smalt.client.door import JSON, Door, Inbound
from smalt.client.receipts import RECEIPTS
from smalt.dispatch.dispatcher import OpenCall
from smalt.dispatch.run import Answer, finish_whole
from smalt.errors import SmaltError
from smalt.types import CallRecord, FailureKind, Operation, Usage
from smalt.wire import embeddings
from smalt.wire.embeddings import MOST_TOKENS, Part

if TYPE_CHECKING:
    import httpx2

AT_ONCE: Final = 4  # parts of one request that are under way together

Ask = Callable[[Door, Inbound, OpenCall], Answer[Any]]
AskAsync = Callable[[Door, Inbound, OpenCall], Awaitable[Answer[Any]]]
ValueT = TypeVar("ValueT")


class PartRefused(Exception):
    """An upstream's final refusal of one part: an event between the parts of a batch, never shown."""

    def __init__(self, answer: Answer[Any], kind: FailureKind) -> None:
        super().__init__(kind)
        self.answer = answer
        self.kind = kind


class Batch:
    """A request in parts, and what has become of them. Parts may be opened and taken by several threads."""

    def __init__(self, door: Door, whole: Inbound, parts: Sequence[Part]) -> None:
        self.door = door
        self._whole = whole
        self._parts = parts
        self._answers: dict[int, bytes] = {}  # by number of the part
        self._records: list[CallRecord] = []
        self._calls: list[OpenCall] = []
        self._stopped = False
        self._done_inputs = 0

    @property
    def numbers(self) -> range:
        return range(len(self._parts))

    def open(self, number: int) -> tuple[Inbound, OpenCall]:
        """The part and its call; its id shows what belongs together. Raises RequestError."""
        whole, body = self._whole, self._parts[number].body
        part = structs.replace(
            whole,
            facts=structs.replace(whole.facts, prompt_bytes=len(body)),
            body=body,
            request_id=f"{whole.request_id[:-4]}{number + 1:04x}",
            circumstances=structs.replace(whole.circumstances, sinks=(self._records.append,)),
        )
        call = self.door.open(part)
        self._calls.append(call)
        if self._stopped:
            call.stop()
        return part, call

    def take(self, number: int, call: OpenCall, answer: Answer[Any]) -> None:
        """The answer to a part. Raises PartRefused."""
        finish_whole(call, answer)
        failure = call.attempts[-1].failure
        if failure is not None:
            raise PartRefused(answer, failure.kind)
        self._answers[number] = answer.body

    def report(self, number: int) -> None:
        """Tell who made the request that a part is done; called there."""
        self._done_inputs += self._parts[number].inputs
        callback = circumstances.progress_callback()
        if callback is not None:
            callback(self._done_inputs, sum(part.inputs for part in self._parts))

    def stop(self) -> None:
        """No part begins or waits any longer; those that were sent come to their end."""
        self._stopped = True
        for call in self._calls:
            call.stop()

    def merged(self) -> "httpx2.Response":
        body = embeddings.merge(
            [(self._answers[number], self._parts[number].inputs) for number in self.numbers]
        )
        record = self._tell(None)
        self.door.keep(self._whole, body, None if record.estimated else record.usage)
        return self.door.composed(record, 200, JSON, body)

    def failed(self, error: BaseException) -> "httpx2.Response":
        """The answer if a part was refused; any other error is raised again."""
        if isinstance(error, PartRefused):
            answer, record = error.answer, self._tell(str(error.kind))
            return self.door.composed(record, answer.status, answer.headers, answer.body)
        self._tell(error.code if isinstance(error, SmaltError) else "abandoned")
        raise error

    def _tell(self, error: str | None) -> CallRecord:
        """The receipt of the whole: the sums of its parts. The fleet's own sums have the parts."""
        answered = [part for part in self._records if part.usage is not None]
        tokens = [part.usage.input_tokens for part in answered if part.usage is not None]
        costs = [part.cost_nusd for part in answered if part.cost_nusd is not None]
        served = [part for part in self._records if part.upstream is not None]
        rewrites = [rewrite for part in served for rewrite in part.rewrites]
        record = self._whole.record(
            upstream=_common(part.upstream for part in served),
            region=_common(part.region for part in served),
            attempts=tuple(attempt for part in self._records for attempt in part.attempts),
            usage=Usage(sum(tokens)) if tokens else None,
            estimated=any(part.estimated for part in answered),
            cost_nusd=sum(costs) if costs and len(costs) == len(answered) else None,
            prices_as_of=_common(part.prices_as_of for part in answered),
            rewrites=tuple(dict.fromkeys(("split", *rewrites))),
            error=error,
        )
        RECEIPTS(record)
        self._whole.circumstances.tell(record)
        return record


def batch_of(door: Door, inbound: Inbound) -> Batch | None:
    """None if the request can be sent as it is. Raises RequestError."""
    facts, body = inbound.facts, inbound.body
    if facts.operation is not Operation.EMBEDDINGS or facts.stream:
        return None
    most_tokens = min(MOST_TOKENS, door.largest_quota(facts))
    if embeddings.fits(body, most_tokens):
        return None
    parts = embeddings.split(body, most_tokens)
    return Batch(door, inbound, parts) if len(parts) > 1 else None


def ask_all(batch: Batch, ask: Ask) -> "httpx2.Response":
    """Ask for every part, from a few threads."""

    def work(number: int) -> int:
        part, call = batch.open(number)
        batch.take(number, call, ask(batch.door, part, call))
        return number

    with ThreadPoolExecutor(AT_ONCE, "smalt-embeddings") as pool:
        try:
            for future in as_completed([pool.submit(work, number) for number in batch.numbers]):
                batch.report(future.result())
            return batch.merged()
        except BaseException as error:  # noqa: BLE001  raised again, unless it is an answer
            batch.stop()
            pool.shutdown(cancel_futures=True)
            return batch.failed(error)


async def ask_all_async(batch: Batch, ask: AskAsync) -> "httpx2.Response":
    """Ask for every part, from a few tasks."""
    numbers = iter(batch.numbers)

    async def work() -> None:
        for number in numbers:
            part, call = batch.open(number)
            batch.take(number, call, await ask(batch.door, part, call))
            batch.report(number)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
        return batch.merged()
    except BaseExceptionGroup as errors:
        return batch.failed(errors.exceptions[0])
    except BaseException as error:  # noqa: BLE001  raised again, unless it is an answer
        return batch.failed(error)


def _common(values: Iterable[ValueT | None]) -> ValueT | None:
    """What all are; None if they differ."""
    different = set(values)
    return different.pop() if len(different) == 1 else None
