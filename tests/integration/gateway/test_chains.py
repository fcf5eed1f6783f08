"""One route over a proxy, Azure and OpenAI: whoever answers, callers of the gateway see the same."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import openai
import pytest
from tests.contract.doors import SURFACES, Surface, sdk_client
from tests.contract.gateways import Stage
from tests.contract.world import tried
from tests.integration.gateway import raw

from smalt.config import Settings
from smalt.emulator.deployments import Deployment
from smalt.emulator.fleet import Fleet, Resource
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]
PATHS = {"proxy": "azure/gpt-4o", "azure": "gpt-4o-prod", "openai": "gpt-4o"}  # the deployment of each
ORDER = ("proxy", "azure", "openai")
OF_EACH_ANSWER = {"id", "created", "system_fingerprint"}


@pytest.fixture(scope="module")
def paths() -> Iterator[Handle]:
    """The emulator, playing all three."""

    def resource(name: str) -> Resource:
        deployment = Deployment(PATHS[name], "gpt-4o", "Standard", 100_000)
        return Resource(
            name, 0, "eastus", (f"{name}-key",), {PATHS[name]: deployment}, latency_ms=0, token_ms=0
        )

    with running(Fleet(0, {name: resource(name) for name in ORDER})) as handle:
        yield handle


@pytest.fixture(autouse=True)
def as_new(paths: Handle) -> None:
    paths.reset()


def settings(paths: Handle, order: Sequence[str] = ORDER) -> Settings:
    """The order is one line."""
    of_openai = {"kind": "openai", "allow_http": True}
    return Settings.model_validate(
        {
            "resources": {
                name: {
                    "endpoint": paths.url(name) if name == "azure" else f"{paths.url(name)}/openai/v1",
                    "api_keys": [paths.key(name)],
                    "deployments": {PATHS[name]: {"model": "gpt-4o"}},
                    **({} if name == "azure" else of_openai),
                }
                for name in ORDER
            },
            "models": {"gpt-4o": {"route": [f"{name}/{PATHS[name]}" for name in order]}},
            "retry": {"base_s": 0.05, "cap_s": 0.1, "jitter_s": 0, "after_timeout": True},
            "timeouts": {"connect_s": 1, "total_s": 3, "stream_first_byte_s": 0.3, "stream_idle_s": 3},
        }
    )


def ask(client: Any, **asked: Any) -> tuple[str, dict[str, Any]]:
    """Who answered, and what."""
    told = client.chat.completions.with_raw_response.create(**{"model": "gpt-4o", "messages": HELLO, **asked})
    return told.headers["x-smalt-upstream"].partition("/")[0], told.parse().model_dump()


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("path", ["proxy", "openai"])
def test_req_4_1_a_compatible_server_alone(stage: Stage, paths: Handle, surface: Surface, path: str) -> None:
    """A proxy in the shape of LiteLLM, or OpenAI itself: a route of one, asked on each surface."""
    _answers_alone(stage, paths, surface, path)


@pytest.mark.parametrize("surface", SURFACES)
def test_req_4_2_azure_alone(stage: Stage, paths: Handle, surface: Surface) -> None:
    """Without a proxy."""
    _answers_alone(stage, paths, surface, "azure")


def _answers_alone(stage: Stage, paths: Handle, surface: Surface, path: str) -> None:
    stage.play(settings(paths, [path]))
    with sdk_client(stage.url, surface) as client:
        served, answer = ask(client)
    assert served == path
    assert answer["choices"][0]["message"]["content"]
    assert tried(paths) == [path]


FAULTS: dict[str, dict[str, Any]] = {
    "refuses the key": {"kind": "error", "error": "invalid_api_key"},
    "fails": {"kind": "error", "error": "server_error"},
    "does not know the model": {"kind": "error", "error": "deployment_not_found"},
    "breaks off": {"kind": "reset", "at": "before_head"},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("lost", [["proxy"], ["proxy", "azure"]], ids=" and ".join)
def test_req_4_3_the_next_path_answers(
    stage: Stage,
    paths: Handle,
    caplog: pytest.LogCaptureFixture,
    lost: list[str],
    fault: dict[str, Any],
    *,
    stream: bool,
) -> None:
    """The header says who did; the log says who did not."""
    for path in lost:
        paths.fault(**fault, resource=path)
    stage.play(settings(paths))
    with sdk_client(stage.url, "openai") as client:
        told = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO, stream=stream)
        if stream:
            assert list(told.parse())
    answered = ORDER[len(lost)]
    assert told.headers["x-smalt-upstream"] == f"{answered}/{PATHS[answered]}"
    assert told.headers["x-smalt-attempts"] == str(len(lost) + 1)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert all(f"on {path}/{PATHS[path]}" in warning for path in lost)
    assert warning.endswith(f"; answered by {answered}/{PATHS[answered]}")


def test_req_4_3_a_path_that_is_down_or_silent(stage: Stage, paths: Handle) -> None:
    """A refused connection costs nothing, silence the time for the first byte."""
    stage.play(settings(paths))
    with sdk_client(stage.url, "openai") as client:
        paths.set("proxy", "down")
        assert ask(client)[0] == "azure"
        paths.set("azure", "hang")
        stream = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        assert list(stream)
        assert stream.response.headers["x-smalt-upstream"].startswith("openai/")


REFUSED: dict[str, dict[str, Any]] = {
    "an invalid value": {"temperature": 9},
    "an unknown parameter": {"extra_body": {"made_up": 1}},
    "no messages": {"messages": []},
}


def test_req_4_6_several_providers_as_one(
    stage: Stage, paths: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    """One fails, the next is tried, the caller is answered; a warning says which, and the metrics count it.
    What all refuse is one clear error."""
    stage.play(settings(paths))
    paths.set("proxy", "error", error="server_error")
    with sdk_client(stage.url, "openai") as client:
        assert ask(client)[0] == "azure"
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, temperature=9)
    assert caught.value.code
    (warning,) = [told for told in caplog.messages if "proxy/azure/gpt-4o" in told]
    assert "500" in warning
    assert "answered by azure/gpt-4o-prod" in warning
    page = raw.ask(
        stage.url, raw.request(method="GET", target="/metrics", key=None, content=b"")
    ).body.decode()
    for outcome, upstream in (("server", "proxy/azure/gpt-4o"), ("answered", "azure/gpt-4o-prod")):
        (line,) = [told for told in page.splitlines() if upstream in told and f'outcome="{outcome}"' in told]
        assert line.startswith("smalt_attempts_total{")
        assert line.endswith(" 1")


@pytest.mark.parametrize("surface", SURFACES)
def test_req_4_4_the_same_by_each_path(stage: Stage, paths: Handle, surface: Surface) -> None:
    """Answers, streams and refusals are alike but for ids and times, whichever path is taken."""
    seen = [_seen(stage, paths, surface, path) for path in ORDER]
    assert seen[1:] == seen[:-1]


def _seen(stage: Stage, paths: Handle, surface: Surface, path: str) -> list[object]:
    stage.play(settings(paths, [path]))
    seen: list[object] = []
    with sdk_client(stage.url, surface) as client:
        served, answer = ask(client, seed=7)
        assert served == path
        seen.append(_alike(answer))
        chunks = client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        seen.append([_alike(chunk.model_dump()) for chunk in chunks])
        for asked in REFUSED.values():
            with pytest.raises(openai.APIStatusError) as caught:
                ask(client, **asked)
            seen.append((type(caught.value), caught.value.code, caught.value.body))
    return seen


def _alike(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in OF_EACH_ANSWER}


def test_req_4_4_when_every_path_is_lost(stage: Stage, paths: Handle) -> None:
    """One error, of the same class whatever the order, with a line for each path."""
    for path in ORDER:
        paths.set(path, "error", error="server_error")
    for order in (ORDER, ORDER[::-1]):
        stage.play(settings(paths, order))
        with sdk_client(stage.url, "openai") as client, pytest.raises(openai.InternalServerError) as caught:
            ask(client)
        assert (caught.value.status_code, caught.value.code) == (503, "service_unavailable")
        assert isinstance(caught.value.body, dict)
        assert [cause.split()[3].partition("/")[0] for cause in caught.value.body["causes"]][:3] == list(
            order
        )
