"""How a request must look for one resource: address, path, headers, body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from smalt.dispatch.heads import Credential, Head, Heads
from smalt.dispatch.proxy import Proxy
from smalt.types import Facts, Operation
from smalt.wire import paths, rewrite
from smalt.wire.adapt import adapt
from smalt.wire.defaults import Defaults, fill
from smalt.wire.instructions import put_first
from smalt.wire.models import ModelData, model_behind, model_data
from smalt.wire.tool_names import Renamed

# stream_options.include_usage is refused before this version (Azure OpenAI API lifecycle, 2024-09-01-preview)
INCLUDE_USAGE_SINCE = "2024-09"

_path = lru_cache(maxsize=4_096)(paths.resource_path)


@lru_cache(maxsize=4_096)
def _data(model: str, deployment: str) -> ModelData | None:
    return model_data(model_behind(model, deployment))


class Origin(NamedTuple):
    """Where a resource listens, and how it is reached. `host` without brackets. `ca_pem`: certificates to
    trust besides the usual ones. `pinned`: the address to connect to where the host must not be looked up
    again; goes without a proxy."""

    host: str
    port: int
    tls: bool
    proxy: Proxy | None = None
    ca_pem: str = ""
    pinned: str = ""

    @property
    def authority(self) -> str:
        """The Host header's value."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        if self.proxy is not None:
            return self.proxy.host, self.proxy.port
        return self.pinned or self.host, self.port

    @property
    def forwarder(self) -> Proxy | None:
        """The proxy that reads the requests, since without TLS there is no tunnel."""
        return None if self.tls else self.proxy

    def __str__(self) -> str:
        by = "" if self.proxy is None else f" by the proxy {self.proxy.host}:{self.proxy.port}"
        return f"{self.host}:{self.port}{by}"


class Outgoing(Struct, frozen=True):
    """A request as one upstream gets it. `path` with query, the whole URL where a proxy reads it.
    `rewrites`: what was changed in the body, `renamed`: names of tools among it."""

    path: str
    body: bytes
    rewrites: tuple[str, ...]
    renamed: Renamed | None


@dataclass(frozen=True, slots=True)
class Target:
    """One resource. `credentials`: one or two, the second for when the first is refused. `api`: classic and
    v1 are Azure's surfaces, openai any compatible server. `models`: by configured deployment, and `versions`
    where they have an API version of their own. `defaults`: parameters by the name asked for. `adapt`:
    change what a model would refuse."""

    origin: Origin
    credentials: tuple[Credential, ...]
    api: paths.Api
    api_version: str
    base_path: str = ""
    region: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Defaults] = field(default_factory=dict)
    adapt: bool = True
    heads: Heads = field(init=False, repr=False, compare=False)
    _prefix: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        forwarded = self.origin.forwarder is not None
        object.__setattr__(self, "_prefix", f"http://{self.origin.authority}" if forwarded else "")
        object.__setattr__(self, "heads", Heads(self._head, *self.credentials))

    def _head(self, credential: Credential) -> bytes | None:
        """The same for every request; the caller's own headers are not forwarded. None while the credential
        has no value."""
        secret = credential.header(bearer=self.api == "openai")
        if secret is None:
            return None
        headers = [
            ("host", self.origin.authority),
            secret,
            ("content-type", "application/json"),
            ("accept-encoding", "identity"),  # usage is read from the bytes passing by
            ("user-agent", "smalt"),
        ]
        forwarder = self.origin.forwarder
        if forwarder is not None and forwarder.authorization:
            headers.append(("proxy-authorization", forwarder.authorization))
        return ("".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n").encode()

    def outgoing(self, facts: Facts, deployment: str, body: bytes) -> Outgoing:
        """`body` as this resource wants it for `deployment`."""
        rewrites: list[str] = []
        renamed = None
        version = self.versions.get(deployment, self.api_version)
        if not self._named_by_path(facts.operation, version) and (
            facts.model != deployment or facts.names_deployment or rewrite.may_name_models(body)
        ):
            body = rewrite.set_model(body, deployment)
            rewrites.append("model")
        if self._must_ask_for_usage(facts, body, version):
            body = rewrite.ask_for_usage(body)
            rewrites.append("stream_options")
        if facts.instructions:
            told = put_first(body, facts.operation, facts.instructions)
            if told is not body:
                body = told
                rewrites.append("instructions")
        model = _data(self.models.get(deployment, deployment), deployment)
        defaults = self.defaults.get(facts.model)
        if defaults is not None:
            body, filled = fill(body, facts.operation, defaults, model)
            rewrites += filled
        if self.adapt:
            body, adaptations, renamed = adapt(body, facts, model, azure=self.api != "openai")
            rewrites += adaptations
        path = self._prefix + _path(self.api, self.base_path, facts.operation, deployment, version)
        return Outgoing(path, body, tuple(rewrites), renamed)

    @property
    def models_path(self) -> str:
        """Path and query of its list of models, the whole URL where a proxy reads it."""
        return self._prefix + paths.models_path(self.api, self.base_path, self.api_version)

    def _named_by_path(self, operation: Operation, version: str) -> bool:
        if self.api != "classic":
            return False
        return paths.path_names_deployment(paths.azure_surface(operation, version), operation)

    def _must_ask_for_usage(self, facts: Facts, body: bytes, version: str) -> bool:
        known = self.api != "classic" or version >= INCLUDE_USAGE_SINCE
        wanted = facts.stream and not facts.asks_usage and facts.operation is Operation.CHAT
        return known and wanted and b'"data_sources"' not in body  # On Your Data refuses stream_options


def request_head(outgoing: Outgoing, request_id: str, head: Head) -> bytes:
    """`head`: of the target."""
    own = (
        f"POST {outgoing.path} HTTP/1.1\r\n"
        f"x-ms-client-request-id: {request_id}\r\n"
        f"content-length: {len(outgoing.body)}\r\n"
    )
    return own.encode() + head.data


def probe_head(target: Target, head: Head) -> bytes:
    """A request that bills nothing. `head`: of the target."""
    return f"GET {target.models_path} HTTP/1.1\r\n".encode() + head.data


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `total_s`: calls that are not streamed, waits included. The others: streams."""

    connect_s: float = 5.0
    total_s: float = 600.0
    stream_first_byte_s: float = 300.0
    stream_idle_s: float = 300.0
