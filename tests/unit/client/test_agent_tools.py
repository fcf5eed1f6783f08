"""Python functions as tools: how a model is told of them, and what it is answered."""

import asyncio
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from smalt.client.agent_tools import call, call_async, imported, tools_of
from smalt.errors import ConfigurationError


@dataclass
class Door:
    side: str
    locked: bool = False


def look(
    place: Annotated[str, Field(description="Where to look.")],
    sense: Literal["eyes", "nose"] = "eyes",
    steps: int = 1,
) -> list[Door]:
    """Say what can be perceived.

    Doors only.
    """
    if place == "abyss":
        raise ValueError("it looks back")
    return [Door(f"{place} {sense}")] * steps


async def listen(place: str) -> str:
    """Say what can be heard."""
    await asyncio.sleep(0)
    return f"drips in the {place}"


def asked(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(function: Callable[..., Any], arguments: str) -> str:
    return call(tools_of([function]), asked(function.__name__, arguments))


def test_a_function_is_described_by_its_hints_and_docstring() -> None:
    """As chat completions want it."""
    tool = tools_of([look])["look"]
    assert tool.definition == {
        "type": "function",
        "function": {
            "name": "look",
            "description": "Say what can be perceived.\n\nDoors only.",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "title": "Place", "description": "Where to look."},
                    "sense": {
                        "type": "string",
                        "title": "Sense",
                        "enum": ["eyes", "nose"],
                        "default": "eyes",
                    },
                    "steps": {"type": "integer", "title": "Steps", "default": 1},
                },
                "required": ["place"],
                "additionalProperties": False,
            },
        },
    }


def test_a_function_without_words_has_no_description() -> None:
    """Azure takes none rather than an empty one."""

    def roll() -> int:
        return 4

    definition = tools_of([roll])["roll"].definition["function"]
    assert definition == {
        "name": "roll",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    }


def test_the_answer_of_a_tool_is_told_as_text() -> None:
    """A text as it is, everything else as JSON."""
    assert answer(look, '{"place": "cellar", "steps": "2"}') == (
        '[{"side":"cellar eyes","locked":false},{"side":"cellar eyes","locked":false}]'
    )

    def today() -> date:
        return date(2026, 11, 21)

    def silence() -> None: ...

    assert answer(today, "{}") == '"2026-11-21"'
    assert answer(silence, "{}") == "null"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            '{"plac": "cellar"}',
            (
                "error: the arguments are not right: place: Missing required argument; "
                "plac: Unexpected keyword argument"
            ),
        ),
        (
            '{"place": "cellar", "sense": "ears"}',
            "error: the arguments are not right: sense: Input should be 'eyes' or 'nose'",
        ),
        (
            "place: cellar",
            "error: the arguments are not right: Invalid JSON: expected value at line 1 column 1",
        ),
        ('{"place": "abyss"}', "error: ValueError: it looks back"),
    ],
)
def test_what_goes_wrong_is_told_to_the_model(arguments: str, told: str) -> None:
    """It may mend its call, or go another way."""
    assert answer(look, arguments) == told


class Key(BaseModel):
    number: int


def unlock(door: str) -> str:
    """It reads a key nobody else sees."""
    return str(Key.model_validate({"number": f"the secret of {door}"}))


async def unlock_async(door: str) -> str:
    return unlock(door)


@pytest.mark.parametrize("tool", [unlock, unlock_async])
def test_what_is_not_valid_inside_a_tool_is_the_tools_own_fault(tool: Callable[..., Any]) -> None:
    """Not one of the arguments; what was not valid stays there."""
    told = asyncio.run(call_async(tools_of([tool]), asked(tool.__name__, '{"door": "cellar"}')))
    assert told == (
        "error: ValidationError: number: Input should be a valid integer, "
        "unable to parse string as an integer"
    )


def test_what_cannot_be_sent_is_replaced() -> None:
    """Names of files may hold such characters, and errors about them."""

    def find(fails: bool) -> str:
        if fails:
            raise FileNotFoundError("caf\udce9")
        return "caf\udce9"

    async def find_async(fails: bool) -> str:
        return find(fails)

    for tool in (find, find_async):
        for fails, told in (("false", "caf?"), ("true", "error: FileNotFoundError: caf?")):
            given = asked(tool.__name__, f'{{"fails": {fails}}}')
            assert asyncio.run(call_async(tools_of([tool]), given)) == told


