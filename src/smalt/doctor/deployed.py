"""What ARM says of a resource and its deployments, against what the settings say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from smalt.config.schema import Deployment, Resource
from smalt.config.upstreams import is_provisioned
from smalt.doctor.arm import Arm, ArmRefused
from smalt.doctor.az import Account
from smalt.doctor.findings import Diagnosis, Finding, ok, skipped
from smalt.doctor.model_names import meant
from smalt.doctor.tokens import NoToken

TPM_PER_UNIT = 1_000  # of the capacity of deployments that are paid by token


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment as ARM has it. `capacity`: PTUs, or thousands of tokens a minute. `format`: whose
    model."""

    name: str
    model: str
    version: str
    sku: str
    capacity: int
    state: str
    format: str = ""

    @property
    def limit_tpm(self) -> int | None:
        """None: provisioned."""
        return None if is_provisioned(self.sku) else self.capacity * TPM_PER_UNIT


def deployed(told: Mapping[str, Any]) -> Deployed:
    properties, sku = told.get("properties") or {}, told.get("sku") or {}
    model = properties.get("model") or {}
    return Deployed(
        name=str(told.get("name", "")),
        model=str(model.get("name", "")),
        version=str(model.get("version", "")),
        sku=str(sku.get("name", "")),
        capacity=int(sku.get("capacity") or 0),
        state=str(properties.get("provisioningState", "")),
        format=str(model.get("format", "")),
    )


@dataclass(frozen=True, slots=True)
class Known:
    """`deployments`: by name in small letters; None if ARM did not tell. `findings`: on the way there."""

    findings: tuple[Finding, ...]
    deployments: Mapping[str, Deployed] | None = None


def look_up(subject: str, resource: Resource, account: Account | None, arm: Arm) -> Known:
    """`account`: by `azure_id`; None where there is none, or none that can be read."""
    if not resource.azure_id:
        why = "without azure_id the control plane is not asked for models, versions and quota"
        return Known((skipped("control plane", subject, why),))
    if account is None or account.id is None:
        cause = "it is not of the form /subscriptions/…/resourceGroups/…/providers/…/accounts/…"
        mend = ('az cognitiveservices account list --query "[].id" --output tsv',)
        return Known((Diagnosis("control plane", "azure_id", cause, mend).fault(subject, resource.azure_id),))
    try:
        told = arm.get(account.id)
        listed = [deployed(one) for one in arm.listing(f"{account.id}/deployments")]
    except NoToken as error:
        return Known((skipped("control plane", subject, f"no token for ARM: {error.text}"),))
    except ArmRefused as error:
        return Known((_refused(subject, account, error),))
    findings = tuple(_of_account(subject, resource, told)) or (
        ok("control plane", subject, f"ARM knows it, with {len(listed)} deployments"),
    )
    return Known(findings, {one.name.lower(): one for one in listed})


def _refused(subject: str, account: Account, error: ArmRefused) -> Finding:
    if error.status == 404:
        cause = "no such resource: azure_id is that of another, or of one that was deleted"
        mend = ('az cognitiveservices account list --query "[].id" --output tsv',)
        return Diagnosis("control plane", "azure_id", cause, mend).fault(
            subject, f"{error.status} {error.code}"
        )
    reader = f"; the role Reader on {account.id} is enough" if error.status == 403 else ""
    return skipped("control plane", subject, f"ARM does not tell: {error.code or error.text}{reader}")


def _of_account(subject: str, resource: Resource, told: Mapping[str, Any]) -> Iterator[Finding]:
    location = str(told.get("location", "")).lower().replace(" ", "")
    region = (resource.region or "").lower().replace(" ", "")
    if region and location and region != location:
        cause = "prices, residency and the order of regions follow the wrong region"
        mend = (f"region: {location}",)
        yield Diagnosis("control plane", "other_region", cause, mend).warning(
            subject, f"region is {resource.region} here, {location} in Azure"
        )


