from dataclasses import replace
from pathlib import Path

import pytest

from smalt.emulator.catalogue import MODELS
from smalt.emulator.deployments import Pool
from smalt.emulator.fleet import Fleet, default_fleet, load_fleet
from smalt.emulator.identity.spec import Tls
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
SHARED = """
control_port: 0
speed: 60
quotas:
  - {region: eastus, model: gpt-4o, sku: Standard, capacity: 200}
  - {region: eastus, sku: ProvisionedManaged, ptu: 100, subscription: other}
resources:
  one:
    port: 0
    region: eastus
    keys: [one-key]
    deployments:
      standard: {model: gpt-4o, capacity: 120}
      ptu: {model: gpt-4o, sku: ProvisionedManaged, ptu: 50, spillover: standard}
  two: {port: 0, region: eastus, keys: [two-key], deployments: {standard: {model: gpt-4o, capacity: 80}}}
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
            "resources.east.delay: is not known; use deployments, ",
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


def test_a_fleet_can_share_quotas_and_spill_over(tmp_path: Path) -> None:
    """What is provisioned counts in units; who names no subscription has the default one."""
    fleet = load(tmp_path, SHARED)
    assert (fleet.speed, fleet.resources["two"].subscription) == (60, "default")
    ptu = fleet.resources["one"].deployments["ptu"]
    assert (ptu.capacity, ptu.spillover, ptu.provisioned) == (50, "standard", True)
    granted = Pool("default", "eastus", "Standard", "gpt-4o")
    assert (fleet.quotas[granted], fleet.used()[granted]) == (200, 200)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("speed: 60", "speed: 0", "speed: got 0; write how many times faster, a number above 0"),
        (
            "ptu: 50,",
            "capacity: 50,",
            "resources.one.deployments.ptu.capacity: this SKU is provisioned: write ptu instead",
        ),
        (
            "capacity: 80",
            "ptu: 80",
            "resources.two.deployments.standard.ptu: this SKU is paid per token: write capacity instead",
        ),
        (
            "ptu: 50",
            "ptu: many",
            "resources.one.deployments.ptu.ptu: got 'many'; write provisioned throughput units, a whole",
        ),
        (
            "{model: gpt-4o, sku: Prov",
            "{model: gpt-4, sku: Prov",
            "resources.one.deployments.ptu.model: got 'gpt-4'; use one of gpt-4o, gpt-4o-mini, gpt-4.1",
        ),
        (
            "spillover: standard",
            "spillover: ptu",
            (
                "resources.one.deployments.ptu.spillover: got 'ptu'; name a standard deployment of the same "
                "resource: standard"
            ),
        ),
        (
            "{model: gpt-4o, capacity: 120}",
            "{model: gpt-4o, capacity: 120, spillover: ptu}",
            "resources.one.deployments.standard.spillover: only a provisioned deployment has it",
        ),
        (
            "capacity: 80",
            "capacity: 81",
            (
                "quotas: the deployments of gpt-4o Standard in eastus, subscription default take 201 "
                "thousands of tokens a minute of 200"
            ),
        ),
        (
            "ptu: 100, subscription: other",
            "ptu: 49",
            "quotas: the deployments of ProvisionedManaged in eastus, subscription default take 50 PTU of 49",
        ),
        (
            "ptu: 100,",
            "ptu: 100, model: gpt-4o,",
            "quotas[1].model: leave it out: PTUs are granted for all models together",
        ),
        (
            "sku: ProvisionedManaged, ptu: 100, subscription: other",
            "model: gpt-4o, capacity: 900",
            "quotas[1]: the quota of gpt-4o Standard in eastus, subscription default is given twice",
        ),
        ("region: eastus, model", "region: moon, model", "quotas[0].region: got 'moon'; use one of austr"),
    ],
)
def test_a_wrong_quota_is_told(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """Units, spillover and sums are checked, each with its remedy."""
    assert SHARED.count(old) == 1
    told = problems(tmp_path, SHARED.replace(old, new))
    assert [line for line in told if line.startswith(problem)]
    assert len(told) <= 2


def test_quotas_are_a_list(tmp_path: Path) -> None:
    """Anything else is told."""
    start, end = SHARED.index("quotas:"), SHARED.index("resources:")
    (told,) = problems(tmp_path, SHARED[:start] + "quotas: 5\n" + SHARED[end:])
    assert told.startswith("quotas: write a list of mappings")


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


def test_one_default_region_is_provisioned_and_spills_over() -> None:
    """The others are paid per token; the quota of none is limited."""
    fleet = default_fleet(0)
    provisioned = {
        f"{r.name}/{d.name}": d.spillover
        for r in fleet.resources.values()
        for d in r.deployments.values()
        if d.provisioned
    }
    assert provisioned == {"sweden/gpt-4o-ptu": "gpt-4o-prod"}
    assert (fleet.speed, fleet.quotas) == (1, {})


def test_a_deployment_may_name_the_version_of_its_model(tmp_path: Path) -> None:
    """One that exists; without any it is the newest."""
    file = tmp_path / "fleet.yaml"
    text = "\n".join(
        [
            "control_port: 0",
            "first_token_ms: 7",
            "answers: [{contains: hi, text: ho}]",
            "pass_through: http://localhost:1/v1",
            "resources:",
            "  east:",
            "    port: 0",
            "    region: eastus",
            "    keys: [k]",
            "    deployments:",
            "      old: {model: gpt-4o, version: 2024-08-06, capacity: 1}",
        ]
    )
    file.write_text(text)
    fleet = load_fleet(file)
    east = fleet.resources["east"]
    assert (east.deployments["old"].version, east.first_token_ms) == ("2024-08-06", 7.0)
    assert fleet.answers[0].text == "ho"
    assert fleet.pass_through
    file.write_text(text.replace("2024-08-06", "2024-08-07"))
    with pytest.raises(ConfigurationError) as caught:
        load_fleet(file)
    assert "deployments.old.version: got '2024-08-07'; use one of 2024-11-20" in str(caught.value.problems)


def test_adapted() -> None:
    """What is asked for wins; what is not asked for stays, a CA folder of the file's own too."""
    fleet = replace(default_fleet(0), speed=2.0)
    assert fleet.adapted() == fleet
    assert fleet.adapted(speed=60, tls=True) == replace(fleet, speed=60, tls=Tls())
    kept = replace(fleet, tls=Tls(hosts=("contoso.example",)))
    assert kept.adapted(tls=True) == kept