def test_an_answer_that_is_no_json_is_told_too() -> None:
    """The function's author reads of it in the conversation."""

    def pick() -> object:
        return threading.Lock()

    assert answer(pick, "{}").startswith(
        "error: PydanticSerializationError: Unable to serialize unknown type"
    )


def test_a_tool_that_does_not_exist_is_told_with_those_that_do() -> None:
    """Models invent names."""
    told = "error: there is no tool 'sniff', only look, listen"
    tools = tools_of([look, listen])
    assert call(tools, asked("sniff", "{}")) == told
    assert asyncio.run(call_async(tools, asked("sniff", "{}"))) == told


def test_tools_may_be_async() -> None:
    """The others run in a thread, so that the event loop goes on."""
    threads = []

    def where() -> None:
        threads.append(threading.current_thread())

    async def fail() -> None:
        raise RuntimeError("deaf")

    async def ask(name: str, arguments: str) -> str:
        return await call_async(tools_of([listen, where, fail]), asked(name, arguments))

    assert asyncio.run(ask("listen", '{"place": "cellar"}')) == "drips in the cellar"
    assert asyncio.run(ask("listen", "{}")) == (
        "error: the arguments are not right: place: Missing required argument"
    )
    assert asyncio.run(ask("fail", "{}")) == "error: RuntimeError: deaf"
    asyncio.run(ask("where", "{}"))
    assert threads != [threading.main_thread()]


def test_methods_are_tools() -> None:
    """Of the object they belong to."""

    class Bag:
        items = ("rope",)

        def has(self, item: str) -> bool:
            return item in self.items

    assert answer(Bag().has, '{"item": "rope"}') == "true"


def rest(*places: str) -> None: ...


def options(**given: str) -> None: ...


def unnamed(place: str, /) -> None: ...


def unclear(door: threading.Thread) -> None: ...


def unknown(door: "Nothing") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda: 1, "a tool must be a function with a name, got <function <lambda>"),
        (Door, "a tool must be a function with a name, got <class"),
        ("look", "a tool must be a function with a name, got 'look'"),
        (rest, r"the tool 'rest': a model names its arguments, so it can have no \*args"),
        (options, r"the tool 'options': a model names its arguments"),
        (unnamed, r"the tool 'unnamed': a model names its arguments"),
        (
            unclear,
            "the tool 'unclear' cannot be described to a model: Unable to generate pydantic-core schema",
        ),
        (max, "the tool 'max' cannot be described to a model: no signature found"),
        (unknown, "the tool 'unknown' cannot be described to a model: name 'Nothing' is not defined"),
    ],
)
def test_what_a_model_cannot_call_is_refused(function: Any, problem: str) -> None:
    """Before any request."""
    with pytest.raises(ConfigurationError, match=f"^{problem}"):
        tools_of([function])


@pytest.mark.parametrize("given", [None, look])
def test_tools_come_in_a_list(given: Any) -> None:
    """One alone, too."""
    with pytest.raises(ConfigurationError, match=r"^tools: expected a list of functions, got "):
        tools_of(given)


def test_two_tools_of_one_name_are_refused() -> None:
    """Also one beside those the agent has already."""
    with pytest.raises(ConfigurationError, match="two tools are named 'look'"):
        tools_of([look, look])
    with pytest.raises(ConfigurationError, match="two tools are named 'look'"):
        tools_of([look], tools_of([look]))


def test_settings_name_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """By module and name; what is not there is one clear line."""
    module = ModuleType("dungeon")
    module.look = look  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dungeon", module)
    assert imported(["dungeon:look"]) == [look]
    for reference, cause in (
        ("dungeon:loko", "has no attribute 'loko'"),
        ("dungeons:look", "No module named"),
    ):
        with pytest.raises(ConfigurationError, match=f"^the tool {reference} cannot be imported: .*{cause}"):
            imported([reference])
