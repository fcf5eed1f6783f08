"""Below the paths of the three surfaces, all that is no model call: models, and what is not served there."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from smalt.core.routes import AZURE_PREFIX
from smalt.dispatch.dispatcher import Dispatcher
from smalt.errors import UnsupportedOperation
from smalt.gateway.current import Current
from smalt.types import Facts, Operation
from smalt.wire import paths

_NAMED_BY_BODY = "POST {0}/chat/completions, {0}/responses, {0}/embeddings, {0}/completions; GET {0}/models."
_SERVED = {  # the longer paths first
    paths.V1_PREFIX: _NAMED_BY_BODY.format(paths.V1_PREFIX),
    paths.CLASSIC_PREFIX: (
        "POST /openai/deployments/{deployment}/chat/completions, /embeddings and /completions there, "
        "/openai/responses; GET /openai/models."
    ),
    paths.OPENAI_PREFIX: _NAMED_BY_BODY.format(paths.OPENAI_PREFIX),
}
_STORED = (
    "The gateway does not read or change what a resource stores; ask that resource.",
    'Send the whole conversation each time, with "store": false.',
)


def unsupported(method: str, path: str) -> UnsupportedOperation | None:
    """Why a request to a surface is not served there; None if the path belongs to none of them."""
    prefix = next((prefix for prefix in _SERVED if path == prefix or path.startswith(f"{prefix}/")), None)
    if prefix is None:
        return None
    told = f"{method} {path} is no operation of this gateway"
    if path.startswith(f"{prefix}/responses/"):
        return UnsupportedOperation(told, resolution=_STORED)
    if paths.parse(path) is not None:
        return UnsupportedOperation(told, resolution=(f"Use POST {path}.",))
    return UnsupportedOperation(told, resolution=(f"Served: {_SERVED[prefix]}",))


class ModelPages:
    """OpenAI's list of models, and each by itself: the names a key may ask for."""

    def __init__(self, current: Current) -> None:
        self._current = current

    @property
    def _dispatcher(self) -> Dispatcher:
        return self._current.now.assembly.dispatcher

    @property
    def routes(self) -> Sequence[Route]:
        """On every surface."""
        lists = [Route(f"{prefix}/models", self._list) for prefix in _SERVED]
        return [*lists, *(Route(f"{prefix}/models/{{name:path}}", self._single) for prefix in _SERVED)]

    async def _list(self, request: Request) -> Response:
        principal = self._current.now.keys.principal(request.headers.raw)
        names = [name for name in self._dispatcher.models if not name.startswith(AZURE_PREFIX)]
        allowed = [name for name in names if principal.models is None or name in principal.models]
        return JSONResponse({"object": "list", "data": [_row(name) for name in allowed]})

    async def _single(self, request: Request) -> Response:
        """Also one that is not listed: what a pattern matches, a deployment."""
        name = request.path_params["name"]
        self._current.now.keys.principal(request.headers.raw).require(name)
        azure = not request.url.path.startswith(f"{paths.OPENAI_PREFIX}/")
        facts = Facts(Operation.CHAT, name, names_deployment=azure)
        dispatcher = self._dispatcher
        dispatcher.do(lambda _now: dispatcher.engine.route(facts))
        return JSONResponse(_row(name))


def _row(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "smalt"}
