"""Where the fault is, from who answers on which way."""

import pytest

from smalt.doctor.findings import Area, Diagnosis, Finding, ok
from smalt.doctor.trials import Conclusion, Path, Provider, Trial, conclude

Row = tuple[Path, Provider, Area | None]


def trial(path: Path, provider: Provider, failed: Area | None) -> Trial:
    subject = f"{path}/{provider}"
    finding: Finding = ok("deployment", subject, "answers")
    if failed:
        finding = Diagnosis(failed, "code", "cause").fault(subject, "found")
    return Trial(path, provider, finding)


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ([("azure", "azure", None), ("proxy", "azure", None)], "none"),
        (
            [("azure", "azure", None), ("proxy", "azure", "authentication"), ("proxy", "openai", None)],
            "proxy",
        ),
        ([("azure", "azure", None), ("proxy", "azure", "deployment")], "proxy"),
        (
            [("azure", "azure", None), ("proxy", "openai", "authentication"), ("proxy", "azure", None)],
            "proxy",
        ),
        ([("azure", "azure", "authentication"), ("proxy", "azure", "authentication")], "azure"),
        ([("azure", "azure", "deployment"), ("proxy", "azure", None)], "azure"),
        ([("proxy", "azure", "authentication"), ("proxy", "openai", None)], "azure"),
        ([("proxy", "openai", "authentication"), ("proxy", "azure", None)], "proxy"),
        ([("proxy", "azure", "authentication"), ("proxy", "openai", "authentication")], "proxy"),
        ([("proxy", "unknown", "authentication")], "proxy"),
        ([("azure", "azure", "name"), ("proxy", "azure", None)], "network"),
        ([("azure", "azure", "tls"), ("proxy", "azure", "connection")], "network"),
        ([("azure", "azure", "name"), ("proxy", "azure", "authentication")], "proxy"),
        ([("azure", "azure", "doctor"), ("proxy", "azure", None)], "smalt"),
        ([("azure", "azure", "doctor"), ("proxy", "azure", "name")], "network"),
        ([("openai", "openai", "authentication"), ("azure", "azure", None)], "openai"),
    ],
)
def test_where_the_fault_is(rows: list[Row], where: str) -> None:
    """A way that cannot be reached accuses nobody's settings; what answers straight accuses the proxy."""
    assert conclude([trial(*row) for row in rows]).where == where


def test_who_failed_is_named() -> None:
    """For people."""
    told = conclude([trial("azure", "azure", None), trial("proxy", "azure", "authentication")])
    assert told == Conclusion(
        "proxy", "Azure answers straight, proxy/azure fails: look at the proxy's settings"
    )
