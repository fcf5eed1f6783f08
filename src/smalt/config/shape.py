"""From plain data to `Settings`; what does not fit is reported in plain sentences and left out."""

import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from smalt.config.document import Document, KeyPath, meant
from smalt.config.keys import fields_at, homes
from smalt.config.schema import Settings
from smalt.config.words import LITELLM, OTHER_VALUES, OTHER_WORDS, is_near, suggest

_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": "expected a mapping such as {key: value}",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "list_type": "expected a list such as [a, b]",
    "model_type": "expected a mapping such as {key: value}",
    "string_type": "expected text",
    "tuple_type": "expected a list such as [a, b]",
}

_ECHOED = ("bool_parsing", "float_parsing", "literal_error", "number")
_OPTION = re.compile(r"'([^']*)'")
_NUMBER = re.compile(r"-?[0-9.]+[km]?", re.IGNORECASE)


def shape(document: Document) -> Settings:
    """Validate; report every fault and try again without it, so that the rest can be checked as well."""
    while True:
        try:
            return Settings.model_validate(document.data)
        except ValidationError as error:
            faults = error.errors(include_url=False)
        for fault in faults:
            path = fault["loc"]
            if fault["type"] == "extra_forbidden":
                _report_unknown(document, path)
            else:
                expected = _EXPECTED.get(fault["type"]) or _expected(fault)
                shown = _shown(fault, document)
                document.report(path, f"{expected}, got {shown}{_meant(fault, shown)}")
                if "identity" in path:  # which is not missing
                    document.mark_faulty((*path[: path.index("identity")], "api_keys"))
        for fault in faults:
            _remove(document.data, fault["loc"])


def _expected(fault: ErrorDetails) -> str:
    if fault["type"] == "literal_error":
        return f"expected {fault['ctx']['expected']}"
    return fault["msg"]


def _meant(fault: ErrorDetails, shown: str) -> str:
    """What a value was meant to be: text, or one of a few allowed words if it may be shown."""
    if fault["type"] == "string_type" and isinstance(fault["input"], dict):
        return "; text with braces needs quotes"
    option = _OPTION.fullmatch(shown) if fault["type"] == "literal_error" else None
    if option is None:
        return ""
    return meant(OTHER_VALUES.get(option[1], option[1]), _OPTION.findall(fault["ctx"]["expected"]))


def _report_unknown(document: Document, path: KeyPath) -> None:
    word = str(path[-1])
    suggestion = suggest(word, fields_at(path[:-1]))
    hint = f"; did you mean '{suggestion}'?" if suggestion else ""
    if len(path) == 1 and word in LITELLM:
        hint, suggestion = " of LiteLLM; take its file over: smalt init --from-litellm FILE", "resources"
    elif word not in OTHER_WORDS and not is_near(word, suggestion) and (home := homes(word)):
        hint, suggestion = f" here; it belongs to {home}", None
    document.report(path, f"unknown key{hint}")
    if suggestion:  # the key it was meant to be is not missing
        document.mark_faulty((*path[:-1], suggestion))


def _shown(fault: ErrorDetails, document: Document) -> str:
    """The faulty value as it may be shown: neither a secret nor what a variable holds."""
    value, path = fault["input"], fault["loc"]
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if path in document.written:
        return document.written[path]
    text = str(value)
    if fault["type"] not in _ECHOED or len(text) > 24:  # longer texts may be keys
        return "text"
    return text if _NUMBER.fullmatch(text) else f"'{text}'"


def _remove(data: Any, path: KeyPath) -> None:
    """Take the value out of the mapping that holds it; a list goes whole, or later positions would shift."""
    holder, name = data, path[0]
    for key in path:
        if not isinstance(data, dict | list):
            break
        if isinstance(data, dict):
            if key not in data:  # already gone
                return
            holder, name = data, key
        data = data[key]  # type: ignore[index]  # a number for a list, text for a mapping
    del holder[name]
