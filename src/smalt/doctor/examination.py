"""One resource, from its name to its deployments. What cannot be reached is skipped, so that one cause is one
fault."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from smalt.auth.entra import scope_of
from smalt.config.identity import Identity
from smalt.config.schema import Resource
from smalt.doctor import access, tokens
from smalt.doctor.answers import read
from smalt.doctor.arm import arm_for
from smalt.doctor.asking import CLOSED, Answer
from smalt.doctor.az import parse_id
from smalt.doctor.credentials import Shown, audiences, bearer, is_proxy, keys_of
from smalt.doctor.deployed import look_up
from smalt.doctor.findings import Diagnosis, Finding, ok, skipped
from smalt.doctor.patient import Patient
from smalt.doctor.questions import Place, place
from smalt.doctor.reach import Reach, Unreachable
from smalt.doctor.serving import Serving
from smalt.doctor.silence import heard

CLOCK_SKEW_S: Final = 300  # what Entra ID forgives
PATIENCE_S: Final = 60.0  # for an answer that is really generated


class Examination:
    """`accepted`: the credential that was let in, once `findings` has found one."""

    def __init__(self, patient: Patient) -> None:
        resource = patient.resource
        self.patient = patient
        self.accepted: Shown | None = None
        account = None if is_proxy(resource) else patient.account
        self._reach = Reach(patient.name, resource.base_url, account, patient.trust, patient.around)
        self._arm = arm_for(resource.base_url, resource.identity or Identity(), patient.trust, patient.around)

    def findings(self) -> Iterator[Finding]:
        name = self.patient.name
        try:
            yield from self._reach.steps()
        except Unreachable as over:
            yield over.finding
            yield skipped("authentication", name, "it cannot be reached")
            yield from self._unjudged("it cannot be reached")
            return
        try:
            yield from self._admission()
        except CLOSED as error:
            yield self._reach.unanswered(error).fault(name, heard(error))
        if self.accepted is None:
            yield from self._unjudged("it lets nobody in")
            return
        yield from self._deployments()

    def ask(self, question: Place) -> Answer:
        """A question that must be refused, with the accepted credential. Raises what asking raises."""
        return self._put(question, self.accepted or Shown("", ("", "")))

    def question(self, question: Place) -> Answer:
        """A small real one, which is billed. Raises what asking raises."""
        header = (self.accepted or Shown("", ("", ""))).header
        line = self._reach.line
        return line.ask("POST", question.path, dict([header]), question.small, patience_s=PATIENCE_S)

    def has(self, deployment: str) -> bool:
        """Whether the resource serves a deployment of this name, configured or not."""
        resource = self.patient.resource
        spec = next(iter(resource.deployments.values()), None)
        if self.accepted is None or spec is None or is_proxy(resource):
            return False
        asked = place(resource.model_copy(update={"deployments": {deployment: spec}}), deployment)
        try:
            return read(self.ask(asked), asked) in ("served", "other_operation")
        except CLOSED:
            return False

    def _put(self, question: Place, shown: Shown) -> Answer:
        return self._reach.line.ask("POST", question.path, dict([shown.header]), question.refused)

    def _admission(self) -> Iterator[Finding]:
        """Which of the credentials is let in; and, by the way, what time it is there."""
        try:
            credentials = list(self._credentials())
        except tokens.NoToken as error:
            if error.diagnosis.area == "packages":  # told once, for all resources
                yield skipped("authentication", self.patient.name, error.text)
            else:
                yield error.diagnosis.fault(self.patient.name, error.text)
            return
        refused = []
        for number, shown in enumerate(credentials):
            if isinstance(shown, Finding):
                # a first key that cannot be read stays a fault: calls do not turn from it
                yield self._spare(replace(shown, subject=self.patient.name))
                continue
            answer = self._knock(self.patient.resource, shown)
            if number == 0:
                yield from self._clock(answer)
            found = self._admitted(shown, answer)
            if found.area == "authentication" and found.verdict == "fault":
                refused.append(found)
            else:
                yield found
        for found in refused:  # calls turn from a refused key to the other one
            yield self._spare(found)

    def _spare(self, found: Finding) -> Finding:
        """Of a key that is not needed once another is accepted."""
        if self.accepted is None:
            return found
        return replace(found, verdict="warning", found=f"{found.found}; {self.accepted.label} works")

    def _admitted(self, shown: Shown, answer: Answer) -> Finding:
        name = self.patient.name
        if is_proxy(self.patient.resource) and (mended := self._with_v1(shown, answer)):
            return mended
        refused = self._refusal(answer, shown)
        if refused is None:
            self.accepted = self.accepted or shown
            return ok("authentication", name, f"{shown.label} is accepted{_who(shown)}")
        if refused.code == "token_refused" and (scope := self._other_scope()):
            cause = f"tokens for {scope} are accepted here, those for the configured scope are not"
            mend = (f"identity: {{..., scope: {scope}}}",)
            refused = Diagnosis("authentication", "wrong_audience", cause, mend)
        return refused.fault(name, f"{shown.label}: {access.said(answer)}")

    def _credentials(self) -> Iterator[Shown | Finding]:
        """Keys, else a token. Raises NoToken."""
        resource = self.patient.resource
        if resource.api_keys or resource.identity is None:
            yield from keys_of(self.patient)
        else:
            yield self._token(resource.identity, scope_of(resource, resource.identity))

    def _token(self, identity: Identity, scope: str) -> Shown:
        return bearer(
            tokens.fetch(identity, self.patient.resource.base_url, scope, self.patient.around.network)
        )

    def _knock(self, resource: Resource, shown: Shown) -> Answer:
        """At the first deployment; at the list of models where none is configured, and at a proxy: behind it,
        what one deployment answers may concern that one alone."""
        base = resource.base_path
        if is_proxy(resource):
            path = f"{base}/models"
        elif resource.deployments:
            return self._put(place(resource, next(iter(resource.deployments))), shown)
        else:
            version = "" if resource.on_v1 else f"?api-version={resource.api_version}"
            path = f"{base}/openai{'' if version else '/v1'}/models{version}"
        return self._reach.line.ask("GET", path, dict([shown.header]))

    def _refusal(self, answer: Answer, shown: Shown) -> Diagnosis | None:
        patient = self.patient
        account = patient.account
        subject = access.Subject(
            patient.resource,
            account,
            patient.around.now(),
            patient.twins,
            lambda: self._arm.home(account.subscription) if account.subscription else None,
        )
        return access.of_refusal(answer, shown, subject)

    def _with_v1(self, shown: Shown, answer: Answer) -> Finding | None:
        """What is wrong with an endpoint that should go on with /v1; None if that is not it."""
        resource = self.patient.resource
        bare = "/v1" not in resource.base_path
        if not bare or (answer.status != 404 and self._refusal(answer, shown) is None):
            return None
        longer = resource.model_copy(update={"endpoint": f"{resource.base_url}/v1"})
        second = self._knock(longer, shown)
        if second.status == 404 or self._refusal(second, shown):
            return None
        mend = (f"endpoint: {longer.endpoint}",)
        cause = "OpenAI-compatible servers have their API under /v1"
        return Diagnosis("endpoint", "missing_v1", cause, mend).fault(self.patient.name, access.said(answer))

    def _other_scope(self) -> str | None:
        """The scope whose tokens are accepted where those of the configured one are not; None if none is."""
        resource = self.patient.resource
        identity = resource.identity
        if identity is None or identity.kind == "token":
            return None
        for audience in audiences(resource):
            scope = f"{audience}/.default"
            if scope == scope_of(resource, identity):
                continue
            try:
                shown = self._token(identity, scope)
            except tokens.NoToken:
                continue
            if self._refusal(self._knock(resource, shown), shown) is None:
                return scope
        return None

    def _clock(self, answer: Answer) -> Iterator[Finding]:
        there, here = answer.date, self.patient.around.now()
        if there is None or there.tzinfo is None:
            return
        ahead_s = (here - there).total_seconds()
        shown = f"this clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the server's"
        if abs(ahead_s) <= CLOCK_SKEW_S:
            yield ok("clock", self.patient.name, shown)
            return
        cause = "tokens are taken for over, or not yet valid; certificates too"
        mend = ("sudo timedatectl set-ntp true",)
        yield Diagnosis("clock", "clock_skew", cause, mend).warning(self.patient.name, shown)

    def _deployments(self) -> Iterator[Finding]:
        patient = self.patient
        known = None
        if not is_proxy(patient.resource):
            told = look_up(
                patient.name, patient.resource, parse_id(patient.resource.azure_id or ""), self._arm
            )
            known = told.deployments
            yield from told.findings
        accepted = self.accepted or Shown("", ("", ""))
        yield from Serving(
            patient, self.ask, lambda answer: self._refusal(answer, accepted), known
        ).findings()

    def _unjudged(self, why: str) -> Iterator[Finding]:
        for deployment in self.patient.resource.deployments:
            yield skipped("deployment", f"{self.patient.name}/{deployment}", why)


def _who(shown: Shown) -> str:
    """For whom and what a token is; nothing of a key."""
    token = shown.token
    if token is None:
        return ""
    return f": for {token.audience}, tenant {token.tenant}, principal {token.object_id}"
