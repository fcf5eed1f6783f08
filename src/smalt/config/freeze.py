"""From checked settings to what the engine decides by."""

from typing import TYPE_CHECKING

from smalt.config.routes import is_pattern, plans, why_excluded
from smalt.config.upstreams import upstreams
from smalt.core.budgets import BudgetSpec
from smalt.core.settings import BreakerSpec, EngineSettings, PatternSpec, RetrySpec, RouteSpec
from smalt.wire.models import TokenPrice

if TYPE_CHECKING:
    from smalt.config.schema import Settings

DEFAULT_RESOURCE = "default"  # takes every `azure/<deployment>` that no configured deployment has


def freeze(settings: "Settings") -> EngineSettings:
    """Upstreams by `resource/deployment`; routes by model, `azure/<deployment>` and `agent/<name>`.

    What lies outside the residency zone of its own model is left out altogether. `azure/<deployment>` without
    a configured deployment of that name is left to the resource named `default`, if there is one; but not
    where any model has a residency, since nobody knows what model an unlisted deployment serves.
    """
    specs = upstreams(settings)
    planned = {name: plan for name, plan in plans(settings, specs).items() if plan.upstreams}
    retry, breaker = settings.retry, settings.breaker
    has_default = DEFAULT_RESOURCE in settings.resources and not has_residency(settings)
    return EngineSettings(
        upstreams={
            name: spec for name, spec in specs.items() if not why_excluded(spec, spec.model, settings)
        },
        routes={
            name: RouteSpec(plan.model, tuple(plan.pools.values()), plan.needs)
            for name, plan in planned.items()
            if not is_pattern(name)
        },
        patterns=tuple(
            PatternSpec(name, plan.pools[name].tiers, plan.pools[name].strategy)
            for name, plan in planned.items()
            if is_pattern(name)
        ),
        retry=RetrySpec(retry.max_attempts, retry.base_s, retry.cap_s, retry.jitter_s, retry.after_timeout),
        breaker=BreakerSpec(breaker.failures, breaker.open_s),
        default_resource=DEFAULT_RESOURCE if has_default else None,
    )


def budgets(settings: "Settings") -> tuple[BudgetSpec, ...]:
    """Of checked settings."""
    return tuple(
        BudgetSpec(budget.tokens, budget.per, budget.tag, budget.agent)
        for budget in settings.budgets
        if budget.tokens
    )


def own_prices(settings: "Settings") -> dict[str, TokenPrice]:
    """By model, of checked settings."""
    return {
        model: TokenPrice(price.input_usd, price.output_usd, price.cached_usd, price.cache_write_usd)
        for model, price in settings.prices.items()
        if price.input_usd is not None and price.output_usd is not None
    }


def has_residency(settings: "Settings") -> bool:
    """Whether any model must stay in a zone."""
    return any(model.residency for model in settings.models.values())
