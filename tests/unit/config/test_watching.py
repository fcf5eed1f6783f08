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
        self.trouble = False

    def __call__(self) -> None:
        self.done.release()
        if self.trouble:
            raise ConfigurationError("resources: at least one resource is required")


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


def test_trouble_is_logged_and_it_goes_on(
    watch: Watch, reloads: Reloads, caplog: pytest.LogCaptureFixture
) -> None:
    """What was in force stays."""
    reloads.trouble = True
    with caplog.at_level(logging.WARNING, "smalt.config"):
        watch.now()
        assert reloads.done.acquire(timeout=5)
        reloads.trouble = False
        watch.now()
        assert reloads.done.acquire(timeout=5)
    (message,) = caplog.messages
    assert message.startswith("the changed configuration cannot be used; the old one stays: resources: ")
