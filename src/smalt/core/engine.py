"""Routes a request to the upstreams that may serve it and keeps what is known about each of them."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from smalt.core import incidents
from smalt.core.call import Asker, Call, Shared
from smalt.core.estimate import TokenEstimate
from smalt.core.health import NEVER
from smalt.core.limits import StandardQuota
from smalt.core.line import Line
from smalt.core.routes import AZURE_PREFIX, Route, best_pattern, pattern_route, route, single
from smalt.core.settings import (
    BreakerSpec,
    EngineSettings,
    PoolSpec,
    QuotaGroup,
    RouteSpec,
    UpstreamSpec,
)
from smalt.core.upstream import UpstreamState, UpstreamStatus, status
from smalt.errors import ModelNotAvailableError
from smalt.types import AGENT_PREFIX, Facts, Notice

MAX_UNLISTED: Final = 1_000  # upstreams and routes made for names that callers bring


class Registry:
    """What outlives the settings of one engine: what is known of upstreams, by the deployment behind them;
    the line of waiting calls; what there is to tell."""

    def __init__(self) -> None:
        self.line = Line()
        self.notices: list[Notice] = []
        self._states: dict[str, UpstreamState] = {}
        self._groups: dict[QuotaGroup, StandardQuota] = {}

    def state(self, spec: UpstreamSpec, breaker: BreakerSpec) -> UpstreamState:
        """The state of that deployment. One whose settings have changed starts with the old one's health."""
        address = spec.address or spec.name
        known = self._states.get(address)
        if known is not None:
            known.health.breaker = breaker
            if known.spec == spec:
                return known
        group = spec.group and self._groups.setdefault(spec.group, StandardQuota(spec.group.limit_tpm))
        state = self._states[address] = UpstreamState(spec, breaker, group)
        if known is not None:
            state.inherit(known)
        return state

    def forget(self, state: UpstreamState) -> None:
        del self._states[state.spec.address or state.spec.name]


