"""Why a resource lets nobody in: its refusals, by credential.

Source: Azure OpenAI REST reference, "Configure Azure OpenAI networking" and "… with Microsoft Entra ID".
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from smalt.config.schema import Resource
from smalt.doctor.asking import Answer
from smalt.doctor.az import Account, login
from smalt.doctor.credentials import Shown, at_azure, audiences, is_proxy
from smalt.doctor.findings import Diagnosis
from smalt.doctor.tokens import Token
from smalt.wire.classify import classify, error_object

ROLE = "Cognitive Services OpenAI User"
_AREA: Final = "authentication"
_REGIONAL: Final = ".api.cognitive.microsoft.com"  # takes keys only


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked. `twins`: other resources that have the same key in the settings. `home`: the tenant of
    the subscription, asked only where that matters; None if it cannot be told."""

    resource: Resource
    account: Account
    now: datetime
    twins: Mapping[str, str]
    home: Callable[[], str | None] = lambda: None


def said(answer: Answer) -> str:
    """Status and words, without secrets."""
    return f"{answer.status} {classify(answer.status, answer.headers, answer.body).text}"


def of_refusal(answer: Answer, shown: Shown, subject: Subject) -> Diagnosis | None:
    """None: it is no refusal of the credential; what else is wrong is told by others."""
    error = error_object(answer.body)
    code, text = str(error.get("code") or ""), str(error.get("message") or "")
    if answer.status == 400 and (code + text).lower().find("tenant") >= 0 and "match" in code + text:
        return _wrong_tenant(shown.token, subject)
    if answer.status == 401:
        if code == "PermissionDenied":
            return _no_role(shown.token, subject.account)
        if shown.token:
            return _of_token(shown.token, subject)
        return _of_key(text, shown, subject)
    if answer.status == 403:
        return _forbidden(code, text, subject.account)
    if answer.status == 407:
        return Diagnosis("proxy", "proxy_credentials", "a proxy on the way wants a user and a password")
    return None


def _of_key(text: str, shown: Shown, subject: Subject) -> Diagnosis:
    resource, account = subject.resource, subject.account
    if is_proxy(resource) and at_azure(resource):
        cause = (
            "kind: openai sends the key as Bearer token, but the classic API of Azure takes keys in api-key"
        )
        return Diagnosis(_AREA, "key_as_bearer", cause, ("write kind: azure, and the bare endpoint",))
    if is_proxy(resource) and "audience" in text.lower():
        cause = (
            "Azure refuses what the proxy shows it: its key is sent as Bearer token, or its token is for a "
            "wrong scope"
        )
        mend = (
            "in the proxy's settings of this model: a key belongs to api_key, not to a token or a header",
            "a token must be for the scope https://cognitiveservices.azure.com/.default",
        )
        return Diagnosis(_AREA, "proxy_as_bearer", cause, mend)
    if is_proxy(resource):
        cause = "the server does not know this key"
        return Diagnosis(
            _AREA, "key_refused", cause, ("ask who runs it for a key, and put it into api_keys",)
        )
    if other := subject.twins.get(shown.header[1]):
        cause = f"it is also configured for {other}: each resource has keys of its own"
        return Diagnosis(_AREA, "key_of_another", cause, account.line("keys list"))
    cause = "the key was regenerated, has a slip in it, or belongs to another resource"
    return Diagnosis(_AREA, "key_refused", cause, account.line("keys list"))


