"""A fleet: every upstream of one configuration, for as many clients as there are."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakSet

from smalt.assemble import Assembly, assemble
from smalt.auth.secrets import GivenToken
from smalt.client.agents import Agent
from smalt.client.receipts import RECEIPTS
from smalt.client.transports import HttpLibrary, library_of_the_sdk, transport_classes
from smalt.config import Settings, check_settings, load
from smalt.config.watching import Watch
from smalt.core.upstream import UpstreamStatus
from smalt.errors import ConfigurationError, MissingExtra
from smalt.observe.call_lines import log_begun, log_ended
from smalt.observe.totals import Axis, Sums

if TYPE_CHECKING:
    from smalt.client import sdk

_FLEETS: Final[WeakSet["Fleet"]] = WeakSet()


class Fleet:
    """Safe for threads. Clients and transports made from one fleet share its limits, cooldowns and sums.

    `settings`: loaded, or built by a program. `tokens`: functions that give the Entra tokens of resources, by
    name, in place of their identities. Raises ConfigurationError with every problem at once. In a
    child process made by fork a fleet starts afresh: it knows nothing of its upstreams and shares no
    connection.
    """

    def __init__(self, settings: Settings, *, tokens: Mapping[str, GivenToken] | None = None) -> None:
        check_settings(settings)
        self._settings = settings
        self._tokens = tokens or {}
        self._assembly = self._assembled(settings)
        self._read: Callable[[], Settings] | None = None
        self._transports: WeakSet[Any] = WeakSet()
        self._watch: Watch | None = None
        _FLEETS.add(self)

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        overlay: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """From a file; without `path` from `smalt.yaml` here, or else from the environment.

        `overlay`: `prod` lays environments/prod.yaml over the file. `env`: in place of os.environ.
        """
        file, cwd = None if path is None else Path(path), Path.cwd()
        read = partial(load, file, env=os.environ if env is None else env, overlay=overlay, cwd=cwd)
        fleet = cls(read())
        fleet._read = read
        return fleet

    @property
    def settings(self) -> Settings:
        """What it goes by now."""
        return self._settings

    def reload(self, settings: Settings | None = None) -> None:
        """Go on with these settings, or with what the file or the environment says now.

        They are checked wholly first: if something is wrong, ConfigurationError is raised and nothing has
        changed. Calls under way end as they began; cooldowns, quotas and sums live on.
        """
        if settings is None:
            if self._read is None:
                raise ConfigurationError("this fleet was built from settings: give reload() the new ones")
            settings = self._read()
        else:
            check_settings(settings)
        self._assembly = self._assembled(settings, self._assembly)
        self._settings = settings

    def watch(self, *files: str | Path) -> None:
        """Reload when one of these files changes, from a thread that `close` ends. A file that cannot be used
        changes nothing and is logged."""
        self._watch = self._watch or Watch(self.reload)
        self._watch.add(files)

    def close(self) -> None:
        """Close every transport made from this fleet for threads, send what spans are left, and end `watch`.
        Transports for event loops are closed by their clients, in their loops."""
        if self._watch is not None:
            self._watch.end()
            self._watch = None
        for transport in list(self._transports):
            if hasattr(transport, "close"):
                transport.close()
        self._assembly.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def agent(self, name: str) -> Agent:
        """One of the `agents` of the settings, to be run with tools. Raises ModelNotAvailableError if there
        is none of that name, and ConfigurationError for tools that cannot be imported."""
        return Agent(self, name, self._settings.agents)

    def openai(self, **options: Any) -> "sdk.OpenAI":
        """An `openai.OpenAI` client over this fleet; `options` are the SDK's own, such as `timeout`."""
        client: sdk.OpenAI = _sdk().OpenAI(fleet=self, **options)
        return client

    def async_openai(self, **options: Any) -> "sdk.AsyncOpenAI":
        """An `openai.AsyncOpenAI` client over this fleet."""
        client: sdk.AsyncOpenAI = _sdk().AsyncOpenAI(fleet=self, **options)
        return client

    def azure_openai(self, **options: Any) -> "sdk.AzureOpenAI":
        """An `openai.AzureOpenAI` client over this fleet."""
        client: sdk.AzureOpenAI = _sdk().AzureOpenAI(fleet=self, **options)
        return client

    def async_azure_openai(self, **options: Any) -> "sdk.AsyncAzureOpenAI":
        """An `openai.AsyncAzureOpenAI` client over this fleet."""
        client: sdk.AsyncAzureOpenAI = _sdk().AsyncAzureOpenAI(fleet=self, **options)
        return client

    def transport(self, library: HttpLibrary | None = None) -> Any:
        """For `httpx2.Client(transport=...)`, or httpx's; without `library` for the one that the installed
        openai package rides."""
        return self._made(transport_classes(library or library_of_the_sdk()).sync)

    def async_transport(self, library: HttpLibrary | None = None) -> Any:
        """The same for `AsyncClient`; one for each event loop."""
        return self._made(transport_classes(library or library_of_the_sdk()).asynchronous)

    def usage(self, by: Axis = "upstream") -> Mapping[str, Sums]:
        """Calls, attempts, tokens and cost so far, by upstream, model, tag or agent; by upstream the hours of
        provisioned deployments, too. The parts of a request that was split are calls of their own."""
        return self._assembly.totals.sums(by)

    def status(self) -> Sequence[UpstreamStatus]:
        """Every upstream now: available or why not, load, traffic."""
        return self._assembly.dispatcher.status()

    def _assembled(self, settings: Settings, before: Assembly | None = None) -> Assembly:
        return assemble(
            settings,
            sinks=(RECEIPTS, log_ended),
            begin_sinks=(log_begun,),
            tokens=self._tokens,
            before=before,
        )

    def _made(self, transport: type[Any]) -> Any:
        made = transport(self._current)
        self._transports.add(made)
        return made

    def _current(self) -> Assembly:
        return self._assembly

    def _start_afresh(self) -> None:
        self._assembly = self._assembled(self._settings)
        self._watch = None  # its thread stayed in the parent
        for transport in list(self._transports):
            transport.start_afresh()


def _start_afresh() -> None:
    RECEIPTS.start_afresh()
    for fleet in list(_FLEETS):
        fleet._start_afresh()  # noqa: SLF001  of this module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)


def _sdk() -> Any:
    """The clients' module; the openai package is an optional part."""
    try:
        return import_module("smalt.client.sdk")
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        raise MissingExtra("an OpenAI client", "openai") from None
