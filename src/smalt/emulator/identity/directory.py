"""Entra ID and Azure's role assignments: who gets which token, what a token proves, and what one may do.

`now` arguments: wall time in seconds since 1970, as tokens carry it.
"""

import math
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from smalt.emulator.identity.jwt import BadToken, Signer, Token
from smalt.emulator.identity.roles import ROLES
from smalt.emulator.identity.spec import Identity, Principal, subscription_id
from smalt.emulator.server import Request

OPENAI_AUDIENCE = "https://cognitiveservices.azure.com"
FOUNDRY_AUDIENCE = "https://ai.azure.com"
VAULT_AUDIENCE = "https://vault.azure.net"
ARM_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
AUDIENCES = (
    OPENAI_AUDIENCE,
    FOUNDRY_AUDIENCE,
    VAULT_AUDIENCE,
    *ARM_AUDIENCES,
    "https://ml.azure.com",  # a common mistake: Entra ID gives tokens for it, Azure OpenAI refuses them
    "https://graph.microsoft.com",
    "https://storage.azure.com",
)


class UnknownAudience(Exception):  # answered in words of the authority or of the metadata service
    """No such resource principal in the tenant."""


class Unfit(Exception):  # answered in the words of the service that was asked
    """A token that proves nothing here: `reason`, and what it claims."""

    def __init__(
        self,
        reason: Literal["missing", "invalid", "expired", "audience", "tenant"],
        claims: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.claims = claims or {}


@dataclass(frozen=True, slots=True)
class Grant:
    """`expires_in_s`: whole seconds, rounded down as in Entra ID's 3599."""

    token: str
    expires_on_s: int
    expires_in_s: int
    not_before_s: int


@dataclass(slots=True)
class Assignment:
    """A role of a principal on an ARM id and all below it, in effect from `since_s` until `until_s`."""

    object_id: str
    role: str
    scope: str
    since_s: float = -math.inf
    until_s: float = math.inf

    def covers(self, arm_id: str, now: float) -> bool:
        scope, wanted = self.scope.lower().rstrip("/"), arm_id.lower()
        return self.since_s <= now < self.until_s and (wanted == scope or wanted.startswith(f"{scope}/"))


class Directory:
    """`scopes`: ARM ids by the names that `roles` may use.

    `authority_url` is given by whoever runs it, once the port is known. `issued`: tokens by principal.
    """

    def __init__(self, spec: Identity | None, scopes: Mapping[str, str]) -> None:
        self.spec = spec or Identity({}, {})
        self.signer = Signer()
        self.cluster = Signer()  # stands for the OIDC issuer of a Kubernetes cluster
        self.authority_url = ""
        self._scopes = scopes
        self._by_object_id = {principal.object_id: principal for principal in self.spec.principals.values()}
        self.reset()

    def reset(self) -> None:
        """Undo what was switched or assigned at run time. Tokens stay good."""
        self.token_lifetime_s = self.spec.token_lifetime_s
        self.role_delay_s = self.spec.role_delay_s
        self.issued: dict[str, int] = dict.fromkeys(self.spec.principals, 0)
        self._assignments = [
            Assignment(principal.object_id, role, self.scope(name) or name)
            for principal in self.spec.principals.values()
            for name, roles in principal.roles.items()
            for role in roles
        ]

    @property
    def cluster_issuer(self) -> str:
        return f"{self.authority_url}/cluster"

    def tenant(self, name: str) -> str | None:
        """The id of a tenant given by id or by domain (`contoso.onmicrosoft.com`)."""
        if name.lower() in self.spec.tenants.values():
            return name.lower()
        return self.spec.tenants.get(name.removesuffix(".onmicrosoft.com"))

    def scope(self, name: str) -> str | None:
        """The ARM id a name stands for; in an ARM id a subscription may go by its name."""
        match name.split("/"):
            case ["", "subscriptions", subscription, *rest]:
                return "/".join(["", "subscriptions", subscription_id(subscription), *rest])
            case _:
                return self._scopes.get(name)

    # tokens

    def issue(self, principal: Principal, audience: str, now: float) -> Grant:
        """Raises `UnknownAudience`. `audience`: with or without a slash at its end, which the token keeps."""
        issued_s = int(now)
        expires_s = issued_s + int(self.token_lifetime_s)
        own = f"https://sts.windows.net/{principal.tenant_id}/"
        claims = {
            "aud": audience,
            "iss": own,
            "iat": issued_s,
            "nbf": issued_s,
            "exp": expires_s,
            "appid": principal.client_id,
            "appidacr": "1" if principal.kind == "application" else "2",
            "idp": own,
            "idtyp": "app",
            "oid": principal.object_id,
            "sub": principal.object_id,
            "tid": principal.tenant_id,
            "uti": uuid.uuid4().hex,
            "ver": "1.0",
        }
        if audience.rstrip("/") not in AUDIENCES:
            claims |= self._of_own_api(principal, audience)
        self.issued[principal.name] += 1
        return Grant(self.signer.sign(claims), expires_s, math.floor(expires_s - now), issued_s)

    def _of_own_api(self, principal: Principal, audience: str) -> dict[str, Any]:
        """An application of one's own gets tokens of version 2, with the roles it gave."""
        for api in self.spec.principals.values():
            if api.tenant_id == principal.tenant_id and audience in {api.uri, api.client_id}:
                roles = principal.app_roles.get(api.name)
                return {
                    "aud": api.client_id,
                    "iss": f"{self.authority_url}/{principal.tenant_id}/v2.0",
                    "azp": principal.client_id,
                    "ver": "2.0",
                    **({"roles": roles} if roles else {}),
                }
        raise UnknownAudience(audience)

    def check(self, request: Request, audiences: Collection[str], now: float) -> Principal:
        """Whose token the request bears. Raises `Unfit`."""
        scheme, _, text = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Unfit("missing")
        try:
            token = Token.read(text)
            token.verify(self.signer.public_key)
        except BadToken:
            raise Unfit("invalid") from None
        claims = token.claims
        if now >= claims["exp"]:
            raise Unfit("expired", claims)
        if claims["aud"].rstrip("/") not in audiences:
            raise Unfit("audience", claims)
        if claims["tid"] != self.spec.home:
            raise Unfit("tenant", claims)
        return self._by_object_id[claims["oid"]]

    def account_token(self, subject: str, now: float, lifetime_s: float = 3_600) -> str:
        """What a cluster puts into the file that workload identity reads."""
        issued_s = int(now)
        return self.cluster.sign(
            {
                "iss": self.cluster_issuer,
                "sub": subject,
                "aud": ["api://AzureADTokenExchange"],
                "iat": issued_s,
                "nbf": issued_s,
                "exp": issued_s + int(lifetime_s),
            }
        )

    # roles

    def allows(self, principal: Principal, action: str, arm_id: str, now: float, *, data: bool) -> bool:
        """Whether one of its roles allows the action there. `data`: a data action."""
        roles = (
            ROLES[assignment.role]
            for assignment in self._assignments
            if assignment.object_id == principal.object_id and assignment.covers(arm_id, now)
        )
        return any(role.allows_data(action) if data else role.allows(action) for role in roles)

    def assign(self, principal: Principal, role: str, scope: str, now: float) -> None:
        """In effect after the delay, as in Azure. `scope`: an ARM id, here and below."""
        made = Assignment(principal.object_id, role, scope, since_s=now + self.role_delay_s)
        self._assignments.append(made)

    def revoke(self, principal: Principal, role: str, scope: str, now: float) -> None:
        """Without effect if there is no such role."""
        for one in self._assignments:
            if (one.object_id, one.role, one.scope) == (principal.object_id, role, scope):
                one.until_s = min(one.until_s, now + self.role_delay_s)

    def assignments(self, principal: Principal) -> list[dict[str, str]]:
        mine = (one for one in self._assignments if one.object_id == principal.object_id)
        return [{"role": one.role, "scope": one.scope} for one in mine]