def _of_token(token: Token, subject: Subject) -> Diagnosis:
    if not token.claims:
        cause = (
            "what is sent as Bearer token is no token of Entra ID, but a key or the like; the classic API of "
            "Azure takes keys in api-key only"
        )
        there = "api_keys; without a smalt.yaml: from AZURE_OPENAI_AD_TOKEN to AZURE_OPENAI_API_KEY"
        return Diagnosis(_AREA, "key_as_bearer", cause, (f"move the key to {there}",))
    wanted = audiences(subject.resource)
    if token.expires_s is not None and token.expires_s <= subject.now.timestamp():
        moment = datetime.fromtimestamp(token.expires_s, UTC)
        cause = f"the token is over since {moment:%Y-%m-%d %H:%M} UTC"
        fetch = f"az account get-access-token --scope {wanted[0]}/.default --query accessToken --output tsv"
        return Diagnosis(_AREA, "token_expired", cause, (fetch, "or let smalt renew it: identity: default"))
    if token.audience.startswith("https://") and token.audience not in wanted:
        cause = f"the token is for {token.audience}; this resource wants {' or '.join(wanted)}"
        scope = f"identity: {{..., scope: {wanted[0]}/.default}}, or no scope at all: that is the default"
        return Diagnosis(_AREA, "wrong_audience", cause, (scope,))
    if (urlsplit(subject.resource.base_url).hostname or "").endswith(_REGIONAL):
        return _regional(subject.account, "Entra ID needs the endpoint with the resource's own name")
    cause = "the token is refused, although it is neither over nor for another audience"
    return Diagnosis(
        _AREA, "token_refused", cause, ("az account show   # is it the right cloud and tenant?",)
    )


def _regional(account: Account, cause: str) -> Diagnosis:
    mend = account.line("show", "--query", "properties.endpoint", "--output", "tsv")
    return Diagnosis(_AREA, "regional_host", cause, mend)


def _wrong_tenant(token: Token | None, subject: Subject) -> Diagnosis:
    home = subject.home()
    shown = f"the tenant {token.tenant}" if token and token.tenant else "another tenant"
    owner = f"the tenant {home}" if home else "another one"
    cause = f"the token comes from {shown}, the resource belongs to {owner}"
    known = subject.account.subscription
    find = (
        f"az account show --subscription {shlex.quote(known)} --query tenantId --output tsv" if known else ""
    )
    mend = [
        *([find] if find and not home else []),
        *login(home),
        f"or identity: {{..., tenant_id: {home or 'TENANT_ID'}}}",
    ]
    return Diagnosis(_AREA, "wrong_tenant", cause, mend)


def _no_role(token: Token | None, account: Account) -> Diagnosis:
    who = f"the principal {token.object_id}" if token and token.object_id else "the principal"
    cause = (
        f"{who} has no role with data actions on {account.name}: it needs '{ROLE}' on the scope "
        f"{account.id or 'of the resource'}; Owner and Contributor do not include it"
    )
    kind = token.principal if token else "ServicePrincipal"
    mend = account.give(ROLE, token.object_id if token else None, kind)
    return Diagnosis(_AREA, "no_role", cause, (*mend, "wait: a new role takes 5 minutes and more"))


def _forbidden(code: str, text: str, account: Account) -> Diagnosis:
    words = text.lower()
    if code == "AuthenticationTypeDisabled" or "key based authentication" in words:
        mend = ("identity: default   # in place of api_keys", *account.update("disableLocalAuth=false"))
        return Diagnosis(_AREA, "keys_disabled", "the resource takes no keys, only Entra ID", mend)
    if "public access is disabled" in words:
        cause = "the resource is open to private endpoints only, and this request came by the public way"
        mend = (
            "run in the network of the private endpoint, where DNS gives the name a private address",
            *account.update("publicNetworkAccess=Enabled"),
        )
        return Diagnosis(_AREA, "public_access_off", cause, mend)
    if "correct endpoint" in words:
        return _regional(
            account, "behind a virtual network only the endpoint with the resource's own name works"
        )
    if "firewall" in words or "virtual network" in words:
        cause = "the network rules of the resource do not let this address in"
        allow = account.line("network-rule add", "--ip-address", "ADDRESS")
        mend = ("curl https://api.ipify.org   # ADDRESS of the last line", *allow)
        return Diagnosis(_AREA, "firewall", cause, mend)
    if "blocked" in words:
        cause = "Azure has blocked the resource; no setting mends that"
        return Diagnosis(_AREA, "blocked", cause, ("open a support request in the Azure portal",))
    return Diagnosis(_AREA, "forbidden", "the server knows who asks, and does not let it in")
