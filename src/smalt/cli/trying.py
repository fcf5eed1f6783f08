"""`smalt doctor --matrix` and `smalt test`: which way answers, and where the fault is."""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from smalt.cli.doctoring import columns, settings_of, show_fault, surroundings, watched
from smalt.doctor import trials
from smalt.doctor.trials import Conclusion, Trial, conclude, path_of, try_out
from smalt.errors import ConfigurationError

_MISSING = {
    "azure": "no resource of kind azure is configured",
    "proxy": "no proxy is configured: a resource with kind: openai, and its endpoint up to /v1",
    "openai": "OpenAI itself is not configured: a resource with kind: openai and https://api.openai.com/v1",
}
_WHERE = {
    "none": "[green]no fault[/]",
    "network": "The fault is in the [red]network[/]",
    "smalt": "The fault is in [red]smalt itself[/]",
    "azure": "The fault is in the [red]Azure config[/]",
    "proxy": "The fault is in the [red]proxy config[/]",
    "openai": "The fault is in the [red]OpenAI config[/]",
}


def matrix(path: Path | None, overlay: str | None, *, as_json: bool) -> None:
    """Every way. Exits with 1 if a deployment does not answer."""
    _run(path, overlay, trials.PATHS, as_json=as_json)


def one_path(wanted: trials.Path, path: Path | None, overlay: str | None, *, as_json: bool) -> None:
    """Raises ConfigurationError if there is no such way. Exits as `matrix` does."""
    _run(path, overlay, (wanted,), as_json=as_json)


def _run(path: Path | None, overlay: str | None, wanted: Collection[trials.Path], *, as_json: bool) -> None:
    settings = settings_of(path, overlay)
    if not any(path_of(resource) in wanted for resource in settings.resources.values()):
        raise ConfigurationError(_MISSING[next(iter(wanted))])
    with watched(as_json=as_json) as tell:
        told = try_out(settings, surroundings(), wanted, tell)
    conclusion = conclude(told)
    if as_json:
        print(json.dumps({**asdict(conclusion), "trials": [asdict(trial) for trial in told]}, indent=2))
    else:
        _show(told, conclusion)
    if conclusion.where != "none":
        raise typer.Exit(1)


def _show(told: Sequence[Trial], conclusion: Conclusion) -> None:
    console = Console(highlight=False)
    found = [(trial, trial.finding) for trial in told]
    rows = [(one.verdict, trial.path, trial.provider, one.subject, one.found) for trial, one in found]
    for line in columns(rows):
        console.print(line, soft_wrap=True)
    for trial in told:
        if not trial.answered:
            show_fault(console, trial.finding)
    console.print(f"\n{_WHERE[conclusion.where]}: {escape(conclusion.why)}.", soft_wrap=True)
