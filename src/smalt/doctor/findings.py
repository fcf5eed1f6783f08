"""What a probe found: one value, whoever reads it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from smalt.redact import redacted

Verdict = Literal["ok", "warning", "fault", "skipped"]
Area = Literal[
    "environment",
    "packages",
    "file",
    "endpoint",
    "name",
    "proxy",
    "connection",
    "tls",
    "authentication",
    "version",
    "deployment",
    "quota",
    "retirement",
    "clock",
    "prices",
    "control plane",
    "doctor",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject`: a resource, `resource/deployment`, or empty for the machine. `code`: the cause in a word for
    programs, empty if nothing is wrong. `found`: what was seen. `cause`: what that means. `mend`: the steps,
    commands among them, in order.

    A warning works but should be looked at; what was skipped could not be judged, and `found` says why.
    """

    area: Area
    subject: str
    verdict: Verdict
    found: str
    code: str = ""
    cause: str = ""
    mend: tuple[str, ...] = ()


def ok(area: Area, subject: str, found: str) -> Finding:
    return Finding(area, subject, "ok", found)


def skipped(area: Area, subject: str, why: str) -> Finding:
    return Finding(area, subject, "skipped", redacted(why))


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong, before it is known of whom."""

    area: Area
    code: str
    cause: str
    mend: Sequence[str] = ()

    def fault(self, subject: str, found: str) -> Finding:
        return Finding(self.area, subject, "fault", redacted(found), self.code, self.cause, tuple(self.mend))

    def warning(self, subject: str, found: str) -> Finding:
        return Finding(
            self.area, subject, "warning", redacted(found), self.code, self.cause, tuple(self.mend)
        )


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether there is no fault among them; warnings and what was skipped do no harm."""
    return all(finding.verdict != "fault" for finding in findings)
