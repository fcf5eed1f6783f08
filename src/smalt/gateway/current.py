"""What the gateway serves by at the moment; another one after each reload."""

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Self

from msgspec import Struct

from smalt.assemble import Assembly, assemble
from smalt.config import Settings
from smalt.config.listening import trusted_networks
from smalt.core.routes import AZURE_PREFIX
from smalt.dispatch.connections import Connections
from smalt.dispatch.dispatcher import Sink
from smalt.dispatch.probing import Probed
from smalt.dispatch.upstreams import Upstreams
from smalt.errors import ConfigurationError, SmaltError
from smalt.gateway.brought import MOST_IDLE, Brought
from smalt.gateway.exchange import Exchange, Handler
from smalt.gateway.forwarded import RefusedKeys
from smalt.gateway.guarding import Guards, guarded
from smalt.gateway.load import Load
from smalt.gateway.model_calls import ModelCalls
from smalt.gateway.principals import GatewayKeys, Principal
from smalt.observe.call_lines import log_begun, log_ended
from smalt.observe.conventions import providers
from smalt.observe.metrics import Known, Metrics
from smalt.observe.writer import LogWriter

MADE_AT_START: Final = "made-at-start"
logger = logging.getLogger("smalt.gateway")


class MadeKeys(Struct, frozen=True):
    """Keys of the gateway and of its admin pages that live only as long as it runs."""

    gateway: str
    admin: str

    @classmethod
    def new(cls) -> Self:
        return cls(f"gw_{secrets.token_urlsafe(24)}", f"adm_{secrets.token_urlsafe(24)}")

    def __repr__(self) -> str:
        return "MadeKeys(...)"


class InForce(Struct, frozen=True):
    """Everything that follows from one state of the settings."""

    settings: Settings
    assembly: Assembly
    keys: GatewayKeys
    admin_key: str
    handle: Handler
    since: datetime


class Current:
    """`now` is what is in force. Requests under way end on what they began with. Reload from one thread.

    `read`: gives the settings as they are now; raises ConfigurationError. `log`: writes the lines of calls,
    if they are wanted. `made`: keys for where the settings give none; workers share them. `made_gateway_key`,
    `made_admin_key`: of these, where there are no others.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings] | None = None,
        log: LogWriter | None = None,
        made: MadeKeys | None = None,
    ) -> None:
        self.metrics = Metrics()
        self._log = log
        self.load = Load()
        self._refused = RefusedKeys()
        self.connections = Connections()
        self._to_brought = Connections(most_idle=MOST_IDLE)
        self.problems: Sequence[str] = ()  # of settings that could not be taken
        self._read = read
        self._made_keys = made or MadeKeys.new()
        self.now = self._built(settings, None)

    @property
    def reloads(self) -> bool:
        """Whether there is anything to read again."""
        return self._read is not None

    @property
    def made_gateway_key(self) -> str | None:
        return None if self.now.settings.gateway.keys else self._made_keys.gateway

    @property
    def lost_spans(self) -> int:
        """Calls that reached no collector."""
        spans = self.now.assembly.spans
        return spans.lost if spans else 0

    @property
    def lost_lines(self) -> int:
        """Of the log."""
        return self._log.lost if self._log else 0

    @property
    def made_admin_key(self) -> str | None:
        return None if self.now.settings.gateway.admin_key else self._made_keys.admin

    def handle(self, exchange: Exchange) -> Awaitable[None]:
        return self.now.handle(exchange)

    def reload(self) -> None:
        """Go on with what `read` gives. Raises ConfigurationError, also kept as `problems`: then nothing has
        changed."""
        if self._read is None:
            return
        try:
            settings = self._read()
            self.become(settings)
        except ConfigurationError as error:
            self.problems = error.problems or (error.message,)
            raise
        except Exception as error:
            self.problems = (str(error) if isinstance(error, SmaltError) else type(error).__name__,)
            raise

    def become(self, settings: Settings) -> None:
        """Go on with checked settings. Upstreams keep their state. Raises ConfigurationError."""
        before = self.now.settings.gateway.listen
        if settings.gateway.listen != before:
            logger.warning("gateway.listen: listening on %s until the gateway is started again", before)
        self.now = self._built(settings, self.now.assembly)
        self.problems = ()

    def probed(self) -> Probed:
        now = self.now
        every_s = now.settings.gateway.probe_every_s
        return Probed(now.assembly.dispatcher, now.assembly.targets, now.assembly.timeouts.connect_s, every_s)

    def close(self) -> None:
        self.connections.close()
        self._to_brought.close()
        self.now.assembly.close()

    def _built(self, settings: Settings, before: Assembly | None) -> InForce:
        guards = Guards(settings.gateway.guards) if settings.gateway.guards else None  # first: it may refuse
        begun, ended = (self._log.put, self._log.put) if self._log else (log_begun, log_ended)
        told = settings.observe
        sinks: list[Sink] = [*([ended] if told.calls else []), *([self.metrics] if told.metrics else [])]
        begin_sinks = [begun] if told.calls else []
        assembly = assemble(settings, sinks, begin_sinks=begin_sinks, before=before)
        self.metrics.known = _known(settings, assembly.dispatcher.models)
        for target in assembly.targets.values():
            target.heads.begin()
        keys = GatewayKeys(
            [
                (
                    key.key.get_secret_value(),
                    Principal(
                        key.alias,
                        frozenset(key.models) or None,
                        self.load.slots(key.alias, key.concurrency),
                    ),
                )
                for key in settings.gateway.keys
            ]
            or [(self._made_keys.gateway, Principal(MADE_AT_START))]
        )
        self.load.limits = settings.gateway.limits
        self._refused.trusted = trusted_networks(settings.gateway.trusted_proxies)
        upstreams = Upstreams(assembly.targets, assembly.timeouts, self.connections)
        brought = Brought(settings, assembly.dispatcher, assembly.timeouts, self._to_brought)
        handle: Handler = ModelCalls(
            assembly.dispatcher, upstreams, keys, assembly.timeouts, brought, self._refused, guards
        ).handle
        if guards is not None:
            handle = guarded(handle, guards)
        admin_key = settings.gateway.admin_key
        return InForce(
            settings,
            assembly,
            keys,
            admin_key.get_secret_value() if admin_key else self._made_keys.admin,
            handle,
            datetime.now(UTC),
        )


def _known(settings: Settings, models: Iterable[str]) -> Known:
    """The names of metrics: none that a caller has made up."""
    names = {name for model in models for name in (model, model.removeprefix(AZURE_PREFIX))}
    return Known(
        names, {MADE_AT_START, *(key.alias for key in settings.gateway.keys)}, providers(settings.resources)
    )
