"""The same small question on every way there is, and what follows from who answers.

This is the one part that bills: some twenty tokens for each deployment.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import urlsplit

from smalt.config.schema import Resource, Settings
from smalt.doctor import access
from smalt.doctor.asking import CLOSED, Answer
from smalt.doctor.checkup import LIMIT_S, Tell, doctor_failed, no_end, patients
from smalt.doctor.credentials import is_proxy
from smalt.doctor.examination import Examination
from smalt.doctor.findings import Area, Diagnosis, Finding, ok
from smalt.doctor.model_names import named
from smalt.doctor.questions import place
from smalt.doctor.silence import heard, of_silence
from smalt.doctor.surroundings import Surroundings
from smalt.doctor.together import Unfinished, together
from smalt.wire.classify import classify

Path = Literal["azure", "proxy", "openai"]
Provider = Literal["azure", "openai", "unknown"]
PATHS: Final[tuple[Path, ...]] = ("azure", "proxy", "openai")
LONGEST_WAIT_S: Final = 15.0
_OPENAI_HOST = "api.openai.com"
_NETWORK: frozenset[Area] = frozenset({"name", "proxy", "connection", "tls"})


@dataclass(frozen=True, slots=True)
class Trial:
    """One deployment on one way. `path`: straight to Azure, by a proxy (any OpenAI-compatible server),
    straight to OpenAI. `provider`: who stands behind it, `unknown` if a proxy's name does not tell."""

    path: Path
    provider: Provider
    finding: Finding

    @property
    def answered(self) -> bool:
        return self.finding.verdict == "ok"

    @property
    def on_the_way(self) -> bool:
        """Whether it failed before anybody could refuse."""
        return not self.answered and self.finding.area in _NETWORK


def path_of(resource: Resource) -> Path:
    if not is_proxy(resource):
        return "azure"
    return "openai" if urlsplit(resource.base_url).hostname == _OPENAI_HOST else "proxy"


def try_out(
    settings: Settings, around: Surroundings, wanted: Collection[Path], tell: Tell = lambda _: None
) -> tuple[Trial, ...]:
    """A question to every deployment on the paths that are wanted; those that the free probes find a fault
    with are not asked. In the order of the settings."""
    trials = {
        one.name: _Resource(Examination(one))
        for one in patients(settings, around)
        if path_of(one.resource) in wanted
    }
    found: dict[str, list[Trial]] = {name: [] for name in trials}
    try:
        for name, trial in together(
            {name: one.trials for name, one in trials.items()},
            2 * LIMIT_S,
            lambda name, error: trials[name].trial(doctor_failed(name, error)),
        ):
            found[name].append(trial)
            tell(trial.finding)
    except Unfinished as late:
        for name in late.names:
            found[name].append(trials[name].trial(no_end(name, 2 * LIMIT_S)))
    return tuple(trial for of_one in found.values() for trial in of_one)


@dataclass(frozen=True, slots=True)
class _Resource:
    examination: Examination

    def trials(self) -> Iterator[Trial]:
        examination = self.examination
        name, resource = examination.patient.name, examination.patient.resource
        faults = {one.subject: one for one in examination.findings() if one.verdict == "fault"}
        for deployment in resource.deployments:
            subject = f"{name}/{deployment}"
            known = faults.get(subject) or faults.get(name)
            yield self.trial(
                replace(known, subject=subject) if known else self._asked(subject, deployment), deployment
            )
        if not resource.deployments:
            unlisted = ok("deployment", name, "no deployment is listed, so none is asked")
            yield self.trial(faults.get(name, unlisted))

    def trial(self, finding: Finding, deployment: str = "") -> Trial:
        resource = self.examination.patient.resource
        return Trial(path_of(resource), _provider(resource, deployment), finding)

    def _asked(self, subject: str, deployment: str) -> Finding:
        examination, resource = self.examination, self.examination.patient.resource
        question = place(resource, deployment)
        if not question.askable:
            return ok("deployment", subject, f"{question.model} is not asked: it neither chats nor embeds")
        began_s = time.monotonic()
        try:
            answer = _patiently(lambda: examination.question(question))
        except CLOSED as error:
            return of_silence(error).fault(subject, heard(error))
        if answer.status != 200:
            return _refused(subject, answer)
        return _of_model(subject, resource, deployment, answer, time.monotonic() - began_s)


