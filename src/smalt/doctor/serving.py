"""Whether a resource that lets us in serves its deployments, in the version asked for."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta

from smalt.config.schema import DEFAULT_VERSION, Deployment
from smalt.doctor import access
from smalt.doctor.answers import read
from smalt.doctor.asking import CLOSED, Answer
from smalt.doctor.credentials import is_proxy
from smalt.doctor.deployed import Deployed, missing, of_deployment
from smalt.doctor.findings import Area, Diagnosis, Finding, ok, skipped
from smalt.doctor.patient import Patient
from smalt.doctor.questions import Place, place
from smalt.doctor.silence import heard, of_silence
from smalt.redact import redacted
from smalt.wire.models import infer_model, model_data

RETIRES_SOON = timedelta(days=90)

Refusal = Callable[[Answer], Diagnosis | None]


class Serving:
    """`ask`: puts a question that must be refused. `refusal`: tells an answer that is about the credential.
    `known`: what ARM lists, by name in small letters; None if it does not tell."""

    def __init__(
        self,
        patient: Patient,
        ask: Callable[[Place], Answer],
        refusal: Refusal,
        known: Mapping[str, Deployed] | None,
    ) -> None:
        self._patient = patient
        self._ask = ask
        self._refusal = refusal
        self._known = known
        self._version: str | None = None  # that works in place of the resource's own
        self._lost = False  # no path leads to any deployment

    def findings(self) -> Iterator[Finding]:
        for name in self._patient.resource.deployments:
            if self._lost:
                yield skipped("deployment", self._subject(name), "no path leads there")
                continue
            try:
                yield from self._of(name)
            except CLOSED as error:
                yield of_silence(error).fault(self._subject(name), heard(error))

    def _subject(self, name: str) -> str:
        return f"{self._patient.name}/{name}"

    def _of(self, name: str) -> Iterator[Finding]:
        resource = self._patient.resource
        spec = resource.deployments[name]
        asked = place(resource, name, spec.api_version or self._version)
        answer = self._ask(asked)
        refused = self._refusal(answer)
        if refused is None and read(answer, asked) == "no_path":
            other = self._in_default_version(asked)
            self._lost = other is None
            diagnosis = self._wrong_path() if other is None else _wrong_version(asked)
            subject = self._subject(name) if spec.api_version else self._patient.name
            yield diagnosis.fault(subject, f"{access.said(answer)}: {asked.path}")
            if other is None:
                return
            answer = other
        wrong = refused or self._wrong(name, asked, answer)
        if wrong:
            yield wrong.fault(self._subject(name), access.said(answer))
        else:
            yield from self._served(name, spec, asked)

    def _in_default_version(self, asked: Place) -> Answer | None:
        """The answer to the same question in a version that Azure knows; None if that is no help."""
        resource = asked.resource
        if is_proxy(resource) or resource.on_v1 or asked.api_version == DEFAULT_VERSION:
            return None
        other = self._ask(place(resource, asked.deployment, DEFAULT_VERSION))
        if read(other, asked) == "no_path":
            return None
        if resource.deployments[asked.deployment].api_version is None:
            self._version = DEFAULT_VERSION
        return other

    def _wrong_path(self) -> Diagnosis:
        resource = self._patient.resource
        if is_proxy(resource):
            mend: Sequence[str] = ("write the endpoint up to, and with, /v1",)
            return Diagnosis("endpoint", "wrong_path", "the server does not know this path", mend)
        if resource.on_v1:
            cause = "the resource does not know the v1 API"
            return Diagnosis("endpoint", "wrong_path", cause, ("api: classic",))
        cause = "what answers there is no Azure OpenAI resource, or the endpoint has a path too many"
        mend = self._patient.account.line("show", "--query", "properties.endpoint", "--output", "tsv")
        return Diagnosis("endpoint", "wrong_path", cause, mend)

    def _wrong(self, name: str, asked: Place, answer: Answer) -> Diagnosis | None:
        """Why an answer is not the refusal that proves the deployment; None if it is."""
        match read(answer, asked):
            case "no_deployment" | "retired":
                code, cause, mend = self._why_absent(name, asked)
                area: Area = "retirement" if code == "retired_model" else "deployment"
                return Diagnosis(area, code, cause, mend)
            case "other_operation":
                cause = f"it serves a model of another kind than {asked.model}"
                mend = self._patient.account.line("deployment show", "--deployment-name", name)
                return Diagnosis("deployment", "other_model", cause, mend)
            case "redirected":
                where = redacted(answer.headers.get("location", "nowhere"))[:200]
                cause = f"the endpoint leads to {where}; credentials do not follow"
                return Diagnosis("endpoint", "redirected", cause, ("write that as endpoint, if it is yours",))
            case "not_well":
                cause = "the server is there but cannot serve now; nothing is wrong with the settings"
                mend = ("wait a moment and ask again", "https://status.azure.com")
                return Diagnosis("deployment", "service_error", cause, mend)
            case _:
                return None

    def _why_absent(self, name: str, asked: Place) -> tuple[str, str, Sequence[str]]:
        """Code, cause and steps."""
        patient = self._patient
        if is_proxy(patient.resource):
            url = shlex.quote(f"{patient.resource.base_url}/models")
            models = f"curl --header 'Authorization: Bearer KEY' {url}"
            return "unknown_deployment", "the server has no model of this name", (f"{models}   # lists them",)
        data = model_data(asked.model)
        if data and data.retires and data.retires <= patient.around.today():
            cause = f"{data.name} was retired on {data.retires}: its deployments are gone"
            return "retired_model", cause, self._models
        meant = missing(name, self._known) if self._known else ""
        if meant == name:
            cause = "ARM lists it, so it is new: the first 5 minutes it may not answer"
            return "not_ready", cause, ("wait 5 minutes",)
        cause = "the resource has no deployment of this name; names are exact and case-sensitive"
        if meant:
            cause += f". Did you mean {meant}?"
        elif infer_model(name) == name:
            cause += f". {name} is the name of a model; Azure wants the one that the deployment was given"
        listing = patient.account.line("deployment list", "--query", "[].name", "--output", "tsv")
        return "unknown_deployment", cause, listing

    @property
    def _models(self) -> Sequence[str]:
        """The command that lists what could be deployed."""
        query = "[].{name:name, version:version}"
        return self._patient.account.line("list-models", "--query", query, "--output", "table")

    def _served(self, name: str, spec: Deployment, asked: Place) -> Iterator[Finding]:
        subject = self._subject(name)
        known = self._known.get(name.lower()) if self._known else None
        if known:
            yield from of_deployment(subject, spec, known, self._patient.account)
        else:
            yield ok("deployment", subject, f"it answers ({asked.operation.value})")
        yield from self._retirement(subject, asked.model)

    def _retirement(self, subject: str, model: str) -> Iterator[Finding]:
        data, today = model_data(model), self._patient.around.today()
        if data is None or data.retires is None or data.retires > today + RETIRES_SOON:
            return
        gone = data.retires <= today
        cause = "sources differ by months, but its deployments will stop to answer"
        word = "was to retire" if gone else "retires"
        code = "retired_model" if gone else "retires_soon"
        yield Diagnosis("retirement", code, cause, self._models).warning(
            subject, f"{data.name} {word} on {data.retires}"
        )


def _wrong_version(asked: Place) -> Diagnosis:
    cause = f"Azure does not know the version {asked.api_version}, or no longer; {DEFAULT_VERSION} works"
    return Diagnosis("version", "wrong_api_version", cause, (f'api_version: "{DEFAULT_VERSION}"',))
