"""What the gateway's own pages answer, as OpenAPI 3.1. The model calls are described by those who made them:
OpenAI and Azure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, Literal

import msgspec

from smalt.core.upstream import UpstreamStatus
from smalt.observe.exposition import CONTENT_TYPE
from smalt.observe.totals import Sums
from smalt.wire.paths import CLASSIC_PREFIX, OPENAI_PREFIX, V1_PREFIX

PATH: Final = "/admin/v1/openapi.json"

Schema = Mapping[str, Any]


def _object(**members: Schema) -> Schema:
    """Every member is there; others may be."""
    return {"type": "object", "required": list(members), "properties": members}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _by_name(of: Schema) -> Schema:
    return {"type": "object", "additionalProperties": of}


def _one_of(*words: str) -> Schema:
    return {"enum": list(words)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_TEXT_OR_NONE: Schema = {"type": ["string", "null"]}
_ERROR = _object(error=_object(message=_TEXT, code=_TEXT))
_MODEL = _object(id=_TEXT, object=_one_of("model"), created=_NUMBER, owned_by=_TEXT)
_READY = _object(status=_one_of("ready"))
_NOT_READY = _object(
    status=_one_of("not ready"), models_without_upstream=_list(_TEXT), upstreams=_by_name(_TEXT)
)
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NONE: Schema = {"anyOf": [_TIME, {"type": "null"}]}
_HEALTH = _object(
    status=_one_of("ok", "degraded", "unavailable"),
    models_without_upstream=_list(_TEXT),
    upstreams=_by_name(_object(state=_TEXT, reason=_TEXT_OR_NONE)),
    credentials=_by_name(_list(_object(state=_TEXT, reason=_TEXT_OR_NONE, since=_TIME_OR_NONE))),
    configuration=_object(in_force_since=_TIME, problems=_list(_TEXT)),
    when_lost=_by_name(_TEXT),
)
_USAGE = _object(errors=_NUMBER, upstreams=_by_name(_ref("UsageSums")), models=_by_name(_ref("UsageSums")))


@dataclass(frozen=True, slots=True)
class Page:
    """`answers`: the body's schema by status, of type `media_type` if it is no error. `key`: whose key it
    needs, None for nobody's; without it the answer is 401."""

    summary: str
    answers: Mapping[int, Schema]
    key: Literal["admin", "gateway"] | None = None
    parameters: Mapping[str, Schema] = field(default_factory=dict)
    media_type: str = "application/json"


_LIVE_PAGE = Page("The process answers.", {200: _object(status=_one_of("live"))})
_READY_PAGE = Page(
    "Whether every model that is required has a healthy upstream.", {200: _READY, 503: _NOT_READY}
)
_MODELS_PAGE = Page(
    "The models a key may ask for.",
    {200: _object(object=_one_of("list"), data=_list(_ref("Model")))},
    "gateway",
)
_MODEL_PAGE = Page(
    "One of them, also one that is not listed: what a pattern matches, a deployment.",
    {200: _ref("Model"), 403: _ref("Error"), 404: _ref("Error")},
    "gateway",
    {"name": {"type": "string", "minLength": 1}},
)
PAGES: Final[Mapping[str, Page]] = {
    "/live": _LIVE_PAGE,
    "/health/live": _LIVE_PAGE,
    "/ready": _READY_PAGE,
    "/health/ready": _READY_PAGE,
    "/health": Page("Everything the gateway depends on.", {200: _HEALTH, 503: _HEALTH}),
    "/metrics": Page(
        "For Prometheus; not served with `observe.metrics: false`.",
        {200: _TEXT, 404: _ref("Error")},
        media_type=CONTENT_TYPE.partition(";")[0],
    ),
    "/metrics/worker": Page(
        "The same of the worker that answers, as JSON.",
        {200: _list(_object(metric=_TEXT, labels=_list(_TEXT))), 404: _ref("Error")},
    ),
    "/admin/v1/usage": Page("Tokens, attempts and cost since the start.", {200: _USAGE}, "admin"),
    "/admin/v1/upstreams": Page(
        "State of every upstream now.", {200: _list(_ref("UpstreamStatus"))}, "admin"
    ),
    PATH: Page("This description.", {200: _object(openapi=_TEXT, paths={"type": "object"})}, "admin"),
    **{f"{prefix}/models": _MODELS_PAGE for prefix in (OPENAI_PREFIX, CLASSIC_PREFIX, V1_PREFIX)},
    **{f"{prefix}/models/{{name}}": _MODEL_PAGE for prefix in (OPENAI_PREFIX, CLASSIC_PREFIX, V1_PREFIX)},
}


def description() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "smalt: the gateway's own pages", "version": version("smalt")},
        "paths": {path: {"get": _operation(page)} for path, page in PAGES.items()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {name: {"type": "http", "scheme": "bearer"} for name in ("admin", "gateway")},
        },
    }


def _operation(page: Page) -> dict[str, Any]:
    answers = dict(page.answers)
    if page.key is not None:
        answers[401] = _ref("Error")
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in page.parameters.items()
    ]
    return {
        "summary": page.summary,
        "security": [{page.key: []}] if page.key else [],
        "parameters": parameters,
        "responses": {
            str(status): {
                "description": _MEANING[status],
                "content": {page.media_type if status == 200 else "application/json": {"schema": schema}},
            }
            for status, schema in answers.items()
        },
    }


_MEANING: Final = {
    200: "The page.",
    401: "The key is missing or wrong.",
    403: "The key may not use this model.",
    404: "There is no such model, or page.",
    503: "Some model has no upstream.",
}


def _schemas() -> dict[str, Schema]:
    """The rows are those of the classes they are made of; costs are told in USD."""
    _, made = msgspec.json.schema_components(
        [UpstreamStatus, Sums], ref_template="#/components/schemas/{name}"
    )
    for schema in made.values():
        schema["required"], schema["additionalProperties"] = list(schema["properties"]), False
    sums = made.pop("Sums")
    members = {name: schema for name, schema in sums["properties"].items() if name != "cost_nusd"}
    members["cost_usd"] = _TEXT
    usage = {**sums, "title": "UsageSums", "properties": members, "required": list(members)}
    return {**made, "UsageSums": usage, "Model": _MODEL, "Error": _ERROR}
