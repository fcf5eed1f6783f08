"""`smalt doctor`: every probe, in an order in which the first fault is the one to mend."""

import ssl
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Final

from smalt.config.network import ca_pem
from smalt.config.schema import Settings
from smalt.dispatch.connection import trust
from smalt.doctor import machine
from smalt.doctor.examination import Examination
from smalt.doctor.findings import Diagnosis, Finding
from smalt.doctor.layers import of_layers
from smalt.doctor.patient import Patient
from smalt.doctor.silence import LOOK
from smalt.doctor.surroundings import Surroundings
from smalt.doctor.together import Unfinished, together
from smalt.errors import ConfigurationError

LIMIT_S: Final = 120.0  # for all resources, which are examined at the same time

Tell = Callable[[Finding], None]


def check_up(settings: Settings, around: Surroundings, tell: Tell = lambda _: None) -> tuple[Finding, ...]:
    """Everything found, by resource. Bills nothing: see `questions.py`.

    `settings`: checked. `tell`: told of each finding as it comes. Raises ConfigurationError if the
    certificates to trust cannot be read.
    """
    found = list(
        chain(
            machine.of_machine(around),
            machine.of_packages(settings, around),
            machine.of_settings(settings),
            of_layers(settings, around.env),
            [machine.of_prices(around)],
        )
    )
    for finding in found:
        tell(finding)
    examinations = {patient.name: Examination(patient) for patient in patients(settings, around)}
    jobs = {name: one.findings for name, one in examinations.items()}
    by_resource: dict[str, list[Finding]] = {name: [] for name in examinations}
    try:
        for name, finding in together(jobs, LIMIT_S, doctor_failed):
            by_resource[name].append(finding)
            tell(finding)
    except Unfinished as late:
        for name in late.names:
            by_resource[name].append(no_end(name, LIMIT_S))
    told = chain.from_iterable(by_resource.values())
    return (*found, *(_elsewhere(finding, examinations) for finding in told))


def diagnose(
    load: Callable[[], Settings], around: Surroundings, tell: Tell = lambda _: None
) -> tuple[Finding, ...]:
    """As `check_up`; settings that `load` refuses are findings, too."""
    try:
        settings = load()
    except ConfigurationError as error:
        found = (*machine.of_machine(around), *_unusable(error))
        for finding in found:
            tell(finding)
        return found
    return check_up(settings, around, tell)


def _unusable(error: ConfigurationError) -> tuple[Finding, ...]:
    """Settings that cannot be loaded: each problem is a fault, nothing else can be judged."""
    problems = error.problems or (error.message,)
    mend = error.resolution or ("smalt check   # says the same, and more of it",)
    return tuple(
        Diagnosis("file", "unusable_settings", "smalt cannot start with these settings", mend).fault("", line)
        for line in problems
    )


def patients(settings: Settings, around: Surroundings) -> Iterator[Patient]:
    """Every resource. Raises ConfigurationError if the certificates to trust cannot be read."""
    certificates = trust(ssl.create_default_context, ca_pem(settings.network))
    around = replace(around, network=settings.network)
    keys = {
        name: {key.get_secret_value() for key in resource.api_keys}
        for name, resource in settings.resources.items()
    }
    for name, resource in settings.resources.items():
        twins = {key: other for other, theirs in keys.items() if other != name for key in keys[name] & theirs}
        yield Patient(name, resource, certificates, around, twins, settings.key_vault.identity)


def no_end(name: str, limit_s: float) -> Finding:
    """Of a resource whose examination takes too long."""
    return Diagnosis("connection", "no_end", "it answers too slowly to be examined", LOOK).fault(
        name, f"no end within {limit_s:.0f} s"
    )


def doctor_failed(name: str, error: Exception) -> Finding:
    """Of a resource whose examination raised something."""
    *_, last = traceback.extract_tb(error.__traceback__) or [None]
    where = f" ({Path(last.filename).name}:{last.lineno})" if last else ""
    cause = "that is a fault of smalt, not of the settings; of the rest of this resource nothing is known"
    mend = ("report it, with this line and the version of smalt",)
    return Diagnosis("doctor", "doctor_failed", cause, mend).fault(
        name, f"the examination broke off: {type(error).__name__}: {error}{where}"
    )


def _elsewhere(finding: Finding, examinations: dict[str, Examination]) -> Finding:
    """The same, unless another resource has the deployment that is missing."""
    if finding.code != "unknown_deployment":
        return finding
    own, _, name = finding.subject.partition("/")
    for other, examination in examinations.items():
        if other != own and examination.has(name):
            cause = f"it is on {other}: deployments belong to one resource"
            mend = (f"move {name} to the deployments of {other} in smalt.yaml", *finding.mend)
            return replace(finding, code="deployment_elsewhere", cause=cause, mend=mend)
    return finding
