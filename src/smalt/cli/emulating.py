"""`smalt emulate`."""

import asyncio
import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from smalt.cli.curl import HELLO, curl
from smalt.cli.processes import needs
from smalt.cli.writing import write_text
from smalt.errors import ConfigurationError

with needs("smalt emulate", "emulator"):
    from smalt.emulator import Emulator, Fleet, default_fleet, event_loop, load_fleet, serve

PORT_BASE = 8100
MARK = "# Written by smalt emulate: leads to the emulator that wrote it. Its keys are made up.\n"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`config`: a fleet.yaml; None for the default fleet at `port_base`. `speed`: None for the fleet's own.

    `tls`: also if the fleet does not ask for it.
    """

    config: Path | None
    port_base: int | None
    seed: int
    speed: float | None = None
    tls: bool = False

    def fleet(self) -> Fleet:
        """Raises ConfigurationError if the file, BadParameter if the rest cannot be used."""
        if self.config and self.port_base is not None:
            raise typer.BadParameter("the ports stand in the file of --config", param_hint="'--port-base'")
        if self.speed is not None and not 0 < self.speed < math.inf:
            raise typer.BadParameter("write how many times faster, a number above 0", param_hint="'--speed'")
        base = PORT_BASE if self.port_base is None else self.port_base
        fleet = load_fleet(self.config) if self.config else default_fleet(base)
        return fleet.adapted(speed=self.speed, tls=self.tls)


def run(wanted: Wanted, write_config: Path | None, *, force: bool, as_json: bool) -> None:
    """Until SIGINT or SIGTERM. Raises ConfigurationError if a file or port cannot be used."""
    fleet = wanted.fleet()
    if write_config and not force:
        _refuse_foreign(write_config)

    def ready(emulator: Emulator) -> None:
        if write_config:
            write_text(write_config, MARK + emulator.smalt_config())
        told = announcement(emulator)
        print(json.dumps(told) if as_json else "\n".join(_lines(told, write_config)), flush=True)

    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(serve(fleet, seed=wanted.seed, ready=ready))


def announcement(emulator: Emulator) -> dict[str, Any]:
    """Where the emulator is and what it offers. `identity`: None if the fleet has none."""
    spec, services = emulator.fleet.identity, emulator.services()
    return {
        "control_url": emulator.control_url,
        "speed": emulator.fleet.speed,
        "ca_file": services["ca_file"],
        "identity": services["identity"],
        "client_secrets": {name: p.secrets for name, p in spec.principals.items()} if spec else {},
        "vaults": services["vaults"],
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
    lines += _services(told)
    lines += ["", f"Control plane: {told['control_url']}/_emulator/state   (cut a region, read the bill)"]
    if told["speed"] != 1:
        lines.append(f"Speed: limits and waits are {told['speed']:g} times shorter than Azure's.")
    if ca_file := told["ca_file"]:
        quoted = shlex.quote(ca_file)
        trust = f"  export SSL_CERT_FILE={quoted} REQUESTS_CA_BUNDLE={quoted}"
        lines += ["", "For clients to trust it (the second is for azure-identity):", trust]
    if example := _curl(told):
        lines += ["", "Try it:", f"  {example}"]
    if written:
        trust = f"SSL_CERT_FILE={shlex.quote(ca_file)} " if ca_file else ""
        serve = f"  {trust}smalt serve --config {shlex.quote(str(written))}"
        lines += ["", "A gateway before it, in another terminal:", serve]
    return lines


def _services(told: dict[str, Any]) -> list[str]:
    """Entra ID and what else stands beside the resources."""
    identity = told["identity"]
    if not identity:
        return []
    lines = ["Entra ID", f"  authority    {identity['authority']}"]
    lines += [f"  tenant       {guid}   ({name})" for name, guid in identity["tenants"].items()]
    for name, principal in identity["principals"].items():
        lines.append(f"  {principal['kind']:<11}  {name}: client_id {principal['client_id']}")
        lines += [
            f"               client_secret {secret}   (made up)" for secret in told["client_secrets"][name]
        ]
    lines += [f"  machines     {name}={value}" for name, value in identity["imds"].items()]
    return [
        *lines,
        *(f"vault {name}  {url}" for name, url in told["vaults"].items()),
        f"ARM  {identity['arm']}",
    ]


def _curl(told: dict[str, Any]) -> str | None:
    for resource in told["resources"].values():
        for deployment, model in resource["deployments"].items():
            if "embedding" not in model:
                path = f"/openai/deployments/{deployment}/chat/completions?api-version=2024-10-21"
                header = f"api-key: {resource['api_keys'][0]}"
                url = resource["endpoint"] + path
                return curl(url, header, {"messages": HELLO}, ca_file=told["ca_file"])
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
