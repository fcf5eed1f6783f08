import asyncio
from typing import Any

from smalt.emulator.background import Background


async def test_closing_ends_what_is_at_work() -> None:
    """And waits until it has cleaned up."""
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned")

    background = Background()
    background.start(work())
    await asyncio.sleep(0)
    await background.close()
    assert ended == ["cleaned"]


async def test_a_failure_is_heard_of() -> None:
    """By the loop's exception handler, as nobody waits for the task."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))

    async def fail() -> None:
        raise ZeroDivisionError

    background = Background()
    task = background.start(fail())
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert [type(context["exception"]) for context in heard] == [ZeroDivisionError]
