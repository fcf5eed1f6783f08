"""The settings of the spreadsheet chat: three paths, and the same to see whichever answers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.examples.processes import EXAMPLES

from smalt import Fleet
from smalt.emulator.fleet import load_fleet
from smalt.emulator.testing import Handle, running

HERE = EXAMPLES / "spreadsheet_chat"
ROUTE = "[proxy/azure/gpt-4o, azure/gpt-4o-prod, openai/gpt-4o]"
PATHS = {"proxy": "proxy/azure/gpt-4o", "azure": "azure/gpt-4o-prod", "openai": "openai/gpt-4o"}
OF_EACH_ANSWER = {"id", "created", "system_fingerprint"}


@pytest.fixture(scope="module")
def shared_azure() -> Iterator[Handle]:
    with running(load_fleet(HERE / "emulator.yaml")) as handle:
        yield handle


@pytest.fixture
def azure(shared_azure: Handle) -> Handle:
    shared_azure.reset()
    return shared_azure


@pytest.fixture
def fleet(azure: Handle, tmp_path: Path) -> Callable[..., Fleet]:
    """A fleet by the example's settings, or with another route."""

    def make(route: str = ROUTE) -> Fleet:
        file = tmp_path / "smalt.yaml"
        written = (HERE / "smalt.yaml").read_text()
        assert ROUTE in written
        file.write_text(written.replace(ROUTE, route))
        return Fleet.load(file, env=variables(azure))

    return make


def variables(azure: Handle) -> dict[str, str]:
    return {
        "LITELLM_BASE_URL": f"{azure.url('proxy')}/openai/v1",
        "LITELLM_API_KEY": azure.key("proxy"),
        "AZURE_OPENAI_ENDPOINT": azure.url("azure"),
        "AZURE_OPENAI_API_KEY": azure.key("azure"),
        "OPENAI_BASE_URL": f"{azure.url('openai')}/openai/v1",
        "OPENAI_API_KEY": azure.key("openai"),
    }


def ask(fleet: Fleet, **asked: Any) -> tuple[str, dict[str, Any]]:
    """Who answered, and what."""
    hello = [{"role": "user", "content": "Which region sold more?"}]
    with fleet.openai() as client:
        raw = client.chat.completions.with_raw_response.create(
            **{"model": "gpt-4o", "messages": hello, **asked}
        )
    return str(raw.headers["x-smalt-upstream"]), raw.parse().model_dump()


def test_req_4_1_the_proxy_works_alone(fleet: Callable[..., Fleet]) -> None:
    """A route of one."""
    served, answer = ask(fleet("[proxy/azure/gpt-4o]"))
    assert served == PATHS["proxy"]
    assert answer["choices"][0]["message"]["content"].startswith("The South")


def test_req_4_2_azure_works_alone(fleet: Callable[..., Fleet]) -> None:
    """Without a proxy."""
    served, answer = ask(fleet("[azure/gpt-4o-prod]"))
    assert served == PATHS["azure"]
    assert answer["choices"][0]["message"]["content"].startswith("The South")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "error": "invalid_api_key"},
        {"kind": "error", "error": "server_error"},
        {"kind": "reset", "at": "before_head"},
        {"kind": "hang", "at": "before_head"},
    ],
    ids=["its key is refused", "it fails", "it breaks off", "it says nothing"],
)
def test_req_4_3_azure_answers_for_a_proxy_that_cannot(
    fault: dict[str, Any], fleet: Callable[..., Fleet], azure: Handle
) -> None:
    """Whatever is wrong with it, silence included."""
    azure.fault(**fault, resource="proxy")
    served, _ = ask(fleet(), timeout=3)
    assert served == PATHS["azure"]


def test_req_4_4_the_answer_is_the_same_by_each_path(fleet: Callable[..., Fleet]) -> None:
    """All but its id and time; also the ways in which a request is refused."""
    answers, errors = [], []
    for path in PATHS.values():
        one = fleet(f"[{path}]")
        _, answer = ask(one)
        answers.append({name: value for name, value in answer.items() if name not in OF_EACH_ANSWER})
        with pytest.raises(openai.APIStatusError) as caught:
            ask(one, temperature=9)
        errors.append((type(caught.value), caught.value.code, caught.value.message))
    assert answers[1:] == answers[:-1]
    assert errors[1:] == errors[:-1]


def test_req_4_10_the_order_of_the_paths_is_one_line(fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    """Changed while it runs: the next call goes the other way."""
    running_fleet = fleet()
    assert ask(running_fleet)[0] == PATHS["proxy"]
    file = tmp_path / "smalt.yaml"
    file.write_text(file.read_text().replace(ROUTE, "[azure/gpt-4o-prod, proxy/azure/gpt-4o]"))
    running_fleet.reload()
    assert ask(running_fleet)[0] == PATHS["azure"]
