"""Functions and classes that settings name."""

import re
from importlib import import_module
from typing import Any, Final

_NAME: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_reference(text: str) -> bool:
    """Whether it has the form `package.module:name`."""
    return _NAME.fullmatch(text) is not None


def load(reference: str) -> Any:
    """What is known there by that name. Raises ImportError."""
    module, _, name = reference.partition(":")
    try:
        return getattr(import_module(module), name)
    except (AttributeError, ValueError, SyntaxError) as error:
        raise ImportError(str(error)) from error
