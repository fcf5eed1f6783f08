"""Who watches files."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from smalt.config import watching
from smalt.config.watching import Watch
from smalt.errors import ConfigurationError


class Reloads:
    """Counts, and fails while `trouble` is set."""

    def __init__(self) -> None:
        self.done = threading.Semaphore(0)
        self.trouble: Exception | None = None

    def __call__(self) -> None:
        self.done.release()
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
def reloads() -> Reloads:
    return Reloads()


@pytest.fixture
def watch(reloads: Reloads, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setattr(watching, "LOOK_S", 0.01)
    made = Watch(reloads)
    yield made
    made.end()


def test_a_changed_file_is_noticed(watch: Watch, reloads: Reloads, tmp_path: Path) -> None:
    """One that comes into being, too."""
    file = tmp_path / "smalt.yaml"
    watch.add([file])
    for text in ("one", "three"):
        file.write_text(text)
        assert reloads.done.acquire(timeout=5)


def test_it_may_be_asked_for(watch: Watch, reloads: Reloads) -> None:
    """Whatever has changed."""
    watch.now()
    assert reloads.done.acquire(timeout=5)
    assert not reloads.done.acquire(timeout=0.05)


@pytest.mark.parametrize(
    "trouble", [ConfigurationError("resources: none"), PermissionError("resources: may not be read")]
)
def test_trouble_is_logged_and_it_goes_on(
    watch: Watch, reloads: Reloads, caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    """What was in force stays, whatever it was."""
    reloads.trouble = trouble
    with caplog.at_level(logging.WARNING, "smalt.config"):
        watch.now()
        assert reloads.done.acquire(timeout=5)
        reloads.trouble = None
        watch.now()
        assert reloads.done.acquire(timeout=5)
    (message,) = caplog.messages
    assert message.startswith("the changed configuration cannot be used; the old one stays: resources: ")
