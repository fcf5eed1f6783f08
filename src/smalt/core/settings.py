"""What the core is configured with: frozen, checked elsewhere (smalt.config), shared by every call."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UpstreamSpec:
    """A deployment as the core sees it.

    `name`: `resource/deployment`. `region` and `sku`: in Azure's spelling, None if unknown.
    `limit_tpm`: tokens per minute we allow ourselves, None for no limit of ours.
    """

    name: str
    model: str
    region: str | None = None
    sku: str | None = None
    limit_tpm: int | None = None

    @property
    def resource(self) -> str:
        return self.name.partition("/")[0]

    @property
    def deployment(self) -> str:
        return self.name.partition("/")[2]


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """The upstreams of one model by name, in tiers: a later tier serves when the earlier ones cannot."""

    model: str
    tiers: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """How often and how patiently one call is tried.

    Before repeat n on the same upstream: min(cap_s, base_s * 2**(n-1)) plus 0 to jitter_s seconds, unless
    the upstream named a time itself. Another upstream is tried at once. `after_timeout`: also repeat calls
    that timed out, which may be billed twice.
    """

    max_attempts: int = 5
    base_s: float = 1.0
    cap_s: float = 32.0
    jitter_s: float = 1.0
    after_timeout: bool = False


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything an engine decides by.

    `default_resource`: where `azure/<deployment>` leads when no configured upstream has that deployment.
    """

    upstreams: Mapping[str, UpstreamSpec]
    routes: Mapping[str, RouteSpec]
    retry: RetrySpec = field(default_factory=RetrySpec)
    default_resource: str | None = None
