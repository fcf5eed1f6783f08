"""The way in: what becomes of errors, missing parts and help."""

import builtins
import runpy
import subprocess
import sys
from typing import Any

import pytest

from smalt import cli
from smalt.errors import ConfigurationError, MissingAuth

COMMANDS = (
    "serve",
    "emulate",
    "init",
    "check",
    "demo",
    "doctor",
    "validate",
    "version",
    "config schema",
    "config show",
    "config get",
    "config set",
    "secrets set",
    "secrets list",
    "secrets remove",
)


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """The code `smalt ARGUMENTS` ends with, or the text Python prints before it ends with 1."""
    monkeypatch.setattr(sys, "argv", ["smalt", *arguments])
    with pytest.raises(SystemExit) as over:
        cli.main()
    return over.value.code


@pytest.fixture
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "200"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("plain_terminal")
@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command shows how it is typed."""
    assert ended(monkeypatch, *command.split(), "--help") == 0
    assert f"Example: smalt {command}" in capsys.readouterr().out


@pytest.mark.usefixtures("plain_terminal")
def test_hidden_options_stay_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only our own processes say to each other is not in the help."""
    ended(monkeypatch, "serve", "--help")
    assert "--end-with-stdin" not in capsys.readouterr().out


def test_the_version_is_said_both_ways(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`smalt version` and `smalt --version` say the same."""
    codes = [ended(monkeypatch, word) for word in ("version", "--version")]
    first, second = capsys.readouterr().out.splitlines()
    assert codes == [0, 0]
    assert first == second == "smalt 0.1.0"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConfigurationError("bad:", problems=["one", "two"]), "smalt: bad:\none\ntwo"),
        (
            MissingAuth("no key"),
            f"smalt: no key\n  {MissingAuth.resolution[0]}",
        ),
    ],
)
def test_errors_become_lines(error: Exception, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message, one line for each problem, then the steps that mend it."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert ended(monkeypatch) == text


def test_without_typer_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install has no command line; it says how to get one."""
    real = builtins.__import__

    def without_typer(name: str, *rest: Any) -> Any:
        if name == "typer":
            raise ModuleNotFoundError("No module named 'typer'", name="typer")
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "smalt.cli.app", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_typer)
    said = ended(monkeypatch)
    assert said == "smalt: the command line needs an optional part of smalt: pip install 'smalt[gateway]'"


def test_ctrl_c_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """As shells expect: 128 and the number of SIGINT."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert ended(monkeypatch) == 130


def test_the_package_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m smalt` is the same program."""
    monkeypatch.setattr(sys, "argv", ["smalt", "version"])
    with pytest.raises(SystemExit):
        runpy.run_module("smalt", run_name="__main__")
    assert capsys.readouterr().out.startswith("smalt ")


@pytest.mark.parametrize(
    ("arguments", "absent", "extra"),
    [
        (["demo"], "openai", "openai"),
        (["serve"], "uvicorn", "gateway"),
        (["emulate"], "httptools", "emulator"),
    ],
)
def test_a_command_whose_part_is_missing_names_the_extra(
    arguments: list[str], absent: str, extra: str
) -> None:
    """One line with the command that mends it, whatever is absent."""
    code = (
        f"import sys; sys.modules[{absent!r}] = None; sys.argv[1:] = {arguments}\n"
        "from smalt.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(f"needs an optional part of smalt: pip install 'smalt[{extra}]'")
    assert done.stderr.count("\n") == 1
