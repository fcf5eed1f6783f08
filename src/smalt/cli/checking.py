"""`smalt check` and `smalt config`: what the configuration says. No server is asked."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from ruamel.yaml import YAML

from smalt.config import Settings, freeze, json_schema, load
from smalt.core.routes import AZURE_PREFIX
from smalt.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Summary:
    """What usable settings add up to. `routes`: the tiers of each model."""

    resources: int
    deployments: int
    routes: dict[str, Sequence[Sequence[str]]]
    warnings: Sequence[str]


def check(path: Path | None, overlay: str | None, *, as_json: bool) -> None:
    """Raises ConfigurationError with every problem; under `as_json` they are the document printed."""
    try:
        summary = summary_of(_load(path, overlay))
    except ConfigurationError as error:
        if not as_json:
            raise
        print(json.dumps({"ok": False, "problems": error.problems or [error.message]}))
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps({"ok": True, **asdict(summary)}))
    else:
        _show(summary)


def summary_of(settings: Settings) -> Summary:
    return Summary(
        resources=len(settings.resources),
        deployments=sum(len(resource.deployments) for resource in settings.resources.values()),
        routes={model: route.tiers for model, route in freeze(settings).routes.items()},
        warnings=settings.warnings,
    )


def print_schema() -> None:
    print(json.dumps(json_schema(), indent=2))


def show(path: Path | None, overlay: str | None, *, as_json: bool) -> None:
    effective = _load(path, overlay).model_dump(mode="json")  # pydantic writes secrets as asterisks
    if as_json:
        print(json.dumps(effective, indent=2))
        return
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(effective, sys.stdout)


def _load(path: Path | None, overlay: str | None) -> Settings:
    return load(path, env=os.environ, overlay=overlay, cwd=Path.cwd())


def _show(summary: Summary) -> None:
    console = Console(highlight=False, soft_wrap=True)
    counts = f"{summary.resources} resources, {summary.deployments} deployments"
    console.print(f"[green]ok[/]: {counts}; what is asked for, and who serves it:")
    routes = {model: tiers for model, tiers in summary.routes.items() if not model.startswith(AZURE_PREFIX)}
    width = max(map(len, routes), default=0)
    for model, tiers in routes.items():
        console.print(
            f"  {model:<{width}}  {', then '.join(', '.join(tier) for tier in tiers)}", markup=False
        )
    for warning in summary.warnings:
        console.print("[yellow]warning[/]:", escape(warning))
