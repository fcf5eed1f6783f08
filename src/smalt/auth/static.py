"""Credentials that stay as they were configured."""

from typing import NoReturn

from pydantic import SecretStr


class _Held:
    """One secret of one resource. Never printed: repr and str show asterisks, and it cannot be pickled."""

    __slots__ = ("_secret",)

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}(**********)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret stays in its process; build it from the configuration again")


class ApiKey(_Held):
    """A key."""

    __slots__ = ()

    def header(self, *, bearer: bool) -> tuple[str, str]:
        """Azure takes keys in `api-key`; OpenAI-compatible servers want `Authorization: Bearer`."""
        value = self._secret.get_secret_value()
        return ("authorization", f"Bearer {value}") if bearer else ("api-key", value)


class Token(_Held):
    """An Entra token that somebody else renews."""

    __slots__ = ()

    def header(self, *, bearer: bool) -> tuple[str, str]:
        """The same for every server."""
        return "authorization", f"Bearer {self._secret.get_secret_value()}"
