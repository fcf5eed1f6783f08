"""Misconfigurations on purpose: each is named exactly, and nothing else is accused beside it."""

import threading
from collections.abc import Sequence
from datetime import date

import pytest
from tests.integration.doctor import plants_admission, plants_deployments, plants_machine, plants_reach
from tests.integration.doctor.conftest import SUBDOMAIN, Azure
from tests.integration.doctor.planting import PLANTS, Plant, World
from tests.integration.doctor.proxy import connect_proxy

from smalt.emulator.testing import Handle

TABLES = (plants_admission, plants_reach, plants_deployments, plants_machine)  # each adds to PLANTS


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_each_is_named_exactly(plant: Plant, azure: Azure, plain_server: Handle, closed_port: int) -> None:
    """Area, cause and what to do; no other fault or warning beside it."""
    azure.around["today"] = lambda: date(2026, 11, 21)
    findings = azure.findings(plant.make(World(azure, plain_server, closed_port)))
    accused = [finding for finding in findings if finding.verdict in {"fault", "warning"}]
    assert [(finding.area, finding.code) for finding in accused] == [(plant.area, plant.code)], accused
    (finding,) = accused
    assert finding.verdict == ("warning" if plant.is_warning else "fault")
    assert plant.says in finding.cause
    assert finding.mend
    assert finding.found


def test_there_are_enough() -> None:
    """Thirty were promised."""
    assert len(PLANTS) >= 30


def test_a_fault_of_smalt_itself_is_a_finding(azure: Azure) -> None:
    """Of the resource it came up with; the others are examined all the same."""

    def resolve(host: str) -> Sequence[str]:
        if host == SUBDOMAIN:
            raise LookupError("nobody thought of this")
        return ["127.0.0.1"]

    azure.around["resolve"] = resolve
    east = azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")
    findings = azure.findings({"east": east, "sweden": azure.sweden()})
    (fault,) = [finding for finding in findings if finding.verdict == "fault"]
    assert (fault.subject, fault.area, fault.code) == ("east", "doctor", "doctor_failed")
    assert "LookupError: nobody thought of this (test_planted.py:" in fault.found
    assert "report it" in fault.mend[0]
    assert ("deployment", "sweden/gpt-4o-prod", "ok") in {(f.area, f.subject, f.verdict) for f in findings}


def test_a_variable_is_one_word_to_the_shell(azure: Azure) -> None:
    """Whatever the environment held in it before."""
    azure.names[SUBDOMAIN] = ["10.1.2.3"]
    azure.patch.setenv("HTTPS_PROXY", connect_proxy({SUBDOMAIN: "127.0.0.1"}))
    azure.patch.setenv("NO_PROXY", "`x`,*.contoso.com")
    findings = azure.findings({"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")})
    (warning,) = [finding for finding in findings if finding.code == "private_through_proxy"]
    assert warning.mend[0].startswith(f"export NO_PROXY='`x`,*.contoso.com,{SUBDOMAIN}'")


def test_no_thread_is_left(azure: Azure) -> None:
    """Probes run at the same time, and end."""
    azure.findings({"east": azure.east(), "sweden": azure.sweden()})
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("doctor ")]
