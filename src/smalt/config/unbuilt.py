"""Settings that have their place but do nothing yet; the schema marks them, this module finds them."""

from collections.abc import Iterator
from importlib.metadata import version

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from smalt.config.document import KeyPath

MESSAGE = f"not built yet in smalt {version('smalt')}; remove it to go on"


def is_built(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return not (isinstance(extra, dict) and extra.get("x-built") is False)


def unbuilt(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Paths of everything that is set to something else than its default and is not built."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            item = getattr(value, name)
            if is_built(field):
                yield from unbuilt(item, (*path, name))
            elif item != field.get_default(call_default_factory=True):
                yield (*path, name)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from unbuilt(item, (*path, name))
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from unbuilt(item, (*path, index))
