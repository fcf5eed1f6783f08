"""Secrets in the keyring of the operating system, which `keyring:name` in the settings refers to.

They stand there under the service `smalt`. A call may wait for a person who unlocks the keyring, so that an
event loop leaves it to a thread.
"""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from smalt.config.references import fault_of
from smalt.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "smalt"
_INDEX: Final = "#names"  # a keyring cannot tell what it holds, so one entry lists the others
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WITHOUT: Final = "give the secret by ${VAR} or file:/path instead"


def get(name: str) -> str:
    """The secret. Raises ConfigurationError if it is not there or the keyring cannot be used, MissingExtra
    without the package keyring."""
    with _backend() as backend:
        secret = backend.get_password(SERVICE, name)
    if secret is None:
        raise ConfigurationError(
            f"the keyring has no secret named '{name}'; put it there: smalt secrets set {shlex.quote(name)}"
        )
    return secret


def put(name: str, secret: str) -> str:
    """Keep a secret, in place of one of that name; the keyring's own name. Raises as `get` does, and for a
    name or secret that cannot be used."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"'{name}' cannot name a secret: up to 64 letters, digits, '.', '_' and '-', the first of them "
            "a letter or digit"
        )
    if fault := fault_of(secret):
        raise ConfigurationError(f"the secret '{name}' cannot be kept: {fault}")
    with _backend() as backend:
        backend.set_password(SERVICE, name, secret)
        if backend.get_password(SERVICE, name) != secret:  # some stand for "no keyring" and keep nothing
            raise ConfigurationError(f"{backend.name} keeps nothing; {_WITHOUT}")
        _write_index(backend, {*_index(backend), name})
        return backend.name


def remove(name: str) -> None:
    """Forget a secret. Raises as `get` does."""
    with _backend() as backend:
        there = backend.get_password(SERVICE, name) is not None
        if there:
            backend.delete_password(SERVICE, name)
        known = _index(backend)
        _write_index(backend, known - {name})
    if not there and name not in known:
        raise ConfigurationError(f"the keyring has no secret named '{name}'; see: smalt secrets list")


def names() -> list[str]:
    """Of the secrets that were put here, in order. Raises as `get` does."""
    with _backend() as backend:
        return sorted(_index(backend))


@contextmanager
def _backend() -> Iterator["KeyringBackend"]:
    """The keyring of this machine; what fails with it becomes one line."""
    try:
        import keyring  # noqa: PLC0415  # an optional part
        from keyring.errors import KeyringLocked, NoKeyringError  # noqa: PLC0415
    except ModuleNotFoundError:
        raise MissingExtra("the keyring", "azure") from None
    try:
        yield keyring.get_keyring()
    except NoKeyringError:
        raise ConfigurationError(f"no keyring is on this machine; {_WITHOUT}") from None
    except KeyringLocked:
        raise ConfigurationError("the keyring is locked; unlock it and try again") from None
    except (keyring.errors.KeyringError, RuntimeError, ImportError, AttributeError, OSError) as error:
        # what a keyring that PYTHON_KEYRING_BACKEND or keyringrc.cfg names wrongly raises is among them
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigurationError(f"the keyring cannot be used: {reason}; {_WITHOUT}") from None


def _index(backend: "KeyringBackend") -> set[str]:
    try:
        return set(json.loads(backend.get_password(SERVICE, _INDEX) or "[]"))
    except (ValueError, TypeError):  # written by somebody else
        return set()


def _write_index(backend: "KeyringBackend", known: set[str]) -> None:
    if known != _index(backend):
        backend.set_password(SERVICE, _INDEX, json.dumps(sorted(known)))
