"""`smalt serve`: the gateway as a process."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from smalt.config import Settings
from smalt.config.watching import Watch
from smalt.dispatch.probing import probing
from smalt.errors import ConfigurationError
from smalt.gateway.asgi import Gateway
from smalt.gateway.current import Current
from smalt.gateway.exchange import Handler
from smalt.gateway.http_protocol import protocol_class
from smalt.gateway.pages import pages
from smalt.observe.writer import LogWriter

KEEP_ALIVE_S = 75  # longer than load balancers and SDKs keep idle connections: they close first


@dataclass(frozen=True, slots=True)
class Serving:
    """What a starting gateway announces. The `made_` keys live only as long as this process; None: given
    by the configuration."""

    url: str
    models: tuple[str, ...]
    made_gateway_key: str | None
    made_admin_key: str | None


def serve(
    settings: Settings,
    announce: Callable[[Serving], None],
    *,
    read: Callable[[], Settings] | None = None,
    files: Sequence[Path] = (),
    log: LogWriter | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Raises ConfigurationError if the port cannot be had, or a setting would
    promise what the gateway does not keep.

    `read`: gives the settings anew when one of `files` changes, or on SIGHUP. `log`: of this process.
    """
    current = Current(settings, read, log)
    listener = _listen(*settings.gateway.address)
    host, port = listener.getsockname()[:2]

    async def run() -> None:
        server = _server(Gateway(current.handle, pages(current)), current.handle)
        shown = f"[{host}]" if ":" in host else host
        models = current.now.assembly.dispatcher.models
        made = current.made_gateway_key, current.made_admin_key
        with reloading(current.reload, files) if read else nullcontext():
            announce(Serving(f"http://{shown}:{port}", models, *made))
            try:
                async with probing(current.connections, current.probed):
                    await server.serve(sockets=[listener])
            finally:
                current.close()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


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


def _server(app: Gateway, handler: Handler) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=protocol_class(handler),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=30,
        )
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"port {port} on {host} is in use; stop the other program or choose another port: "
                f"smalt serve --listen {host}:{port + 1}"
            ) from None
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error}") from None
    return listener


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  not on Windows
    except ImportError:
        return None
    return uvloop.new_event_loop
