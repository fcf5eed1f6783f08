"""Faults as they are written."""

from pathlib import Path
from typing import Any

import pytest

from smalt.emulator.faults.filters import Filtered
from smalt.emulator.faults.registry import KINDS, Failure, UnknownFault, read_fault
from smalt.emulator.faults.wire import Gzip, ResetFault
from smalt.emulator.fleet import Fleet, load_fleet
from smalt.errors import ConfigurationError

FLEET = {"east": {"gpt-4o-prod", "gpt-4o-ptu"}, "west": {"gpt-4o-west"}}
FILE = """
control_port: 0
resources:
  east:
    port: 0
    region: eastus
    keys: [k]
    faults: %s
    deployments:
      plain: {model: gpt-4o, capacity: 1}
      late: {model: gpt-4o, capacity: 1, content_filter: %s, faults: %s}
"""


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_needs_no_more_than_its_name(kind: str) -> None:
    """But for the error, which must say which one."""
    more = {"error": "server_error"} if kind == "error" else {}
    assert type(read_fault({"kind": kind, **more}, FLEET)) is KINDS[kind]


def test_fields_arrive() -> None:
    """Those of the kind and those of place and time."""
    written = {"kind": "reset", "at": "in_body", "chunks": 3, "resource": "east", "times": 2}
    assert read_fault(written, FLEET) == ResetFault(at="in_body", chunks=3, resource="east", times=2)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("reset", "write a mapping with kind"),
        ({"at": "in_body"}, "got kind None"),
        ({"kind": "rest"}, "one of error, .*got kind 'rest'"),
        ({"kind": "reset", "at": "midway"}, "the reset fault cannot be used: Invalid enum value 'midway'"),
        ({"kind": "gzip", "every": 3}, "unknown field `every`"),
        ({"kind": "error"}, "missing required field `error`"),
        ({"kind": "error", "error": "nope"}, "there is no error 'nope'; use one of api_version_not"),
        ({"kind": "error", "error": "ws_connection_limit"}, "there is no error 'ws_connection_limit'"),
        ({"kind": "gzip", "probability": 0}, "Expected `float` > 0"),
        ({"kind": "gzip", "times": 0}, "Expected `int` >= 1"),
        ({"kind": "gzip", "operation": "chats"}, "Invalid enum value 'chats'"),
        ({"kind": "gzip", "resource": "south"}, "there is no resource 'south'; use one of east, west"),
        ({"kind": "redirect", "to": "http://x"}, "there is no to 'http://x'; use one of east, west"),
        (
            {"kind": "gzip", "deployment": "x"},
            "no deployment 'x'; use one of gpt-4o-prod, gpt-4o-ptu, gpt-4o-w",
        ),
        ({"kind": "gzip", "resource": "west", "deployment": "gpt-4o-ptu"}, "use one of gpt-4o-west"),
    ],
)
def test_what_cannot_be_used_is_told(written: Any, message: str) -> None:
    """In one line that says what to write instead."""
    with pytest.raises(UnknownFault, match=message):
        read_fault(written, FLEET)


def load(tmp_path: Path, *, resource: str = "[]", content_filter: str = "default", late: str = "[]") -> Fleet:
    path = tmp_path / "fleet.yaml"
    path.write_text(FILE % (resource, content_filter, late), encoding="utf-8")
    return load_fleet(path)


def test_the_fleet_file_places_its_faults(tmp_path: Path) -> None:
    """Those of a resource strike anywhere in it, those of a deployment only there."""
    fleet = load(
        tmp_path,
        resource="[{kind: error, error: server_error, deployment: plain, times: 3}, {kind: gzip}]",
        late="[{kind: filtered, after: 1}]",
    )
    assert fleet.resources["east"].faults == (
        Failure(error="server_error", resource="east", deployment="plain", times=3),
        Gzip(resource="east"),
        Filtered(after=1, resource="east", deployment="late"),
    )


def test_a_deployment_says_how_it_is_filtered(tmp_path: Path) -> None:
    """By default answers are held back until they are checked."""
    deployments = load(tmp_path, content_filter="async").resources["east"].deployments
    assert [deployment.content_filter for deployment in deployments.values()] == ["default", "async"]


def test_every_problem_of_the_file_has_its_place(tmp_path: Path) -> None:
    """The path leads to the fault."""
    with pytest.raises(ConfigurationError) as caught:
        load(
            tmp_path,
            resource="{kind: gzip}",
            content_filter="sometimes",
            late="[3, {kind: gzip, resource: east}, {kind: hang, at: noon}]",
        )
    deployment = "resources.east.deployments.late"
    places = [problem.split(": ")[0] for problem in caught.value.problems]
    assert places == [
        f"{deployment}.content_filter",
        "resources.east.faults",
        f"{deployment}.faults[0]",
        f"{deployment}.faults[1].resource",
        f"{deployment}.faults[2]",
    ]
