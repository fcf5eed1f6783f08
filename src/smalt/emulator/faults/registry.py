"""Every kind of fault by name, and how the fleet file and the control plane write one.

    {kind: error, error: server_error, deployment: gpt-4o-prod, times: 3}
    {kind: reset, at: in_body, chunks: 5, probability: 0.1, after_s: 60, for_s: 30}

What a kind takes besides where and when is in its class.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from smalt.emulator.faults import filters, streams, wire
from smalt.emulator.faults.script import Fault
from smalt.emulator.reading import Reader
from smalt.emulator.refusals import catalogue


class Failure(Fault, frozen=True, tag="error"):
    """The request is answered with an entry of `errors.json`, and billed as noted there."""

    error: str


KINDS: Mapping[str, type[Fault]] = {
    kind.__struct_config__.tag: kind  # type: ignore[misc]
    for kind in (
        Failure,
        filters.AsyncFilter,
        filters.FilterDown,
        filters.Filtered,
        streams.CleanCut,
        streams.Comments,
        streams.Crlf,
        streams.NoDone,
        streams.StreamError,
        wire.CloseFault,
        wire.CloseIdle,
        wire.ContentType,
        wire.Delay,
        wire.Gzip,
        wire.GzipBomb,
        wire.HangFault,
        wire.HugeHead,
        wire.OldHttp,
        wire.Redirect,
        wire.ResetFault,
        wire.SlowRead,
        wire.Split,
        wire.TruncatedJson,
    )
}


class UnknownFault(ValueError):
    """It cannot be used as it is written; the text says why."""


def read_fault(value: object, deployments: Mapping[str, set[str]]) -> Fault:
    """`deployments`: the names of each resource's. Raises `UnknownFault`."""
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UnknownFault(f"write a mapping with kind, one of {', '.join(KINDS)}; got kind {kind!r}")
    try:
        fault = msgspec.convert(value, KINDS[kind])
    except msgspec.ValidationError as error:
        raise UnknownFault(f"the {kind} fault cannot be used: {error}") from error
    _check_names(fault, deployments)
    return fault


def read_faults(reader: Reader, resources: Mapping[str, Any]) -> dict[str, tuple[Fault, ...]]:
    """The lists `faults` of resources and of their deployments. `resources`: as the fleet file has them."""
    specs = {name: spec if isinstance(spec, dict) else {} for name, spec in resources.items()}
    below = {name: _mapping(spec.get("deployments")) for name, spec in specs.items()}
    known = {name: set(deployments) for name, deployments in below.items()}
    found = {}
    for name, spec in specs.items():
        path = f"resources.{name}"
        faults = _read_list(reader, path, spec, {"resource": name}, known)
        for key, deployment in below[name].items():
            place = {"resource": name, "deployment": key}
            faults += _read_list(reader, f"{path}.deployments.{key}", _mapping(deployment), place, known)
        found[name] = tuple(faults)
    return found


def _read_list(
    reader: Reader, path: str, spec: dict[str, Any], place: dict[str, str], known: Mapping[str, set[str]]
) -> list[Fault]:
    """`place`: what the list's own place in the file says, and its entries cannot."""
    written = spec.get("faults", [])
    if not isinstance(written, list):
        reader.tell(f"{path}.faults", "write a list of faults")
        return []
    faults = []
    for index, entry in enumerate(written):
        fields = _mapping(entry)
        for name in place.keys() & fields.keys():
            reader.tell(f"{path}.faults[{index}].{name}", "leave it out: where the fault is written says it")
        try:
            faults.append(read_fault({**fields, **place}, known))
        except UnknownFault as error:
            reader.tell(f"{path}.faults[{index}]", str(error))
    return faults


def _mapping(value: object) -> dict[str, Any]:
    return {str(key): entry for key, entry in value.items()} if isinstance(value, dict) else {}


def _check_names(fault: Fault, deployments: Mapping[str, set[str]]) -> None:
    places: list[tuple[str, Any, Any]] = [
        ("resource", fault.resource, deployments),
        ("to", getattr(fault, "to", None), deployments),
        ("error", getattr(fault, "error", None), catalogue()),
        ("deployment", fault.deployment, _reachable(fault.resource, deployments)),
    ]
    for what, name, known in places:
        if name is not None and name not in known:
            raise UnknownFault(f"there is no {what} {name!r}; use one of {', '.join(sorted(known))}")


def _reachable(resource: str | None, deployments: Mapping[str, set[str]]) -> set[str]:
    return deployments.get(resource, set()) if resource else set().union(*deployments.values())
