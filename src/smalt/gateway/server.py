"""`smalt serve`: the gateway as a process."""

import asyncio
import errno
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from smalt.assemble import assemble
from smalt.config import Settings
from smalt.dispatch.upstreams import Upstreams
from smalt.errors import ConfigurationError
from smalt.gateway.asgi import Gateway
from smalt.gateway.http_protocol import protocol_class
from smalt.gateway.model_calls import ModelCalls
from smalt.gateway.pages import pages
from smalt.gateway.principals import GatewayKeys, Principal

KEEP_ALIVE_S = 75  # longer than load balancers and SDKs keep idle connections: they close first


@dataclass(frozen=True, slots=True)
class Serving:
    """What a starting gateway announces. The `made_` keys live only as long as this process; None: given
    by the configuration."""

    url: str
    models: tuple[str, ...]
    made_gateway_key: str | None
    made_admin_key: str | None


def serve(settings: Settings, announce: Callable[[Serving], None]) -> None:
    """Serve until SIGINT or SIGTERM. Raises ConfigurationError if the port cannot be had, or a setting would
    promise what the gateway does not keep."""
    _refuse_tags(settings)
    keys = [
        (key.key.get_secret_value(), Principal(key.alias, frozenset(key.models) or None))
        for key in settings.gateway.keys
    ]
    made_gateway_key = None if keys else f"gw_{secrets.token_urlsafe(24)}"
    if made_gateway_key is not None:
        keys.append((made_gateway_key, Principal("made-at-start")))
    given_admin_key = settings.gateway.admin_key
    admin_key = given_admin_key.get_secret_value() if given_admin_key else f"adm_{secrets.token_urlsafe(24)}"
    listener = _listen(*settings.gateway.address)
    host, port = listener.getsockname()[:2]

    async def run() -> None:
        assembly = assemble(settings)
        for target in assembly.targets.values():
            target.heads.begin()
        upstreams = Upstreams(assembly.targets, assembly.timeouts)
        gateway_keys = GatewayKeys(keys)
        calls = ModelCalls(assembly.dispatcher, upstreams, gateway_keys, assembly.timeouts)
        app = Gateway(calls.handle, pages(assembly, gateway_keys, admin_key))
        server = _server(app, calls)
        shown = f"[{host}]" if ":" in host else host
        models = assembly.dispatcher.models
        made_admin_key = None if given_admin_key else admin_key
        announce(Serving(f"http://{shown}:{port}", models, made_gateway_key, made_admin_key))
        try:
            await server.serve(sockets=[listener])
        finally:
            upstreams.close()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _refuse_tags(settings: Settings) -> None:
    """Calls of the gateway have no tags, so a budget for one would bound nothing."""
    for index, budget in enumerate(settings.budgets):
        if budget.tag is not None:
            raise ConfigurationError(
                f"budgets[{index}].tag: the gateway knows no tags yet; remove this budget to serve, "
                "and keep it in the settings of the library"
            )


def _server(app: Gateway, calls: ModelCalls) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=protocol_class(calls.handle),
            ws="none",
            lifespan="off",
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
