"""What the core is configured with: frozen, checked elsewhere (smalt.config), shared by every call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

StrategyName = Literal["least_loaded", "round_robin", "weighted", "random", "least_latency"]


@dataclass(frozen=True, slots=True)
class Throughput:
    """What a provisioned deployment works off: `input_tpm` uncached input tokens a minute with all its PTUs.
    The weights say how many of them an output token and a cached input token count."""

    input_tpm: int
    output_weight: float
    cached_weight: float = 0.0


class QuotaGroup(NamedTuple):
    """A quota that several deployments share: Azure's of one subscription, region and model."""

    name: str
    limit_tpm: int


@dataclass(frozen=True, slots=True)
class UpstreamSpec:
    """A deployment as the core sees it.

    `name`: `resource/deployment`. `region` and `sku`: in Azure's spelling, None if unknown. `limit_tpm`,
    `limit_rpm`: what we allow ourselves a minute, None for no limit of ours. `throughput`: of a provisioned
    deployment, in place of the limits. `group`: a quota shared with other deployments. `weight`: share of
    the load under the strategy `weighted`. `context_tokens`, `abilities`: of the model, None if unknown.
    `address`: the same for upstreams that are the same deployment of the same endpoint.
    """

    name: str
    model: str
    region: str | None = None
    sku: str | None = None
    limit_tpm: int | None = None
    limit_rpm: float | None = None
    throughput: Throughput | None = None
    group: QuotaGroup | None = None
    weight: int = 1
    context_tokens: int | None = None
    abilities: frozenset[str] | None = None
    address: str = ""

    @property
    def resource(self) -> str:
        return self.name.partition("/")[0]

    @property
    def deployment(self) -> str:
        return self.name.partition("/")[2]


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """The upstreams of one model by name, in tiers: a later tier serves when the earlier ones cannot."""

    tiers: tuple[tuple[str, ...], ...]
    strategy: StrategyName = "least_loaded"


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """The ordered pools of a model: its own, then those of its fallbacks. `needs`: abilities that every
    request on this route needs."""

    model: str
    pools: tuple[PoolSpec, ...]
    needs: frozenset[str] = frozenset()

    @property
    def tiers(self) -> tuple[tuple[str, ...], ...]:
        """Of all pools, one after the other."""
        return tuple(tier for pool in self.pools for tier in pool.tiers)


@dataclass(frozen=True, slots=True)
class PatternSpec:
    """A route for every model whose name matches `pattern`, where `*` stands for any text.

    The deployment of the asked name is used on each of the resources in `tiers`; an upstream
    (`resource/deployment`) among them stands for itself.
    """

    pattern: str
    tiers: tuple[tuple[str, ...], ...]
    strategy: StrategyName = "least_loaded"


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
class BreakerSpec:
    """`failures` in a row open the breaker for `open_s` seconds; then one call probes."""

    failures: int = 5
    open_s: float = 30.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything an engine decides by.

    `default_resource`: where `azure/<deployment>` leads when no configured upstream has that deployment.
    `max_waiting`: calls that may wait for a free upstream at the same time; further ones are refused.
    """

    upstreams: Mapping[str, UpstreamSpec]
    routes: Mapping[str, RouteSpec]
    patterns: tuple[PatternSpec, ...] = ()
    retry: RetrySpec = field(default_factory=RetrySpec)
    breaker: BreakerSpec = field(default_factory=BreakerSpec)
    default_resource: str | None = None
    max_waiting: int = 1_000
