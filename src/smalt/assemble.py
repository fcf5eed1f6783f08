"""From settings to running objects: the one place that knows every part below it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from smalt.auth.secrets import GivenToken, Secrets
from smalt.config import Settings, freeze
from smalt.config.agents import instructions
from smalt.config.defaults import defaults
from smalt.config.degraded import degraded
from smalt.config.freeze import budgets, own_prices
from smalt.config.network import Network, ca_pem, proxy_for
from smalt.config.schema import Resource
from smalt.core.budgets import Budgets
from smalt.core.engine import Engine
from smalt.dispatch.cache import AnswerCache
from smalt.dispatch.dispatcher import BeginSink, Dispatcher, Sink
from smalt.dispatch.dump import dump_if_asked
from smalt.dispatch.heads import Credential
from smalt.dispatch.proxy import Proxy
from smalt.dispatch.target import Origin, Target, Timeouts
from smalt.observe.conventions import providers
from smalt.observe.log import log_notice, log_trouble
from smalt.observe.ptu import Provisioned
from smalt.observe.spans import Spans
from smalt.observe.totals import Totals
from smalt.wire.defaults import Defaults
from smalt.wire.models import model_data
from smalt.wire.profiles import Profiles


@dataclass(frozen=True, slots=True)
class Assembly:
    """The running objects every door needs. `targets`: resources by name. `secrets`: of all of them. `cache`:
    None if none is wanted. `spans`: None until they were."""

    dispatcher: Dispatcher
    targets: Mapping[str, Target]
    secrets: Secrets
    timeouts: Timeouts
    totals: Totals
    cache: AnswerCache | None
    spans: Spans | None

    def close(self) -> None:
        """Finish what is done in the background."""
        if self.spans is not None:
            self.spans.close()


def assemble(
    settings: Settings,
    sinks: Sequence[Sink] = (),
    *,
    begin_sinks: Sequence[BeginSink] = (),
    tokens: Mapping[str, GivenToken] = MappingProxyType({}),
    before: Assembly | None = None,
) -> Assembly:
    """Build everything from checked settings. Opens no connection. Raises ConfigurationError for a proxy of
    the environment that cannot be used.

    `sinks`: told of every ended call, too; `begin_sinks`: of every call that begins. `tokens`: functions that
    give the Entra tokens of resources, in place of their identities. `before`: what this replaces; calls
    under way end there, and what is known of its upstreams lives on. A cache begins empty: the same model may
    be another one now.
    """
    dump_if_asked(os.environ)
    frozen, timeouts, cache = freeze(settings), settings.timeouts, settings.cache
    specs, filled_in = budgets(settings), defaults(settings)
    spans = _spans(settings, before)
    traces = (spans,) if spans and settings.observe.otlp else ()
    if before is None:
        totals, engine = Totals(), Engine(frozen)
        spent = Budgets(specs)
    else:
        totals = before.totals
        with before.dispatcher.lock:
            engine = Engine(frozen, before.dispatcher.engine.registry)
            spent = Budgets(specs, before.dispatcher.budgets)
    totals.provision(_provisioned(settings))
    known = before.secrets if before else None
    secrets = Secrets(settings.key_vault, settings.network, tokens, known)
    return Assembly(
        dispatcher=Dispatcher(
            engine,
            (totals, log_trouble, *traces, *sinks),
            (log_notice,),
            own_prices(settings),
            before.dispatcher if before else None,
            budgets=spent if specs else None,
            profiles=Profiles(filled_in, instructions(settings)),
            begin_sinks=begin_sinks,
            degraded=degraded(settings),
        ),
        targets=_targets(settings, secrets, filled_in),
        secrets=secrets,
        timeouts=Timeouts(
            timeouts.connect_s, timeouts.total_s, timeouts.stream_first_byte_s, timeouts.stream_idle_s
        ),
        totals=totals,
        cache=AnswerCache(cache.size, cache.ttl_s) if cache.size else None,
        spans=spans,
    )


def _spans(settings: Settings, before: Assembly | None) -> Spans | None:
    """One for the life of the process: what was told it is still sent after a change. Raises MissingExtra."""
    known, url = before.spans if before else None, settings.observe.otlp
    if not url:
        return known
    if known is None:
        return Spans(url, providers(settings.resources))
    known.send_to(url, providers(settings.resources))
    return known


def _provisioned(settings: Settings) -> dict[str, Provisioned]:
    """Deployments by upstream whose hours are billed, as far as their number of units is told."""
    return {
        f"{resource_name}/{name}": Provisioned(deployment.ptu, data.throughput if data else None)
        for resource_name, resource in settings.resources.items()
        for name, deployment in resource.deployments.items()
        if deployment.ptu is not None
        for data in [model_data(deployment.model)]
    }


def _origin(resource: Resource, network: Network) -> Origin:
    url = urlsplit(resource.base_url)
    tls = url.scheme == "https"
    proxy = proxy_for(network, resource.base_url)
    return Origin(
        url.hostname or "",
        url.port or (443 if tls else 80),
        tls,
        Proxy.of(proxy) if proxy else None,
        ca_pem(network) if tls else "",
    )


def _targets(settings: Settings, secrets: Secrets, filled_in: Mapping[str, Defaults]) -> dict[str, Target]:
    """By resource."""
    return {
        name: _target(
            resource,
            _origin(resource, settings.network),
            secrets.of(name, resource),
            filled_in,
            adapt=settings.adapt,
        )
        for name, resource in settings.resources.items()
    }


def _target(
    resource: Resource,
    origin: Origin,
    credentials: tuple[Credential, ...],
    filled_in: Mapping[str, Defaults],
    *,
    adapt: bool,
) -> Target:
    return Target(
        origin=origin,
        credentials=credentials,
        api=resource.spoken_api,
        api_version=resource.api_version,
        base_path=resource.base_path,
        region=resource.region,
        models={name: deployment.model for name, deployment in resource.deployments.items()},
        versions={
            name: deployment.api_version
            for name, deployment in resource.deployments.items()
            if deployment.api_version is not None
        },
        defaults=filled_in,
        adapt=adapt,
    )