def _patiently(ask: Callable[[], Answer]) -> Answer:
    """Once more where the rate limit of a small deployment is hit: the free probe before counts, too."""
    answer = ask()
    wait_s = classify(answer.status, answer.headers, answer.body).wait_s if answer.status == 429 else None
    if wait_s is None or wait_s > LONGEST_WAIT_S:
        return answer
    time.sleep(wait_s)
    return ask()


def _refused(subject: str, answer: Answer) -> Finding:
    if answer.status == 429:
        cause = "the quota is used up for now; nothing is wrong with the settings"
        return Diagnosis("quota", "rate_limited", cause, ("wait a minute and ask again",)).fault(
            subject, access.said(answer)
        )
    cause = "a real question is refused, although one without content came as far as the model"
    mend = ("mend what the answer names",)
    return Diagnosis("deployment", "refused_question", cause, mend).fault(subject, access.said(answer))


def _of_model(subject: str, resource: Resource, deployment: str, answer: Answer, took_s: float) -> Finding:
    """Whether the model that answered is the one that is configured; a name nobody knows proves nothing."""
    told = answer.json
    name = str(told.get("model", "")) if isinstance(told, dict) else ""
    wanted = resource.deployments[deployment].model
    served, configured = named(name)[0], named(wanted)[0]
    if served and configured and served != configured:
        cause = "the layers disagree: what is configured under this name is not what answers"
        mend = (f"model: {served}   # in smalt.yaml, or mend the deployment or the proxy's own list",)
        return Diagnosis("deployment", "other_model", cause, mend).fault(
            subject, f"{wanted} is configured, {name} answers"
        )
    return ok("deployment", subject, f"{name or 'it'} answers in {took_s:.1f} s")


def _provider(resource: Resource, deployment: str) -> Provider:
    if path_of(resource) != "proxy":
        return "openai" if is_proxy(resource) else "azure"
    match deployment.partition("/")[0]:
        case "azure" | "azure_ai":
            return "azure"
        case "openai":
            return "openai"
        case _:
            return "unknown"


Where = Literal["none", "network", "smalt", "azure", "proxy", "openai"]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`where`: in whose configuration the fault is, or in the network or smalt itself. `why`: what that
    follows from."""

    where: Where
    why: str


def conclude(trials: Sequence[Trial]) -> Conclusion:
    """Where the fault is, from who answered on which way."""
    unanswered = [trial for trial in trials if not trial.answered]
    if not unanswered:
        return Conclusion("none", "every deployment answers on every way")
    failed = [trial for trial in unanswered if trial.finding.area != "doctor"]
    if not failed:
        return Conclusion(
            "smalt", f"{_names(unanswered)} could not be tried to the end; what was tried answers"
        )
    refused = [trial for trial in failed if not trial.on_the_way]
    if not refused:
        return Conclusion("network", f"{_names(failed)} cannot be reached; what was reached answers")
    straight = [trial for trial in refused if trial.path == "azure"]
    behind = [trial for trial in refused if trial.path == "proxy"]
    if straight:
        also = " and by the proxy" if behind else ""
        return Conclusion("azure", f"{_names(straight)} fails straight at Azure{also}")
    if behind:
        return _of_proxy(trials, behind)
    return Conclusion(
        "openai", f"{_names(refused)} fails straight at OpenAI; other ways answer or were not tried"
    )


def _of_proxy(trials: Sequence[Trial], behind: Sequence[Trial]) -> Conclusion:
    """Something fails by a proxy, nothing straight at Azure."""
    answering = {trial.provider for trial in trials if trial.path == "proxy" and trial.answered}
    straight = any(trial.path == "azure" and trial.answered for trial in trials)
    failing = {trial.provider for trial in behind}
    if straight:
        part = "the proxy's settings for it" if answering else "the proxy's settings"
        return Conclusion("proxy", f"Azure answers straight, {_names(behind)} fails: look at {part}")
    if "azure" in failing and "openai" in answering:
        return Conclusion(
            "azure", "the proxy answers for OpenAI and fails for Azure: key, endpoint or deployment"
        )
    if answering:
        return Conclusion("proxy", f"the proxy answers for others, {_names(behind)} fails")
    return Conclusion("proxy", "whatever the proxy is asked for fails")


def _names(trials: Sequence[Trial]) -> str:
    return ", ".join(trial.finding.subject for trial in trials)
