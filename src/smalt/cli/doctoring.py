"""`smalt doctor` and `smalt validate`: findings as a table, or as JSON."""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from smalt.config import Settings, load
from smalt.doctor.checkup import Tell, diagnose
from smalt.doctor.findings import Finding, Verdict, healthy
from smalt.doctor.surroundings import Surroundings

COLOURS: dict[Verdict, str] = {"ok": "green", "warning": "yellow", "fault": "red", "skipped": "dim"}


def doctor(path: Path | None, overlay: str | None, *, as_json: bool) -> None:
    """Exits with 1 if there is a fault."""
    with watched(as_json=as_json) as tell:
        findings = diagnose(lambda: settings_of(path, overlay), surroundings(), tell)
    if as_json:
        print(json.dumps({"ok": healthy(findings), "findings": [asdict(one) for one in findings]}, indent=2))
    else:
        _show(findings)
    if not healthy(findings):
        raise typer.Exit(1)


def settings_of(path: Path | None, overlay: str | None) -> Settings:
    return load(path, env=os.environ, overlay=overlay, cwd=Path.cwd())


def surroundings() -> Surroundings:
    return Surroundings(os.environ)


@contextmanager
def watched(*, as_json: bool) -> Iterator[Tell]:
    """What is being looked at, on standard error, where a person can see it."""
    quiet()
    console = Console(stderr=True)
    if as_json or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("looking") as status:
        yield lambda finding: status.update(escape(f"{finding.area} {finding.subject}".strip()))


def _show(findings: Sequence[Finding]) -> None:
    console = Console(highlight=False)
    rows = [(one.verdict, one.subject or "this machine", one.area, one.found) for one in findings]
    for line in columns(rows):
        console.print(line, soft_wrap=True)
    for one in findings:
        if one.verdict in ("fault", "warning"):
            show_fault(console, one)
    faults, warnings = (sum(one.verdict == verdict for one in findings) for verdict in ("fault", "warning"))
    console.print(f"\n{_counted(faults, 'fault')}, {_counted(warnings, 'warning')}")


def columns(rows: Sequence[tuple[Verdict, *tuple[str, ...]]]) -> Iterator[str]:
    """Lines of markup; the last column is as long as it is: folded it is hard to read and to search."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        mark, *cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join([f"[{COLOURS[row[0]]}]{mark}[/]", *map(escape, cells)]).rstrip()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def quiet() -> None:
    """What the libraries of Azure log is in the findings already."""
    for name in ("azure", "msal", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def show_fault(console: Console, one: Finding) -> None:
    """What was seen, what it means, and the steps."""
    head = f"{escape(one.subject or 'this machine')}: {escape(one.found)}"
    console.print(f"\n[{COLOURS[one.verdict]}]{one.verdict}[/] {head}", soft_wrap=True)
    console.print(f"  {one.cause}", markup=False, soft_wrap=True)
    for step in one.mend:
        console.print(f"  {'$' if is_command(step) else '-'} {step}", markup=False, soft_wrap=True)


def is_command(step: str) -> bool:
    """Whether a step can be typed as it stands."""
    return step.partition(" ")[0] in {
        "az",
        "curl",
        "date",
        "export",
        "getent",
        "pip",
        "smalt",
        "sudo",
        "unset",
    }
