"""Configuration: read, check, freeze. Pydantic and the YAML parser are imported only when it is loaded."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from smalt.config.document import ConfigProblem
from smalt.config.freeze import freeze

if TYPE_CHECKING:
    from smalt.config.check import check_settings
    from smalt.config.loading import from_data, json_schema, load
    from smalt.config.schema import Settings

__all__ = ["ConfigProblem", "Settings", "check_settings", "freeze", "from_data", "json_schema", "load"]

_HOMES = {
    "Settings": "schema",
    "check_settings": "check",
    "from_data": "loading",
    "json_schema": "loading",
    "load": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
