"""Where secrets come from. Reading one may take its time and fail; `kept.py` keeps what was read."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, Protocol

import msgspec

from smalt.auth import keyring
from smalt.config.references import Reference, fault_of, reference
from smalt.errors import SmaltError

ALWAYS: Final = float("inf")
LONGEST_SAID: Final = 500  # characters
LOOKED_AT_S: Final = 30.0  # a function that keeps tokens itself is asked again after so long


class Unreadable(Exception):
    """A secret cannot be had now: an event between source and keeper. The text says why, without it."""


class Reading(NamedTuple):
    """`text`: the secret. `fresh_s`: until it should be read again. `good_s`: until it is over."""

    text: str
    fresh_s: float = ALWAYS
    good_s: float = ALWAYS

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret stays in its process; build it from the configuration again")

    def __repr__(self) -> str:
        return f"Reading(**********, {self.fresh_s}, {self.good_s})"


class Source(Protocol):
    """One place where one secret is."""

    def read(self, *, afresh: bool) -> Reading:
        """The secret as it is now; blocks. `afresh`: past every cache. Raises Unreadable."""
        ...


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that holds nothing else, such as those under /run/secrets."""

    path: str

    def read(self, *, afresh: bool) -> Reading:
        try:
            text = Path(self.path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise Unreadable(f"the secret file {self.path} cannot be read: {reason}") from None
        return Reading(checked(text, f"the secret file {self.path}"))


@dataclass(frozen=True, slots=True)
class KeyringEntry:
    """A secret of the operating system's keyring, put there by `smalt secrets set`."""

    name: str

    def read(self, *, afresh: bool) -> Reading:
        try:
            text = keyring.get(self.name)
        except SmaltError as error:
            raise Unreadable(error.message) from None
        return Reading(checked(text, f"the keyring's {self.name}"))


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the program that gives keys or tokens, and keeps them itself as long as they are good."""

    call: Callable[[], str]

    def read(self, *, afresh: bool) -> Reading:
        try:
            text = self.call()
        except Exception as error:  # noqa: BLE001  whatever a program's function raises
            raise Unreadable(f"the function for it failed: {said(error)}") from None
        if not isinstance(text, str):
            raise Unreadable(f"the function for it gave {type(text).__name__}, expected text")
        left = left_s(checked(text, "the function's token"), ALWAYS)
        if left <= 0:  # the function knows better than a clock that may be wrong
            return Reading(text, LOOKED_AT_S)
        reading = token_reading(text, left)
        return reading._replace(fresh_s=min(LOOKED_AT_S, reading.fresh_s))


def checked(text: str, what: str) -> str:
    """Raises Unreadable for what cannot be sent."""
    fault = fault_of(text)
    if fault is not None:
        raise Unreadable(f"{what}: {fault}")
    return text


def token_reading(token: str, left_s: float) -> Reading:
    """Of a token that is over in `left_s`. It is renewed early enough for several tries, but not before
    azure-identity does more than give the same token again (it keeps them until 300 s before their end); and
    no longer sent when it may be over before it arrives."""
    return Reading(token, left_s - min(290.0, 0.1 * left_s), left_s - min(5.0, 0.05 * left_s))


def secret_now(text: str) -> str:
    """A secret that may be kept in a file or the keyring. Raises Unreadable."""
    named = reference(text)
    return text if named is None else kept_here(named).read(afresh=False).text


def kept_here(named: Reference) -> Source:
    """Where a secret of this machine is."""
    return SecretFile(named.name) if named.kind == "file" else KeyringEntry(named.name)


def said(error: Exception) -> str:
    """What an error of a foreign library says, on one line of bearable length."""
    words = " ".join(str(error).split())
    return words[:LONGEST_SAID] or type(error).__name__


def wall_s() -> float:
    """Seconds since 1970: tokens tell their end so."""
    return datetime.now(UTC).timestamp()


def left_s(token: str, otherwise: float) -> float:
    """How long a JWT is still good, by its own word, which the resource goes by; `otherwise` if it does not
    say."""
    try:
        return msgspec.json.decode(claims_of(token), type=_Claims).exp - wall_s()
    except (ValueError, msgspec.DecodeError):
        return otherwise


def claims_of(token: str) -> bytes:
    """What a JWT says, unverified: most likely JSON. Raises ValueError if the text is none."""
    _, payload, _ = token.split(".")
    return base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))


class _Claims(msgspec.Struct):
    exp: float
