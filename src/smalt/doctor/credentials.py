"""What a resource is shown, and who it says we are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from smalt.auth.entra import domain_of
from smalt.config.identity import Identity
from smalt.config.schema import Resource
from smalt.doctor.findings import Finding
from smalt.doctor.kept_secrets import NotKept, read_key
from smalt.doctor.patient import Patient
from smalt.doctor.tokens import Token

_AZURE_HOST = re.compile(r".*\.(openai|cognitiveservices|services\.ai)\.azure\.(com|us|cn)")


@dataclass(frozen=True, slots=True)
class Shown:
    """One credential as it is sent. `label`: what people are told. `token`: None for a key."""

    label: str
    header: tuple[str, str] = field(repr=False)
    token: Token | None = None

    @property
    def bearer(self) -> bool:
        return self.header[0] == "authorization"


def keys_of(patient: Patient) -> Iterator[Shown | Finding]:
    """Each key, or why it cannot be read."""
    resource = patient.resource
    reader = patient.reader or resource.identity or Identity()
    several = len(resource.api_keys) > 1
    for number, key in enumerate(resource.api_keys, start=1):
        label = f"key {number}" if several else "the key"
        try:
            value = read_key(key.get_secret_value(), reader, patient.around.network)
        except NotKept as error:
            yield error.diagnosis.fault("", f"{label}: {error.text}")
            continue
        yield Shown(label, ("authorization", f"Bearer {value}") if is_proxy(resource) else ("api-key", value))


def bearer(token: Token) -> Shown:
    return Shown("the token", ("authorization", f"Bearer {token.text}"), token)


def is_proxy(resource: Resource) -> bool:
    """Or another OpenAI-compatible server: keys go as bearer tokens."""
    return resource.kind == "openai"


def at_azure(resource: Resource) -> bool:
    """Whether the endpoint is Azure's own, whatever kind it is declared."""
    url = urlsplit(resource.endpoint)
    return bool(_AZURE_HOST.fullmatch(url.hostname or "")) or "/openai/deployments/" in f"{url.path}/"


def audiences(resource: Resource) -> tuple[str, ...]:
    """Of tokens the resource accepts (wire: Cognitive Services on both surfaces, Azure AI on v1)."""
    domain = domain_of(resource.base_url)
    both = f"https://cognitiveservices.{domain}", f"https://ai.{domain}"
    return both if resource.on_v1 else both[:1]
