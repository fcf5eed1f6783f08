"""No test may print a secret: whatever a test wrote to its output and its log, what its commands printed and
the log files in its folder are searched for every secret the process has come to know.

A test that shows a secret on purpose says so: `@pytest.mark.shows_secrets("the reason")`.
"""

import re
import secrets
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from smalt.config.references import reference
from smalt.emulator.identity.jwt import Signer
from smalt.emulator.identity.keys import KeyPair
from smalt.gateway.principals import GatewayKeys

SHORTEST: Final = 8  # characters; shorter ones stand in any text by accident
ALLOWED: Final = "shows_secrets"
# Made by child processes, which nobody here has asked.
_MADE: Final = {
    "a gateway key": re.compile(r"\bgw_[\w-]{32}"),
    "an admin key": re.compile(r"\badm_[\w-]{32}"),
    "a token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
}


class Secrets:
    """What must not be shown, and what the test under way has shown so far."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._shown: list[str] = []

    def learn(self, secret: str, kind: str) -> None:
        _, at, password = secret.rpartition("@")[0].rpartition(":") if "://" in secret else ("", "", secret)
        for text in {secret, password} if at else {secret}:
            if len(text.strip("*")) >= SHORTEST and reference(text) is None:  # where one is kept is none
                self._known.setdefault(text, kind)

    def show(self, text: object) -> None:
        if text:
            self._shown.append(text.decode(errors="replace") if isinstance(text, bytes) else str(text))

    def found(self, more: Sequence[str]) -> list[str]:
        """The kinds of those that were shown; then everything shown is forgotten."""
        text = "\n".join([*self._shown, *more])
        self._shown.clear()
        if not text:
            return []
        kinds = [kind for secret, kind in self._known.items() if secret in text]
        return sorted({*kinds, *(kind for kind, pattern in _MADE.items() if pattern.search(text))})


class SecretsWatch:
    """The plugin. It learns secrets where they are made or read."""

    def __init__(self) -> None:
        self.secrets = Secrets()
        self._patch = pytest.MonkeyPatch()

    def pytest_sessionstart(self) -> None:
        learn, show = self.secrets.learn, self.secrets.show
        self._after(SecretStr, "__init__", lambda args, _: learn(str(args[1]), "a secret of the settings"))
        self._after(KeyPair, "__init__", lambda args, _: self._learn_all(args[0].keys))
        self._after(KeyPair, "_make", lambda _, made: learn(made, "a key of the emulator"))
        self._after(Signer, "sign", lambda _, made: learn(made, "a token of the emulator"))
        self._after(GatewayKeys, "__init__", lambda args, _: self._learn_all(key for key, _ in args[1]))
        self._after(secrets, "token_urlsafe", lambda _, made: learn(made, "a made key"))
        self._after(subprocess.Popen, "communicate", lambda _, told: [show(text) for text in told])
        self._after(pytest.CaptureFixture, "readouterr", lambda _, told: [show(text) for text in told])

    def pytest_sessionfinish(self) -> None:
        self._patch.undo()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "teardown":
            found = self.secrets.found([text for _, text in report.sections] + _log_files(item))
            if found and report.passed and item.get_closest_marker(ALLOWED) is None:
                report.outcome = "failed"
                report.longrepr = f"{item.nodeid} has shown {', '.join(found)}"
        return report

    def _learn_all(self, keys: Any) -> None:
        for key in keys:
            self.secrets.learn(key, "a key")

    def _after(self, owner: Any, name: str, tell: Callable[[tuple[Any, ...], Any], object]) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **options: Any) -> Any:
            result = original(*args, **options)
            tell(args, result)
            return result

        self._patch.setattr(owner, name, watched)


def _log_files(item: pytest.Item) -> list[str]:
    """What processes wrote in the folder of the test."""
    folder: Mapping[str, Any] = getattr(item, "funcargs", {})
    tmp_path = folder.get("tmp_path")
    if not isinstance(tmp_path, Path):
        return []
    return [file.read_text(errors="replace") for file in tmp_path.glob("*.log")]