def of_deployment(subject: str, spec: Deployment, found: Deployed, account: Account) -> Iterator[Finding]:
    """What is configured against what is deployed; `ok` if they agree."""
    faults = [*_model(subject, spec, found, account), *_quota(subject, spec, found, account)]
    if found.state not in ("", "Succeeded"):
        cause = "it answers when Azure is done with it"
        mend = account.line(
            "deployment show", "--deployment-name", found.name, "--query", "properties.provisioningState"
        )
        faults.append(
            Diagnosis("deployment", "not_ready", cause, mend).fault(subject, f"its state is {found.state}")
        )
    if found.sku and spec.sku and spec.sku.lower() != found.sku.lower():
        cause = "cost, residency and the order of upstreams follow the wrong type"
        mend = (f"sku: {found.sku}",)
        faults.append(
            Diagnosis("deployment", "other_sku", cause, mend).warning(
                subject, f"sku is {spec.sku} here, {found.sku} in Azure"
            )
        )
    if not faults:
        granted = f"{found.limit_tpm:,} tokens a minute" if found.limit_tpm else f"{found.capacity} PTU"
        yield ok("deployment", subject, f"serves {found.model} {found.version}, {found.sku}, {granted}")
    yield from faults


def _model(subject: str, spec: Deployment, found: Deployed, account: Account) -> Iterator[Finding]:
    name, version = meant(spec.model)
    if name is None or not found.model:
        return  # `model` is a word of one's own
    # ARM's gpt-4 in version turbo-2024-04-09 is what others call gpt-4-turbo
    if name not in (found.model.lower(), meant(found.model)[0], meant(f"{found.model}-{found.version}")[0]):
        cause = f"callers who ask for {spec.model} get answers of {found.model}"
        mend = (f"model: {found.model}   # if that is what was wanted", *_create(account, found, name))
        yield Diagnosis("deployment", "other_model", cause, mend).fault(
            subject, f"{spec.model} here, {found.model} {found.version} in Azure"
        )
        return
    if version and found.version and not found.version.endswith(version):
        cause = "Azure has upgraded it, or it was made with another version"
        mend = (
            f"model: {found.model}-{found.version}   # if that is what was wanted",
            *_create(account, found, name, version),
        )
        yield Diagnosis("deployment", "other_version", cause, mend).fault(
            subject, f"version {version} here, {found.version} in Azure"
        )


def _create(account: Account, found: Deployed, model: str, version: str = "MODEL_VERSION") -> tuple[str, ...]:
    return account.line(
        "deployment create",
        *("--deployment-name", found.name, "--model-format", "OpenAI", "--model-name", model),
        *("--model-version", version, "--sku-name", found.sku, "--sku-capacity", str(found.capacity)),
    )


def _quota(subject: str, spec: Deployment, found: Deployed, account: Account) -> Iterator[Finding]:
    granted = found.limit_tpm
    if granted is not None and spec.quota_tpm is not None and spec.quota_tpm > granted:
        cause = "smalt sends more than Azure takes: the rest is refused with 429"
        units = -(-spec.quota_tpm // TPM_PER_UNIT)
        more = _create(account, replace(found, capacity=units), found.model, found.version)
        mend = (f"quota_tpm: {granted}", *more)
        yield Diagnosis("quota", "quota_above_grant", cause, mend).fault(
            subject, f"quota_tpm is {spec.quota_tpm:,}, Azure grants {granted:,}"
        )
    if granted is None and spec.ptu is not None and spec.ptu > found.capacity:
        cause = "utilization is reckoned too low: calls are sent that Azure refuses"
        yield Diagnosis("quota", "quota_above_grant", cause, (f"ptu: {found.capacity}",)).fault(
            subject, f"ptu is {spec.ptu}, Azure has {found.capacity}"
        )


def missing(name: str, known: Mapping[str, Deployed]) -> str:
    """Which deployment a wrong name was meant to be, of those that ARM lists."""
    if found := known.get(name.lower()):
        return found.name
    close = get_close_matches(name.lower(), known, n=1)
    by_model = [one.name for one in known.values() if one.model == name]
    return known[close[0]].name if close else next(iter(by_model), "")
