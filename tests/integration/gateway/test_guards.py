"""Guards between callers and upstreams: what they find leaves the gateway in neither direction."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from tests.contract import world
from tests.contract.gateways import ADAPTERS, KEY, Adapter, Stage
from tests.integration.gateway.raw import ask, body, request

from smalt.config import Settings
from smalt.emulator.testing import Handle
from smalt.errors import ConfigurationError, PolicyDenied
from smalt.gateway.current import Current
from smalt.guards import Finding

PATTERNS = "smalt.guards.patterns:Patterns"
SAID = "Write to ada@example.com today."
MASKED = "Write to [email] today."
Play = Callable[..., openai.OpenAI]


class NoSwans:
    """A guard of somebody's own."""

    window = 5

    def __init__(self, word: str = "swan") -> None:
        self._word = word

    def request(self, text: str) -> Iterator[Finding]:
        if self._word in text:
            raise PolicyDenied(f"no {self._word}s")
        return iter(())

    def answer(self, text: str) -> Iterator[Finding]:
        return self.request(text)


class NoGuard:
    """Nothing that a guard has."""


@pytest.fixture(params=ADAPTERS)
def stage(request: pytest.FixtureRequest, stages: dict[Adapter, Stage]) -> Stage:
    return stages[request.param]


@pytest.fixture
def play(stage: Stage, azure: Handle) -> Iterator[Play]:
    """Give the gateway these guards; a client of it."""
    client = openai.OpenAI(base_url=f"{stage.url}/v1", api_key=KEY, max_retries=0)

    def with_guards(*guards: dict[str, Any]) -> openai.OpenAI:
        stage.play(world.settings(azure, gateway={"guards": guards}))
        return client

    yield with_guards
    client.close()


def patterns(**options: object) -> dict[str, Any]:
    return {"use": PATTERNS, "options": options}


def saying(text: str) -> Any:
    """A response format that only this JSON string satisfies: what the emulator answers with."""
    schema = {"type": "object", "properties": {"said": {"const": text}}, "required": ["said"]}
    return {"type": "json_schema", "json_schema": {"name": "saying", "schema": schema}}


def asked(azure: Handle) -> str:
    """The whole body of the last request that Azure saw."""
    return json.dumps(azure.log()[-1]["body"])


def test_requests_and_answers_are_masked(play: Play, azure: Handle) -> None:
    """Azure reads no address, the caller gets none, and both are declared."""
    client = play(patterns(on=["request"]))
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": SAID}]
    )
    assert MASKED in asked(azure)
    assert "ada@" not in asked(azure)
    assert raw.headers["x-smalt-rewrites"].split(",")[-1] == "guards"

    client = play(patterns(on=["answer"]))
    answer = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "say it"}], response_format=saying(SAID)
    )
    assert json.loads(answer.choices[0].message.content or "") == {"said": MASKED}


@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_streams_are_masked(play: Play, surface: str) -> None:
    """Piece by piece; the end of the text is there, and so is every event that tells it whole."""
    client = play(patterns(on=["answer"]))
    if surface == "chat":
        chunks = client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "say it"}],
            response_format=saying(SAID),
            stream=True,
        )
        said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        whole = said
    else:
        form: Any = {"type": "json_schema", **saying(SAID)["json_schema"]}
        with client.responses.stream(model="gpt-4o", input="say it", text={"format": form}) as stream:
            said = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
            whole = stream.get_final_response().output_text
    assert json.loads(said) == json.loads(whole) == {"said": MASKED}


def test_a_request_can_be_refused(play: Play, azure: Handle) -> None:
    """Nothing is sent; the error does not repeat what was found."""
    client = play(patterns(action="refuse"))
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": SAID}])
    assert caught.value.code == "policy_denied"
    assert "ada@" not in str(caught.value)
    assert azure.log() == []


def test_an_answer_can_be_refused(play: Play) -> None:
    """Whole as an error, streamed as its last event."""
    client = play(patterns(action="refuse", on=["answer"]))
    told: dict[str, Any] = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "say it"}],
        "response_format": saying(SAID),
    }
    with pytest.raises(openai.PermissionDeniedError):
        client.chat.completions.create(**told)
    chunks = client.chat.completions.create(**told, stream=True)
    came: list[Any] = []
    with pytest.raises(openai.APIError, match="looks like: email"):
        came.extend(chunks)
    assert "ada" not in str(came)


def test_guards_are_asked_in_turn(play: Play, azure: Handle) -> None:
    """One's own beside the one that comes with smalt."""
    client = play({"use": f"{__name__}:NoSwans"}, patterns())
    with pytest.raises(openai.PermissionDeniedError, match="no swans"):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "two swans"}])
    client.embeddings.create(model="text-embedding-3-small", input=[SAID])
    assert MASKED in asked(azure)


def test_strangers_get_no_further_than_their_key(play: Play, stage: Stage) -> None:
    """A guard's work is not for them."""
    play({"use": f"{__name__}:NoSwans"})
    content = body(messages=[{"role": "user", "content": "swan"}])
    answer = ask(stage.url, request(content=content, key="gw_unknown"))
    assert (answer.status, answer.error["code"]) == (401, "invalid_gateway_key")


def test_a_guard_that_cannot_be_made_changes_nothing(azure: Handle) -> None:
    """A reload is refused before anything of it is in force."""
    keys = [{"alias": "tests", "key": KEY, "concurrency": 5}]
    good = world.settings(azure, gateway={"keys": keys, "limits": {"requests": 100}})
    bad = world.settings(
        azure, gateway={"keys": keys, "limits": {"requests": 7}, "guards": [{"use": "no:X"}]}
    )
    current = Current(good, lambda: bad)
    try:
        with pytest.raises(ConfigurationError, match=r"gateway\.guards\[0\]: no:X cannot be used"):
            current.reload()
        assert current.load.limits.requests == 100
        assert current.now.settings is good
        assert current.problems
    finally:
        current.close()


def test_health_says_of_any_reload_that_failed(azure: Handle) -> None:
    """Also where it was no fault of the settings; not in words that may hold a secret."""

    def broken() -> Settings:
        raise KeyError("k3y-0f-0urs")

    current = Current(world.settings(azure), broken)
    try:
        with pytest.raises(KeyError):
            current.reload()
        assert current.problems == ("KeyError",)
    finally:
        current.close()


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        ({"use": "no_such_package:Guard"}, "No module named 'no_such_package'"),
        ({"use": PATTERNS, "options": {"colour": 1}}, "unexpected keyword argument 'colour'"),
        ({"use": PATTERNS, "options": {"find": ["names"]}}, "find: expected pii or secrets"),
        ({"use": f"{__name__}:NoGuard"}, "is no guard: it has no request and no answer and no window"),
    ],
)
def test_a_guard_that_cannot_be_made(play: Play, guard: dict[str, Any], message: str) -> None:
    """Nothing is served without it; the line says which."""
    with pytest.raises(ConfigurationError, match=rf"^gateway\.guards\[0\]: .*{message}"):
        play(guard)
