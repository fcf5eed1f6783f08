"""Everything that is not a model call: the surfaces' other pages, health, admin."""

import dataclasses
import hmac
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from smalt.dispatch.dispatcher import Dispatcher
from smalt.errors import InvalidGatewayKey, SmaltError
from smalt.gateway import metrics, openapi
from smalt.gateway.current import Current
from smalt.gateway.health import lost_models, report
from smalt.gateway.siblings import Siblings, by_worker, summed, worst_health
from smalt.gateway.surfaces import ModelPages, unsupported
from smalt.observe.exposition import CONTENT_TYPE, Snapshot, read_snapshot
from smalt.observe.totals import Sums
from smalt.wire.error_body import error_body, error_headers
from smalt.wire.prices import usd_text

METRICS_OF_ONE: Final = "/metrics/worker"


def pages(current: Current, siblings: Siblings | None = None) -> Starlette:
    """The Starlette application around the model calls. With `siblings` it speaks for them, too."""
    guarded = _Pages(current, siblings)
    models = ModelPages(current).routes
    ready = [Route(path, guarded.ready) for path in ("/health/ready", "/ready")]
    live = [Route(path, _live) for path in ("/health/live", "/live")]
    health = [Route("/health", guarded.health)]
    admin = [Route("/admin/v1/usage", guarded.usage), Route("/admin/v1/upstreams", guarded.upstreams)]
    admin += [Route(openapi.PATH, guarded.openapi)]
    watched = [Route("/metrics", guarded.metrics), Route(METRICS_OF_ONE, guarded.metrics_of_one)]
    return Starlette(
        routes=[*models, *health, *ready, *live, *watched, *admin],
        exception_handlers={SmaltError: _refuse, 404: _unknown, 405: _unknown},
    )


class _Pages:
    def __init__(self, current: Current, siblings: Siblings | None) -> None:
        self._current = current
        self._siblings = siblings

    @property
    def _dispatcher(self) -> Dispatcher:
        return self._current.now.assembly.dispatcher

    async def ready(self, _request: Request) -> Response:
        """200 while every model that is required has a healthy upstream, and nobody has told the gateway to
        end."""
        if self._current.load.closing:
            return JSONResponse({"status": "draining"}, status_code=503)
        missing = lost_models(self._current)
        if not missing:
            return JSONResponse({"status": "ready"})
        reasons = {status.name: status.reason for status in self._dispatcher.status() if status.reason}
        body = {"status": "not ready", "models_without_upstream": missing, "upstreams": reasons}
        return JSONResponse(body, status_code=503)

    async def health(self, _request: Request) -> Response:
        """Everything the gateway depends on; 503 while a model has nobody."""
        body = report(self._current)
        if self._siblings is not None:
            body = worst_health(await self._siblings.ask_json("/health", body))
        return JSONResponse(body, status_code=503 if body["status"] == "unavailable" else 200)

    async def metrics(self, _request: Request) -> Response:
        """For Prometheus, which sends no key: names and numbers only."""
        own = self._snapshot()
        if self._siblings is None:
            return Response(metrics.page({"": own}), media_type=CONTENT_TYPE)
        told = await self._siblings.ask(METRICS_OF_ONE)
        snapshots: dict[str, Snapshot] = {str(self._siblings.number): own}
        snapshots |= {str(number): read_snapshot(page) for number, page in told.items() if page is not None}
        return Response(metrics.page(dict(sorted(snapshots.items()))), media_type=CONTENT_TYPE)

    async def metrics_of_one(self, _request: Request) -> Response:
        """The samples of this worker alone, as JSON."""
        return Response(msgspec.json.encode(self._snapshot()), media_type="application/json")

    def _snapshot(self) -> Snapshot:
        if not self._current.now.settings.observe.metrics:
            raise HTTPException(404)
        return metrics.snapshot(self._current)

    async def usage(self, request: Request) -> Response:
        """Tokens, attempts and cost since the start, by upstream and model."""
        self._require_admin(request)
        totals = self._current.now.assembly.totals
        body = {
            "errors": totals.errors,
            "upstreams": _table(totals.sums("upstream")),
            "models": _table(totals.sums("model")),
        }
        if self._siblings is not None:
            body = summed(await self._siblings.ask_json("/admin/v1/usage", body, _authorization(request)))
        return JSONResponse(body)

    async def upstreams(self, request: Request) -> Response:
        """State of every upstream now."""
        self._require_admin(request)
        rows = [dataclasses.asdict(status) for status in self._dispatcher.status()]
        if self._siblings is not None:
            rows = by_worker(
                await self._siblings.ask_json("/admin/v1/upstreams", rows, _authorization(request))
            )
        return JSONResponse(rows)

    async def openapi(self, request: Request) -> Response:
        """What these pages answer, for programs."""
        self._require_admin(request)
        return JSONResponse(openapi.description())

    def _require_admin(self, request: Request) -> None:
        presented = _authorization(request).removeprefix("Bearer ")
        if not hmac.compare_digest(presented.encode(), self._current.now.admin_key.encode()):
            raise InvalidGatewayKey(
                "this page needs the admin key", resolution=("Send Authorization: Bearer <admin key>.",)
            )


def _authorization(request: Request) -> str:
    return request.headers.get("authorization", "")


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
