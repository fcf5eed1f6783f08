"""What is asked of responses that are there already: show, show their input, listen, cancel, delete."""

from collections.abc import Iterator, Mapping

from smalt.emulator.answers import Answer, Event, Until
from smalt.emulator.refusals import Refusal, invalid_request, named
from smalt.emulator.responses.store import Job, Record, Store

_DEFAULT_ITEMS = 20
_MAX_ITEMS = 100


def answer(action: str, response_id: str, query: Mapping[str, str], store: Store) -> Answer:
    """Raises `Refusal`. `action`: retrieve, input_items, cancel or delete."""
    record = store.get(response_id)
    if record is None:
        raise named("response_not_found", message=f"Response with id '{response_id}' not found.")
    match action:
        case "retrieve" if query.get("stream", "").lower() == "true":
            return _resumed(record, query)
        case "retrieve":
            body = record.response
        case "input_items":
            body = _items(record, query)
        case "cancel":
            body = _cancelled(record)
        case _:
            store.delete(response_id)
            body = {"id": response_id, "object": "response", "deleted": True}
    return Answer(0, 0, body=body)


def follow(job: Job, after: int = -1) -> Iterator[Event | Until]:
    """The events of a job, those to come too. `after`: the sequence number of the last one not wanted."""
    at = after + 1
    while True:
        while at < len(job.frames):
            yield Event(job.frames[at])
            at += 1
        if job.ended:
            return
        yield Until(job.news)


def _resumed(record: Record, query: Mapping[str, str]) -> Answer:
    if record.job is None:
        raise invalid_request(
            "This response cannot be streamed because it was not created with background=true."
        )
    if not record.job.streams:
        raise invalid_request("This response cannot be streamed because it was not created with stream=true.")
    after = _whole(query, "starting_after", -1)
    return Answer(0, 0, events=follow(record.job, after), paced=True)


def _items(record: Record, query: Mapping[str, str]) -> dict[str, object]:
    order = query.get("order", "desc")
    if order not in {"asc", "desc"}:
        raise invalid_request(
            f"Invalid value: '{order}'. Supported values are: 'asc' and 'desc'.",
            param="order",
            code="invalid_value",
        )
    items = record.items if order == "asc" else record.items[::-1]
    ids = [item["id"] for item in items]
    if (after := query.get("after")) is not None:
        if after not in ids:
            raise invalid_request(f"No item found with id '{after}'.", param="after")
        items = items[ids.index(after) + 1 :]
    limit = _whole(query, "limit", _DEFAULT_ITEMS)
    if not 1 <= limit <= _MAX_ITEMS:
        raise _not_whole("limit", query["limit"])
    page = items[:limit]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(page) < len(items),
    }


def _cancelled(record: Record) -> dict[str, object]:
    """Of a response that has ended, just what it is."""
    job = record.job
    if job is None:
        raise invalid_request("Cannot cancel a synchronous response.")
    if record.response["status"] in {"queued", "in_progress"}:
        record.response = {**record.response, "status": "cancelled"}
        if job.task:
            job.task.cancel()
    return record.response


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal():
        raise _not_whole(name, text)
    return int(text)


def _not_whole(name: str, text: str) -> Refusal:
    return invalid_request(f"Invalid value for '{name}': {text!r}.", param=name, code="invalid_value")
