"""A fleet: every upstream of one configuration, for as many clients as there are."""

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from smalt.assemble import assemble
from smalt.client.receipts import RECEIPTS
from smalt.client.transports import HttpLibrary, library_of_the_sdk, transport_classes
from smalt.config import Settings, check_settings, load
from smalt.core.upstream import UpstreamStatus
from smalt.errors import MissingExtra
from smalt.observe.totals import Axis, Sums

if TYPE_CHECKING:
    from smalt.client import sdk


class Fleet:
    """Safe for threads. Clients and transports made from one fleet share its limits, cooldowns and sums.

    `settings`: loaded, or built by a program. Raises ConfigurationError with every problem at once.
    """

    def __init__(self, settings: Settings) -> None:
        check_settings(settings)
        self._assembly = assemble(settings, sinks=(RECEIPTS,))

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
        file = None if path is None else Path(path)
        return cls(load(file, env=os.environ if env is None else env, overlay=overlay, cwd=Path.cwd()))

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
        openai package rides. Whoever makes a client of it closes it."""
        return transport_classes(library or library_of_the_sdk()).sync(self._assembly)

    def async_transport(self, library: HttpLibrary | None = None) -> Any:
        """The same for `AsyncClient`; one for each event loop."""
        return transport_classes(library or library_of_the_sdk()).asynchronous(self._assembly)

    def usage(self, by: Axis = "upstream") -> Mapping[str, Sums]:
        """Calls, attempts, tokens and cost so far, by upstream, model or tag."""
        return self._assembly.totals.sums(by)

    def status(self) -> Sequence[UpstreamStatus]:
        """Every upstream now: available or why not, load, traffic."""
        return self._assembly.dispatcher.status()


def _sdk() -> Any:
    """The clients' module; the openai package is an optional part."""
    try:
        return import_module("smalt.client.sdk")
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        raise MissingExtra("an OpenAI client", "openai") from None