class Engine:
    """Not safe for concurrent use: callers hold one lock around it and the calls it opens.

    `registry`: of an engine that this one replaces, so that cooldowns and quotas live on.
    """

    def __init__(self, settings: EngineSettings, registry: Registry | None = None) -> None:
        self._settings = settings
        self._registry = registry or Registry()
        self._states: dict[str, UpstreamState] = {}
        self._siblings: dict[str, list[UpstreamState]] = defaultdict(list)
        self._estimates: dict[str, TokenEstimate] = defaultdict(TokenEstimate)
        self._unlisted: dict[tuple[str, bool], Route] = {}  # by model, and whether that names a deployment
        self.line, self.notices = self._registry.line, self._registry.notices
        self.line.most = settings.max_waiting
        self._shared = Shared(settings.retry, self.line, self._siblings, self.notices)
        for spec in settings.upstreams.values():
            self._add(spec)
        self._routes = {
            name: route(spec, self._states, self._estimates[spec.model])
            for name, spec in settings.routes.items()
        }

    def apart(self, spec: UpstreamSpec) -> "Engine":
        """One that knows this upstream alone, by the name of its model, and repeats and rests as this one."""
        route = RouteSpec(spec.model, (PoolSpec(((spec.name,),)),))
        upstreams, routes = {spec.name: spec}, {spec.model: route}
        return Engine(
            dataclasses.replace(
                self._settings, upstreams=upstreams, routes=routes, patterns=(), default_resource=None
            )
        )

    def open_call(
        self,
        facts: Facts,
        *,
        unit: float,
        deadline_s: float,
        began_s: float = 0.0,
        caller: str = "",
        wake: Callable[[], None] = lambda: None,
    ) -> Call:
        """A call for `facts.model`. Raises ModelNotAvailableError if no upstream is configured for it, and
        InvalidRequest if none of them can do what it needs. The rest: see `Asker`."""
        asked = self.route(facts)
        load = asked.estimate.load(facts.prompt_bytes, facts.max_tokens)
        return Call(facts, load, asked, self._shared, Asker(caller, wake, unit, deadline_s, began_s))

    def take_wakes(self) -> list[Callable[[], None]]:
        """Calls to wake, to be called once the lock is released."""
        wakes, self.line.to_wake = self.line.to_wake, []
        return wakes

    def take_notices(self) -> list[Notice]:
        """What has happened since the last time."""
        notices = self.notices.copy()
        self.notices.clear()
        return notices

    @property
    def models(self) -> tuple[str, ...]:
        """Names with a route of their own; patterns are left out."""
        return tuple(self._routes)

    @property
    def registry(self) -> Registry:
        return self._registry

    def status(self, now: float) -> tuple[UpstreamStatus, ...]:
        return tuple(status(state, now) for state in self._states.values())

    def unavailable_models(self, now: float) -> tuple[str, ...]:
        """Models of which no upstream is healthy."""
        return tuple(
            model
            for model, known in self._routes.items()
            if all(state.health.resting(now) for tier in known.tiers for state in tier.states)
        )

    def heard_s(self, resource: str) -> float:
        """When it last answered a call; minus infinity if it never did."""
        return max((state.answered_s for state in self._siblings.get(resource, ())), default=-NEVER)

    def probed(self, resource: str, trouble: str | None, now: float, *, rest_s: float) -> None:
        """What came of a question that bills nothing. `trouble`: others are preferred to its upstreams for
        `rest_s` seconds; None: it answered, and what such questions had brought is lifted."""
        states = self._siblings.get(resource, ())
        if trouble is None:
            notice = incidents.reached(resource, states, now)
            self.line.freed(states, now)
        else:
            notice = incidents.missed(resource, states, trouble, now, rest_s)
        if notice is not None:
            self.notices.append(notice)

    def route(self, facts: Facts) -> Route:
        """By exact name, as a deployment's name, by pattern, or on the default resource, in this order."""
        model = facts.model
        known = (
            self._routes.get(model) or self._routes.get(AZURE_PREFIX + model) or self._unlisted_route(facts)
        )
        if known is None or not known.tiers:
            raise ModelNotAvailableError(f"no upstream is configured for the model {model!r}")
        return known

    def _unlisted_route(self, facts: Facts) -> Route | None:
        asked = facts.model, facts.names_deployment
        if asked not in self._unlisted and len(self._unlisted) >= MAX_UNLISTED:
            self._forget_unlisted()
        made = self._unlisted.get(asked) or self._by_pattern(facts.model) or self._on_default_resource(facts)
        if made is not None:
            self._unlisted[asked] = made
        return made

    def _by_pattern(self, model: str) -> Route | None:
        spec = best_pattern(self._settings.patterns, model)
        if spec is None or not _nameable(model) or model.startswith((AZURE_PREFIX, AGENT_PREFIX)):
            return None
        return pattern_route(spec, model, lambda name: self._state(name, model), TokenEstimate())

    def _on_default_resource(self, facts: Facts) -> Route | None:
        """A deployment that is not configured: the default resource may know it."""
        resource, deployment = self._settings.default_resource, facts.model.removeprefix(AZURE_PREFIX)
        named = facts.names_deployment or facts.model.startswith(AZURE_PREFIX)
        if resource is None or not named or not _nameable(deployment):
            return None
        return single(self._state(f"{resource}/{deployment}", deployment), TokenEstimate())

    def _state(self, name: str, model: str) -> UpstreamState:
        return self._states.get(name) or self._add(UpstreamSpec(name, model))

    def _forget_unlisted(self) -> None:
        """Names come from callers, so there is no end to them: all that serve nobody now are forgotten."""
        self._unlisted = {asked: made for asked, made in self._unlisted.items() if made.busy}
        used = {state for made in self._unlisted.values() for tier in made.tiers for state in tier.states}
        for name, state in list(self._states.items()):
            if name not in self._settings.upstreams and state not in used:
                del self._states[name]
                self._siblings[state.spec.resource].remove(state)
                self._registry.forget(state)

    def _add(self, spec: UpstreamSpec) -> UpstreamState:
        state = self._states[spec.name] = self._registry.state(spec, self._settings.breaker)
        self._siblings[spec.resource].append(state)
        return state


def _nameable(deployment: str) -> bool:
    """A path swallows segments of dots."""
    return bool(deployment.strip("."))
