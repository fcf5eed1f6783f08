"""Everything that is not a model call: the surfaces' other pages, health, admin."""

import dataclasses
import hmac
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from smalt.dispatch.dispatcher import Dispatcher
from smalt.errors import InvalidGatewayKey, SmaltError
from smalt.gateway import metrics, openapi
from smalt.gateway.current import Current
from smalt.gateway.health import report
from smalt.gateway.surfaces import ModelPages, unsupported
from smalt.observe.exposition import CONTENT_TYPE
from smalt.observe.totals import Sums
from smalt.wire.error_body import error_body, error_headers
from smalt.wire.prices import usd_text


def pages(current: Current) -> Starlette:
    """The Starlette application around the model calls."""
    guarded = _Pages(current)
    models = ModelPages(current).routes
    ready = [Route(path, guarded.ready) for path in ("/health/ready", "/ready")]
    live = [Route(path, _live) for path in ("/health/live", "/live")]
    health = [Route("/health", guarded.health)]
    admin = [Route("/admin/v1/usage", guarded.usage), Route("/admin/v1/upstreams", guarded.upstreams)]
    admin += [Route(openapi.PATH, guarded.openapi)]
    watched = [Route("/metrics", guarded.metrics)]
    return Starlette(
        routes=[*models, *health, *ready, *live, *watched, *admin],
        exception_handlers={SmaltError: _refuse, 404: _unknown, 405: _unknown},
    )


class _Pages:
    def __init__(self, current: Current) -> None:
        self._current = current

    @property
    def _dispatcher(self) -> Dispatcher:
        return self._current.now.assembly.dispatcher

    async def ready(self, _request: Request) -> Response:
        """200 while every model has a healthy upstream."""
        missing = self._dispatcher.unavailable_models()
        if not missing:
            return JSONResponse({"status": "ready"})
        reasons = {status.name: status.reason for status in self._dispatcher.status() if status.reason}
        body = {"status": "not ready", "models_without_upstream": missing, "upstreams": reasons}
        return JSONResponse(body, status_code=503)

    async def health(self, _request: Request) -> Response:
        """Everything the gateway depends on; 503 while a model has nobody."""
        body = report(self._current)
        return JSONResponse(body, status_code=503 if body["status"] == "unavailable" else 200)

    async def metrics(self, _request: Request) -> Response:
        """For Prometheus, which sends no key: names and numbers only."""
        if not self._current.now.settings.observe.metrics:
            raise HTTPException(404)
        return Response(metrics.page({"0": metrics.snapshot(self._current)}), media_type=CONTENT_TYPE)

    async def usage(self, request: Request) -> Response:
        """Tokens, attempts and cost since the start, by upstream and model."""
        self._require_admin(request)
        totals = self._current.now.assembly.totals
        return JSONResponse(
            {
                "errors": totals.errors,
                "upstreams": _table(totals.sums("upstream")),
                "models": _table(totals.sums("model")),
            }
        )

    async def upstreams(self, request: Request) -> Response:
        """State of every upstream now."""
        self._require_admin(request)
        return JSONResponse([dataclasses.asdict(status) for status in self._dispatcher.status()])

    async def openapi(self, request: Request) -> Response:
        """What these pages answer, for programs."""
        self._require_admin(request)
        return JSONResponse(openapi.description())

    def _require_admin(self, request: Request) -> None:
        presented = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(presented.encode(), self._current.now.admin_key.encode()):
            raise InvalidGatewayKey(
                "this page needs the admin key", resolution=("Send Authorization: Bearer <admin key>.",)
            )


def _table(sums: Mapping[str, Sums]) -> dict[str, dict[str, Any]]:
    table = {}
    for name, row in sums.items():
        fields = dataclasses.asdict(row)
        fields["cost_usd"] = usd_text(fields.pop("cost_nusd"))
        table[name] = fields
    return table


async def _live(_request: Request) -> Response:
    return JSONResponse({"status": "live"})


async def _unknown(request: Request, unserved: Exception) -> Response:
    """No such page, or not by this method."""
    path = request.url.path
    error = unsupported(request.method, path)
    if error is not None:
        return await _refuse(request, error)
    if not isinstance(unserved, HTTPException):
        raise unserved
    told = {404: f"nothing is served at {path}", 405: f"{path} does not take {request.method}"}
    return JSONResponse(
        {"error": {"message": told[unserved.status_code], "code": str(unserved.status_code)}},
        status_code=unserved.status_code,
        headers=unserved.headers,
    )


async def _refuse(_request: Request, error: Exception) -> Response:
    if not isinstance(error, SmaltError):
        raise error
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    return Response(error_body(error), status_code=error.http_status or 500, headers=headers)
