"""`smalt emulate`."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smalt.cli.curl import HELLO, curl
from smalt.cli.processes import needs
from smalt.errors import ConfigurationError

with needs("smalt emulate", "emulator"):
    from smalt.emulator import Emulator, default_fleet, event_loop, load_fleet, serve

MARK = "# Written by smalt emulate: leads to the emulator that wrote it. Its keys are made up.\n"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`fleet`: a fleet.yaml; None for the default one at `port_base`."""

    fleet: Path | None
    port_base: int
    seed: int


def run(wanted: Wanted, write_config: Path | None, *, force: bool, as_json: bool) -> None:
    """Until SIGINT or SIGTERM. Raises ConfigurationError if a file or port cannot be used."""
    fleet = load_fleet(wanted.fleet) if wanted.fleet else default_fleet(wanted.port_base)
    if write_config and not force:
        _refuse_foreign(write_config)

    def ready(emulator: Emulator) -> None:
        if write_config:
            _write(write_config, MARK + emulator.smalt_config())
        told = announcement(emulator)
        print(json.dumps(told) if as_json else "\n".join(_lines(told, write_config)), flush=True)

    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(serve(fleet, seed=wanted.seed, ready=ready))


def announcement(emulator: Emulator) -> dict[str, Any]:
    """Where the emulator is and what it offers."""
    return {
        "control_url": emulator.control_url,
        "resources": {
            name: {
                "endpoint": emulator.url(name),
                "region": resource.region,
                "api_keys": resource.keys,
                "deployments": {d.name: d.model for d in resource.deployments.values()},
            }
            for name, resource in emulator.fleet.resources.items()
        },
    }


def _lines(told: dict[str, Any], written: Path | None) -> list[str]:
    lines = ["An offline Azure OpenAI is ready; Ctrl-C ends it.", ""]
    for name, resource in told["resources"].items():
        lines += [
            f"{name}  {resource['region']}",
            f"  endpoint     {resource['endpoint']}",
            f"  keys         {', '.join(resource['api_keys'])}   (made up)",
            f"  deployments  {', '.join(resource['deployments'])}",
        ]
    lines += ["", f"Control plane: {told['control_url']}/_emulator/state   (cut a region, read the bill)"]
    if example := _curl(told):
        lines += ["", "Try it:", f"  {example}"]
    if written:
        lines += ["", "A gateway before it, in another terminal:", f"  smalt serve --config {written}"]
    return lines


def _curl(told: dict[str, Any]) -> str | None:
    for resource in told["resources"].values():
        for deployment, model in resource["deployments"].items():
            if "embedding" not in model:
                path = f"/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21"
                header = f"api-key: {resource['api_keys'][0]}"
                return curl(resource["endpoint"] + path, header, {"messages": HELLO})
    return None


def _refuse_foreign(path: Path) -> None:
    try:
        ours = path.read_text(encoding="utf-8").startswith(MARK)
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError):
        ours = False
    if not ours:
        raise ConfigurationError(
            f"{path} is there and was not written by smalt emulate; choose another name, or --force"
        )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
