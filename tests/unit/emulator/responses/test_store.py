import asyncio

import pytest

from smalt.emulator.answers import Event, Until
from smalt.emulator.responses import store as module
from smalt.emulator.responses.desk import follow
from smalt.emulator.responses.store import Job, Record, Store


def record(name: str) -> Record:
    return Record({"id": name, "output": []}, [])


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size."""
    store = Store()
    monkeypatch.setattr(module, "RECORDS", 2)
    for name in "abc":
        store.add(record(name), [])
    assert [name in store for name in "abc"] == [False, True, True]
    monkeypatch.setattr(module, "ITEM_BYTES", 50)
    store.add(record("d"), [{"text": "x" * 30}])
    assert [name in store for name in "bcd"] == [False, True, True]
    store.add(record("e"), [{"text": "x" * 20}])
    assert [name in store for name in "cde"] == [False, False, True]
    assert store.delete("e")
    assert not store.delete("e")


def test_a_seal_is_good_for_its_owner() -> None:
    """Unchanged."""
    east = Store("east")
    sealed = east.seal(b"123456789012")
    assert east.sealed(sealed)
    assert not east.sealed(sealed[:-6] + "AAAAAA")
    assert not Store("sweden").sealed(sealed)


async def test_a_job_is_followed_to_its_end() -> None:
    """From any place, by any number of listeners, while it goes on."""
    job = Job(streams=True)

    async def listen(after: int) -> list[bytes]:
        heard = []
        for step in follow(job, after):
            match step:
                case Event(data):
                    heard.append(data)
                case Until(ready):
                    await ready()
        return heard

    listeners = [asyncio.ensure_future(listen(after)) for after in (-1, 1, 9)]
    for frame in (b"0", b"1", b"2"):
        job.push(frame)
        await asyncio.sleep(0)
    job.end()
    assert await asyncio.gather(*listeners) == [[b"0", b"1", b"2"], [b"2"], []]
    assert await listen(0) == [b"1", b"2"]


async def test_what_is_deleted_is_not_finished() -> None:
    """The task that makes it is cancelled."""
    store, kept = Store(), record("a")
    kept.job = Job(streams=False)
    kept.job.task = asyncio.get_running_loop().create_task(asyncio.sleep(60))
    store.add(kept, [])
    store.clear()
    await asyncio.wait([kept.job.task])
    assert kept.job.task.cancelled()
