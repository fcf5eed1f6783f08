"""A fleet over time: new settings, a watched file, a fork, the end."""

import json
import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.contract import world

from smalt import ConfigurationError, Fleet
from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "hello"}]


def write(file: Path, azure: Handle, *, only: str | None = None) -> None:
    """The settings of both regions, or of one; JSON is YAML, too."""
    written = world.written(azure)
    if only is not None:
        written["resources"] = {only: written["resources"][only]}
    file.write_text(json.dumps(written))


@pytest.fixture
def file(azure: Handle, tmp_path: Path) -> Path:
    made = tmp_path / "smalt.yaml"
    write(made, azure)
    return made


def served_by(client: Any) -> str:
    answer = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
    return str(answer.headers["x-smalt-upstream"]).partition("/")[0]


def test_a_reloaded_fleet_goes_on_with_the_same_client(azure: Handle, file: Path) -> None:
    """The client notices nothing but who serves; the sums live on."""
    fleet = Fleet.load(file)
    with fleet.openai() as client:
        assert served_by(client) == "east"
        write(file, azure, only="sweden")
        fleet.reload()
        assert served_by(client) == "sweden"
    assert sum(sums.calls for sums in fleet.usage().values()) == 2
    assert [status.name.partition("/")[0] for status in fleet.status()][:1] == ["sweden"]


def test_what_rests_goes_on_resting(azure: Handle, file: Path) -> None:
    """A reload does not send calls to an upstream that has just failed."""
    fleet = Fleet.load(file)
    azure.set("east", "down")
    with fleet.openai() as client:
        assert served_by(client) == "sweden"
        fleet.reload()
        assert served_by(client) == "sweden"
    resting = {status.name: status.state for status in fleet.status()}
    assert resting["east/gpt-4o-prod"] == "cooling"


def test_bad_settings_change_nothing(file: Path) -> None:
    """The error names the fault, and the fleet serves as before."""
    fleet = Fleet.load(file)
    file.write_text("resources: {}")
    with pytest.raises(ConfigurationError, match="at least one resource"):
        fleet.reload()
    with fleet.openai() as client:
        assert served_by(client) == "east"


def test_a_fleet_built_from_settings_is_reloaded_with_settings(azure: Handle) -> None:
    """There is no file to read again."""
    fleet = Fleet(world.settings(azure))
    with pytest.raises(ConfigurationError, match="give reload"):
        fleet.reload()
    fleet.reload(world.settings(azure, retry={"max_attempts": 1}))
    azure.set("east", "down")
    with fleet.openai() as client, pytest.raises(Exception, match="attempt 1/1"):
        served_by(client)


def test_a_watched_file_is_reloaded_and_a_bad_one_logged(
    azure: Handle, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Within seconds, from a thread that ends with the fleet."""
    with Fleet.load(file) as fleet, fleet.openai() as client:
        fleet.watch(file)
        write(file, azure, only="sweden")
        until(lambda: len(fleet.status()) == len(world.SHARED))
        assert served_by(client) == "sweden"
        file.write_text("resources: [")
        until(lambda: "cannot be used" in caplog.text)
        assert served_by(client) == "sweden"
    assert "smalt-watch" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_starts_afresh(azure: Handle, file: Path) -> None:
    """With its own connections and an empty memory; the parent's are as before."""
    fleet = Fleet.load(file)
    with fleet.openai() as client:
        served_by(client)
        fork = multiprocessing.get_context("fork")
        told = fork.SimpleQueue()

        def child() -> None:
            served_by(client)
            told.put(sum(sums.calls for sums in fleet.usage().values()))

        process = fork.Process(target=child)
        process.start()
        process.join(20)
        assert process.exitcode == 0
        assert told.get() == 1
        served_by(client)
    assert sum(sums.calls for sums in fleet.usage().values()) == 2


def until(happened: Any, within_s: float = 10.0) -> None:
    """Look again and again."""
    ends_s = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < ends_s
        time.sleep(0.05)
