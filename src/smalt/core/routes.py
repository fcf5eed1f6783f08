"""From the name a caller asks for to the upstreams that may serve it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from smalt.core.estimate import TokenEstimate
from smalt.core.limits import NEVER, Load
from smalt.core.settings import PatternSpec, PoolSpec, RouteSpec, StrategyName, UpstreamSpec
from smalt.core.strategies import STRATEGIES, Strategy
from smalt.core.upstream import UpstreamState
from smalt.errors import InvalidRequest, UnsupportedOperation, UpstreamError
from smalt.types import Facts

AZURE_PREFIX = "azure/"

Tiers = tuple[tuple[UpstreamState, ...], ...]


@dataclass(frozen=True, slots=True)
class Tier:
    """Upstreams that serve equally well, and who picks among them."""

    states: tuple[UpstreamState, ...]
    strategy: Strategy
    no_obstacles: tuple[None, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "no_obstacles", (None,) * len(self.states))

    def all_free(self, load: Load, now: float) -> bool:
        """Whether no upstream has an obstacle; `UpstreamState.obstacle` is written out for speed."""
        for state in self.states:
            health = state.health
            if now < health.until_s or health.probing or not state.fits(load, now):
                return False
        return True


@dataclass(frozen=True, slots=True)
class Route:
    """Every tier a model may be served by, the first choice first: its own pool, then those of its fallbacks.

    `smallest_context`, `smallest_quota`: of the known ones, in tokens; a request that fits needs no look at
    each.
    """

    model: str
    tiers: tuple[Tier, ...]
    needs: frozenset[str]
    estimate: TokenEstimate
    smallest_context: float
    smallest_quota: float

    def may_be_too_small_for(self, load: Load) -> bool:
        """Whether the request does not fit every upstream."""
        return load.input_tokens > self.smallest_context or load.tokens > self.smallest_quota

    @property
    def largest_quota(self) -> float:
        """Tokens of the upstream that takes the largest requests; infinite if one may take any."""
        return max(_quota_tpm(state.spec) for tier in self.tiers for state in tier.states)

    @property
    def busy(self) -> bool:
        return any(state.in_flight or state.waiting for tier in self.tiers for state in tier.states)

    def eligible(self, facts: Facts) -> tuple[Tier, ...]:
        """The tiers less what may not serve this request. Raises InvalidRequest if nobody has the abilities
        it needs, UpstreamError if the resource its ids belong to is not on the route, UnsupportedOperation if
        it could be any of several."""
        needs = self.needs | facts.needs if self.needs else facts.needs
        if not needs and facts.resource is None and not facts.bound:
            return self.tiers
        able = self._only(lambda state: _able(state, needs), self.tiers)
        if not able:
            raise InvalidRequest(f"no upstream of {self.model!r} can serve {', '.join(sorted(needs))}")
        if facts.resource is None:
            if facts.bound:
                self._require_one_resource(able)
            return able
        bound = self._only(lambda state: state.spec.resource == facts.resource, able)
        if not bound:
            raise UpstreamError(
                f"ids in the request belong to the resource {facts.resource!r}, which does not serve "
                f"{self.model!r}"
            )
        return bound

    def _require_one_resource(self, tiers: tuple[Tier, ...]) -> None:
        resources = sorted({state.spec.resource for tier in tiers for state in tier.states})
        if len(resources) > 1:
            raise UnsupportedOperation(
                f"the request builds on what one resource keeps, and {self.model!r} is served by several: "
                f"{', '.join(resources)}",
                resolution=(
                    'Send the whole conversation each time, with "store": false.',
                    "Or ask for a model that one resource alone serves.",
                ),
            )

    def _only(self, keep: Callable[[UpstreamState], bool], tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
        kept = (Tier(tuple(filter(keep, tier.states)), tier.strategy) for tier in tiers)
        return tuple(tier for tier in kept if tier.states)


def route(spec: RouteSpec, states: Mapping[str, UpstreamState], estimate: TokenEstimate) -> Route:
    """A route over the states of its upstreams."""
    return _route(
        spec.model, [(_states(pool, states), pool.strategy) for pool in spec.pools], spec.needs, estimate
    )


def pattern_route(
    spec: PatternSpec, model: str, state_of: Callable[[str], UpstreamState], estimate: TokenEstimate
) -> Route:
    """The route of one model that matches a pattern. `state_of`: by upstream name, made if there is none."""
    tiers = tuple(
        tuple(state_of(name if "/" in name else f"{name}/{model}") for name in tier) for tier in spec.tiers
    )
    return _route(model, [(tiers, spec.strategy)], frozenset(), estimate)


def single(state: UpstreamState, estimate: TokenEstimate) -> Route:
    """A route to one upstream and nobody else."""
    return _route(state.spec.model, [(((state,),), "least_loaded")], frozenset(), estimate)


def best_pattern(patterns: tuple[PatternSpec, ...], model: str) -> PatternSpec | None:
    """The pattern that matches with the most letters of its own; of equal ones the first."""
    matching = [spec for spec in patterns if matches(spec.pattern, model)]
    return max(matching, key=lambda spec: len(spec.pattern.replace("*", "")), default=None)


def matches(pattern: str, model: str) -> bool:
    """Whether a name matches a pattern in which `*` stands for any text, and nothing else is special."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), model, re.DOTALL) is not None


def _states(pool: PoolSpec, states: Mapping[str, UpstreamState]) -> Tiers:
    return tuple(tuple(states[name] for name in tier) for tier in pool.tiers if tier)


def _route(
    model: str, pools: list[tuple[Tiers, StrategyName]], needs: frozenset[str], estimate: TokenEstimate
) -> Route:
    """An upstream that several pools hold serves in the first of them."""
    seen: set[UpstreamState] = set()
    tiers = []
    for pool, strategy in pools:
        for tier in pool:
            states = tuple(state for state in tier if state not in seen)
            seen.update(states)
            if states:
                tiers.append(Tier(states, STRATEGIES[strategy]()))
    contexts = [state.spec.context_tokens for state in seen if state.spec.context_tokens is not None]
    smallest_quota = min((_quota_tpm(state.spec) for state in seen), default=NEVER)
    return Route(model, tuple(tiers), needs, estimate, min(contexts, default=NEVER), smallest_quota)


def _quota_tpm(spec: UpstreamSpec) -> float:
    """Of its own and the one it shares the smaller; infinite if neither is known."""
    limits = (spec.limit_tpm, spec.group and spec.group.limit_tpm)
    return min((limit_tpm for limit_tpm in limits if limit_tpm is not None), default=NEVER)


def _able(state: UpstreamState, needs: frozenset[str]) -> bool:
    """What is not known of a model is taken to be there: the upstream says so if it is not."""
    return state.spec.abilities is None or needs <= state.spec.abilities
