"""Routes a request to the upstreams that may serve it and keeps what is known about each of them."""

from collections import defaultdict

from smalt.core.call import Call
from smalt.core.settings import EngineSettings, UpstreamSpec
from smalt.core.strategies import LeastLoaded
from smalt.core.upstream import UpstreamState, UpstreamStatus, status
from smalt.errors import ModelNotAvailableError
from smalt.types import Facts

AZURE_PREFIX = "azure/"
MAX_UNLISTED = 1_000  # deployments reached by name on the default resource; names come from callers


class Engine:
    """Not safe for concurrent use: callers hold one lock around it and the calls it opens."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._strategy = LeastLoaded()
        self._states: dict[str, UpstreamState] = {}
        self._siblings: dict[str, list[UpstreamState]] = defaultdict(list)
        for spec in settings.upstreams.values():
            self._add(spec)
        self._tiers = {
            model: tuple(tuple(self._states[name] for name in tier) for tier in route.tiers if tier)
            for model, route in settings.routes.items()
        }

    def open_call(self, facts: Facts, *, unit: float, deadline_s: float) -> Call:
        """A call for `facts.model`. Raises ModelNotAvailableError if no upstream is configured for it."""
        model = facts.model
        tiers = self._tiers.get(model) or self._tiers.get(AZURE_PREFIX + model) or self._unlisted(facts)
        return Call(
            facts,
            tiers,
            self._siblings,
            self._strategy,
            self._settings.retry,
            unit=unit,
            deadline_s=deadline_s,
        )

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self._tiers)

    def spec(self, upstream: str) -> UpstreamSpec:
        return self._states[upstream].spec

    def status(self, now: float) -> tuple[UpstreamStatus, ...]:
        return tuple(status(state, now) for state in self._states.values())

    def unavailable_models(self, now: float) -> tuple[str, ...]:
        """Models of which no upstream is healthy."""
        return tuple(
            model
            for model, tiers in self._tiers.items()
            if not any(state.healthy(now) for tier in tiers for state in tier)
        )

    def _unlisted(self, facts: Facts) -> tuple[tuple[UpstreamState, ...], ...]:
        """A deployment that is not configured: the default resource may know it."""
        resource, deployment = self._settings.default_resource, facts.model.removeprefix(AZURE_PREFIX)
        named = facts.names_deployment or facts.model.startswith(AZURE_PREFIX)
        if resource is None or not named or not deployment.strip("."):  # a path swallows segments of dots
            raise ModelNotAvailableError(f"no upstream is configured for the model {facts.model!r}")
        name = f"{resource}/{deployment}"
        if name not in self._states:
            if len(self._states) >= len(self._settings.upstreams) + MAX_UNLISTED:
                raise ModelNotAvailableError(f"too many unlisted deployments; add {deployment!r}")
            self._add(UpstreamSpec(name, model=deployment))
        return ((self._states[name],),)

    def _add(self, spec: UpstreamSpec) -> None:
        state = self._states[spec.name] = UpstreamState(spec)
        self._siblings[spec.resource].append(state)
