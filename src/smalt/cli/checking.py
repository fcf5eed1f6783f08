"""`smalt check`: what the configuration adds up to. No server is asked."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from smalt.config import Settings
from smalt.config.advice import warnings
from smalt.config.check import check as check_document
from smalt.config.document import Document
from smalt.config.loading import read
from smalt.config.routes import Plan, plans
from smalt.config.upstreams import upstreams
from smalt.core.routes import AZURE_PREFIX
from smalt.core.settings import PoolSpec, StrategyName
from smalt.errors import ConfigurationError

USUAL = PoolSpec(()).strategy


@dataclass(frozen=True, slots=True)
class Served:
    """How one name is served: as this `model`.

    `tiers`, `strategy`: of its own pool. `fallbacks`: the models whose pools follow. `needs`: abilities.
    `residency`: the zone, None for no fence. `excluded`: upstreams that residency shuts out, and why.
    """

    model: str
    tiers: Sequence[Sequence[str]]
    strategy: StrategyName
    fallbacks: Sequence[str]
    needs: Sequence[str]
    residency: str | None
    excluded: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Summary:
    """What usable settings add up to. `routes`: by model, pattern, `azure/<deployment>`, `agent/<name>`."""

    resources: int
    deployments: int
    routes: Mapping[str, Served]
    warnings: Sequence[str]


def check(path: Path | None, overlay: str | None, *, as_json: bool) -> None:
    """Raises ConfigurationError with every problem; under `as_json` they are the document printed."""
    try:
        document = read(path, env=os.environ, overlay=overlay, cwd=Path.cwd())
        summary = summary_of(check_document(document), document)
    except ConfigurationError as error:
        if not as_json:
            raise
        print(json.dumps({"ok": False, "problems": error.problems or [error.message]}))
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps({"ok": True, **asdict(summary)}))
    else:
        _show(summary)


def summary_of(settings: Settings, document: Document | None = None) -> Summary:
    specs = upstreams(settings)
    return Summary(
        resources=len(settings.resources),
        deployments=len(specs),
        routes={name: _served(plan, settings) for name, plan in plans(settings, specs).items()},
        warnings=warnings(settings, document),
    )


def _served(plan: Plan, settings: Settings) -> Served:
    own, *fallbacks = plan.pools
    written = settings.models.get(plan.model)
    return Served(
        model=plan.model,
        tiers=plan.pools[own].tiers,
        strategy=plan.pools[own].strategy,
        fallbacks=fallbacks,
        needs=sorted(plan.needs),
        residency=written.residency if written else None,
        excluded=plan.excluded,
    )


def _show(summary: Summary) -> None:
    console = Console(highlight=False, soft_wrap=True)
    counts = f"{summary.resources} resources, {summary.deployments} deployments"
    console.print(f"[green]ok[/]: {counts}; what is asked for, and who serves it:")
    shown = {name: served for name, served in summary.routes.items() if not name.startswith(AZURE_PREFIX)}
    width = max(map(len, shown), default=0)
    for name, served in shown.items():
        first, *more = _lines(name, served)
        console.print(f"  {name:<{width}}  {first}", markup=False)
        for line in more:
            console.print(f"  {'':<{width}}  {line}", markup=False)
    for warning in summary.warnings:
        console.print("[yellow]warning[/]:", escape(warning))


def _lines(name: str, served: Served) -> Iterator[str]:
    """Who serves it, and a line for everything that is not as usual."""
    if name != served.model:  # an agent
        yield f"as {served.model}"
        if served.needs:
            yield f"needs {', '.join(served.needs)}"
        if served.fallbacks:
            yield f"fallbacks {', '.join(served.fallbacks)}"
        return
    tiers = (", ".join(name if "/" in name else f"{name}/<name>" for name in tier) for tier in served.tiers)
    yield ", then ".join(tiers) or "its fallbacks alone"
    if served.strategy != USUAL:
        yield f"strategy {served.strategy}"
    if served.fallbacks:
        yield f"fallbacks {', '.join(served.fallbacks)}"
    if served.residency:
        yield f"residency {served.residency}"
    for upstream, why in served.excluded.items():
        yield f"without {upstream}: {why}"
