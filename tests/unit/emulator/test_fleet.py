from pathlib import Path

import pytest

from smalt.emulator.catalogue import MODELS
from smalt.emulator.fleet import Fleet, default_fleet, load_fleet
from smalt.errors import ConfigurationError

GOOD = """
control_port: 8100
token_ms: 2
resources:
  east:
    port: 8101
    region: eastus
    keys: [east-key-1, east-key-2]
    latency_ms: 7
    deployments:
      gpt-4o-prod: {model: gpt-4o, sku: Standard, capacity: 120}
      my dep/x: {model: gpt-4o-mini, capacity: 1}
"""


def load(tmp_path: Path, text: str) -> Fleet:
    path = tmp_path / "fleet.yaml"
    path.write_text(text, encoding="utf-8")
    return load_fleet(path)


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, text)
    return caught.value.problems


def test_a_file_becomes_a_fleet(tmp_path: Path) -> None:
    """Every value arrives; what a resource does not say it takes from the file's head or the default."""
    fleet = load(tmp_path, GOOD)
    east = fleet.resources["east"]
    assert (fleet.control_port, east.port, east.region, east.keys) == (
        8100,
        8101,
        "eastus",
        ("east-key-1", "east-key-2"),
    )
    assert (east.latency_ms, east.token_ms) == (7, 2)
    assert east.deployments["gpt-4o-prod"].limit_tpm == 120_000
    assert east.deployments["my dep/x"].sku == "Standard"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "control_port: 8100",
            "",
            "control_port: got None; write a port, or 0 for any free one, a whole number",
        ),
        ("port: 8101", "port: 8100", "resources.east.port: port 8100 is already that of control_port"),
        ("eastus", "moon", "resources.east.region: got 'moon'; use one of australiaeast"),
        ("[east-key-1, east-key-2]", "[1]", "resources.east.keys: write a list of one or two keys"),
        (
            "model: gpt-4o,",
            "model: gpt-9,",
            "resources.east.deployments.gpt-4o-prod.model: got 'gpt-9'; use one of",
        ),
        (
            "sku: Standard",
            "sku: Gold",
            "resources.east.deployments.gpt-4o-prod.sku: got 'Gold'; use one of Standard",
        ),
        (
            "capacity: 120",
            "capacity: 0",
            "resources.east.deployments.gpt-4o-prod.capacity: got 0; write thousands",
        ),
        (
            "latency_ms: 7",
            "latency_ms: -1",
            "resources.east.latency_ms: got -1; write milliseconds, 0 or more",
        ),
        (
            "latency_ms: 7",
            "delay: 7",
            "resources.east.delay: is not known; use deployments, keys, latency_ms",
        ),
        ("  east:", "  no/slash:", "resources.no/slash: use letters, digits, - and _ in the name"),
    ],
)
def test_a_fault_is_told_with_its_path_and_remedy(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """One fault is one line."""
    assert old in GOOD
    (told,) = problems(tmp_path, GOOD.replace(old, new))
    assert told.startswith(problem)
    assert "\n" not in told


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to mend a file one error at a time."""
    faulty = GOOD.replace("eastus", "moon").replace("capacity: 120", "capacity: x")
    assert len(problems(tmp_path, faulty)) == 2


@pytest.mark.parametrize("text", ["", "resources: {}", "control_port: 0\nresources: [east]"])
def test_a_fleet_needs_a_resource(tmp_path: Path, text: str) -> None:
    """An empty file or list of resources is a fault."""
    assert "resources: write at least one, by name" in problems(tmp_path, text)


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2", "a: \x00"])
def test_broken_yaml_is_one_clear_line(tmp_path: Path, text: str) -> None:
    """What is no YAML is told in one line with the file's name."""
    with pytest.raises(ConfigurationError, match=r"fleet\.yaml: is not YAML: ") as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(ConfigurationError, match=r"none\.yaml: cannot be read: No such file"):
        load_fleet(tmp_path / "none.yaml")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are a fault like any other."""
    path = tmp_path / "fleet.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load_fleet(path)


def test_the_default_fleet_has_every_common_model() -> None:
    """The models most used are there, three of them in at least two regions."""
    fleet = default_fleet(0)
    models = [d.model for r in fleet.resources.values() for d in r.deployments.values()]
    assert set(models) >= {"gpt-4o", "gpt-4o-mini", "gpt-4-turbo", "gpt-4", "gpt-35-turbo"}
    assert all(models.count(m) >= 2 for m in ("gpt-4o", "gpt-4o-mini", "text-embedding-3-small"))
    assert set(models) <= set(MODELS)


def test_the_default_fleets_ports_follow_the_base() -> None:
    """A base numbers all ports, 0 leaves them to the system."""
    assert [r.port for r in default_fleet(8100).resources.values()] == [8101, 8102, 8103]
    assert default_fleet(8100).control_port == 8100
    assert {r.port for r in default_fleet(0).resources.values()} == {0}


def test_the_default_keys_look_like_azures() -> None:
    """32 hexadecimal digits, all different, the same every time."""
    keys = [key for r in default_fleet(0).resources.values() for key in r.keys]
    assert len(set(keys)) == 6
    assert all(len(key) == 32 and int(key, 16) for key in keys)
    assert keys == [key for r in default_fleet(8100).resources.values() for key in r.keys]
