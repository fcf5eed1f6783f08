"""`smalt serve`: the gateway as a process."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from smalt.config import Settings
from smalt.config.listening import Drain, load_certificate
from smalt.config.watching import Watch
from smalt.dispatch.probing import probing
from smalt.gateway.asgi import Gateway
from smalt.gateway.current import Current, MadeKeys
from smalt.gateway.draining import Server
from smalt.gateway.exchange import Handler
from smalt.gateway.http_protocol import protocol_class
from smalt.gateway.listening import allow_many_files, listening, server_context, url
from smalt.gateway.load import Load
from smalt.gateway.pages import pages
from smalt.gateway.siblings import Siblings, answering_siblings
from smalt.observe.writer import LogWriter

KEEP_ALIVE_S = 75  # longer than load balancers and SDKs keep idle connections: they close first

logger = logging.getLogger("smalt.gateway")


@dataclass(frozen=True, slots=True)
class Serving:
    """What a starting gateway announces. `url`: `unix:/path` for a unix socket. The `made_` keys live only as
    long as it runs; None: given by the configuration."""

    url: str
    models: tuple[str, ...]
    made_gateway_key: str | None
    made_admin_key: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker has of its parent: the socket, the keys of this run, and where its siblings are."""

    listener: socket.socket
    made: MadeKeys
    siblings: Siblings


def serve(
    settings: Settings,
    announce: Callable[[Serving], None],
    *,
    read: Callable[[], Settings] | None = None,
    files: Sequence[Path] = (),
    log: LogWriter | None = None,
    place: Place | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then drain. Raises ConfigurationError if the address cannot be had, or a
    setting would promise what the gateway does not keep.

    `read`: gives the settings anew when one of `files` changes, or on SIGHUP. `log`: of this process.
    `place`: of a worker.
    """
    allow_many_files()
    _spare_the_collector()
    current = Current(settings, read, log, place.made if place else None)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(current, announce, files, place))


def _spare_the_collector() -> None:
    """What was imported stays; and of what a request makes, hardly anything is in a circle."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _serve(
    current: Current,
    announce: Callable[[Serving], None],
    files: Sequence[Path],
    place: Place | None,
) -> None:
    settings = current.now.settings
    siblings = place.siblings if place else None
    app = Gateway(current.handle, pages(current, siblings), current.load)
    server = build(app, current.handle, current.load, lambda: current.now.settings.gateway.drain)
    tls = settings.gateway.tls
    if tls is not None:
        server.config.ssl = server_context(tls)
        files = [*files, Path(tls.certificate_file or ""), Path(tls.key_file or "")]

    def reload() -> None:
        current.reload()
        renew(server, current.now.settings)

    async with AsyncExitStack() as stack:
        stack.callback(current.close)
        opened = nullcontext(place.listener) if place else listening(settings.gateway.address)
        listener = stack.enter_context(opened)
        if siblings is not None:
            await stack.enter_async_context(answering_siblings(siblings, pages(current)))
        if current.reloads:
            stack.enter_context(reloading(reload, files))
        await stack.enter_async_context(probing(current.connections, current.probed))
        with server.capture_signals():
            models = current.now.assembly.dispatcher.models
            made = current.made_gateway_key, current.made_admin_key
            announce(Serving(url(listener, tls=tls is not None), models, *made))
            await server._serve([listener])  # noqa: SLF001  `serve` raises the signal before this:
            await stack.aclose()


def renew(server: Server, settings: Settings) -> None:
    """New connections get the certificate that is there now. Raises ConfigurationError."""
    tls, context = settings.gateway.tls, server.config.ssl
    if (tls is None) != (context is None):
        logger.warning("gateway.tls: takes effect when the gateway is started again")
    elif tls is not None and context is not None:
        load_certificate(context, tls)


@contextmanager
def reloading(reload: Callable[[], None], files: Sequence[Path]) -> Iterator[None]:
    """Reload from a thread of its own: when a file changes, and on SIGHUP where there is one."""
    watch = Watch(reload)
    watch.add(files)
    hang_up = getattr(signal, "SIGHUP", None)
    loop = asyncio.get_running_loop()
    if hang_up is not None:
        loop.add_signal_handler(hang_up, watch.now)
    try:
        yield
    finally:
        if hang_up is not None:
            loop.remove_signal_handler(hang_up)
        watch.end()


def build(app: Gateway, handler: Handler, load: Load, drain: Callable[[], Drain] = Drain) -> Server:
    config = uvicorn.Config(
        app,
        http=protocol_class(handler, load),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # uvicorn believes whoever is on this machine
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.load()
    return Server(config, load, drain)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    return uvloop.new_event_loop
