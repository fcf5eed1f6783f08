"""Static API keys."""

from typing import NoReturn

from pydantic import SecretStr


class ApiKey:
    """One key of one resource. Never printed: repr and str show asterisks, and it cannot be pickled."""

    __slots__ = ("_key",)

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def header(self, *, bearer: bool) -> tuple[str, str]:
        """Azure takes keys in `api-key`; OpenAI-compatible servers want `Authorization: Bearer`."""
        value = self._key.get_secret_value()
        return ("authorization", f"Bearer {value}") if bearer else ("api-key", value)

    def __repr__(self) -> str:
        return "ApiKey(**********)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key stays in its process; build it from the configuration again")
