"""Azure Resource Manager, read only: accounts, their deployments, subscriptions.

Source: Azure REST API reference, Cognitive Services (2024-10-01) and Subscriptions (2022-12-01).
"""

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from smalt.config.identity import Identity
from smalt.doctor import tokens
from smalt.doctor.asking import CLOSED, Answer, Line
from smalt.doctor.dial import way_to
from smalt.doctor.surroundings import Surroundings

VERSION: Final = "2024-10-01"
SUBSCRIPTIONS_VERSION: Final = "2022-12-01"
ENDPOINT: Final = "SMALT_ARM_ENDPOINT"  # for clouds of one's own, and the emulator
_PUBLIC = ("https://management.azure.com", "https://management.azure.com/.default")
# by the end of a resource's host ("Azure Government" and "Azure China" developer guides)
_CLOUDS = {
    ".azure.us": ("https://management.usgovcloudapi.net", "https://management.usgovcloudapi.net/.default"),
    ".azure.cn": ("https://management.chinacloudapi.cn", "https://management.chinacloudapi.cn/.default"),
}
_TENANT = re.compile(r'authorization_uri="[^"]*/([0-9a-fA-F-]{36})"')


class ArmRefused(Exception):
    """`status`: 0 if ARM was not reached. `code`: ARM's own word, if any."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text


class Arm:
    """`token`: makes one when it is first needed; raises tokens.NoToken."""

    def __init__(
        self,
        url: str,
        trust: ssl.SSLContext,
        around: Surroundings,
        token: Callable[[], tokens.Token],
    ) -> None:
        parts, way = urlsplit(url), way_to(url, around)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._line = Line(way, trust if way.tls else None, around)
        self._make_token = token
        self._token: tokens.Token | None = None

    def get(self, path: str, *, version: str = VERSION) -> dict[str, Any]:
        """One object. `path`: without query. Raises ArmRefused and NoToken."""
        return self._asked(f"{path}?api-version={version}")

    def listing(self, path: str, *, version: str = VERSION) -> Iterator[dict[str, Any]]:
        """Every page of a list. Raises as `get` does."""
        target = f"{path}?api-version={version}"
        while target:
            page = self._asked(target)
            yield from page.get("value") or ()
            target = self._next(page.get("nextLink"))

    def home(self, subscription: str) -> str | None:
        """The tenant of a subscription, which ARM tells everybody who asks without a token."""
        try:
            answer = self._line.ask(
                "GET", f"/subscriptions/{subscription}?api-version={SUBSCRIPTIONS_VERSION}", {}
            )
        except CLOSED:
            return None
        found = _TENANT.search(answer.headers.get("www-authenticate", ""))
        return found[1] if found else None

    def _asked(self, target: str) -> dict[str, Any]:
        if self._token is None:
            self._token = self._make_token()
        try:
            answer = self._line.ask("GET", target, {"authorization": f"Bearer {self._token.text}"})
        except CLOSED as error:
            raise ArmRefused(0, "", f"{self._origin} cannot be reached: {error}") from None
        if answer.status != 200:
            raise _refused(answer)
        told = answer.json
        return told if isinstance(told, dict) else {}

    def _next(self, link: object) -> str:
        """Of a page; the token goes nowhere but to the host it was made for."""
        parts = urlsplit(link if isinstance(link, str) else "")
        if not link or f"{parts.scheme}://{parts.netloc}" != self._origin:
            return ""
        return f"{parts.path}?{parts.query}"


def arm_for(endpoint: str, identity: Identity, trust: ssl.SSLContext, around: Surroundings) -> Arm:
    """`endpoint`: of a resource, whose host tells the cloud; empty for the public one. An identity of kind
    `token` has no tokens for ARM; the default chain is used."""
    host = urlsplit(endpoint).hostname or ""
    url, scope = next((cloud for end, cloud in _CLOUDS.items() if host.endswith(end)), _PUBLIC)
    who = Identity() if identity.kind == "token" else identity.model_copy(update={"scope": None})
    return Arm(
        around.env.get(ENDPOINT) or url,
        trust,
        around,
        lambda: tokens.fetch(who, endpoint, scope, around.network),
    )


def _refused(answer: Answer) -> ArmRefused:
    body = answer.json
    error: Mapping[str, Any] = body.get("error") or {} if isinstance(body, dict) else {}
    code, text = str(error.get("code", "")), str(error.get("message", ""))
    return ArmRefused(answer.status, code, text[:300] or f"HTTP {answer.status}")
