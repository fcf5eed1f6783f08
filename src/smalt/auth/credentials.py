"""What a resource is shown: secrets in the headers that carry them."""

from concurrent.futures import Future

from smalt.auth.kept import Fixed, Follower, Kept
from smalt.confined import Confined


class _Shown(Confined):
    """One secret for one resource. Never printed, and it cannot be pickled. Safe for threads."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Fixed | Kept) -> None:
        self._secret = secret

    @property
    def fresh_until_s(self) -> float:
        return self._secret.fresh_until_s

    @property
    def good_until_s(self) -> float:
        return self._secret.good_until_s

    @property
    def trouble(self) -> str | None:
        return self._secret.trouble

    @property
    def troubled_since_s(self) -> float | None:
        return self._secret.troubled_since_s

    def renew(self, *, afresh: bool = False) -> Future[None] | None:
        return self._secret.renew(afresh=afresh)

    def follow(self, follower: Follower) -> None:
        self._secret.follow(follower)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(**********)"


class ApiKey(_Shown):
    """A key."""

    __slots__ = ()

    def header(self, *, bearer: bool) -> tuple[str, str] | None:
        """Azure takes keys in `api-key`; OpenAI-compatible servers want `Authorization: Bearer`."""
        text = self._secret.text
        if text is None:
            return None
        return ("authorization", f"Bearer {text}") if bearer else ("api-key", text)


class Token(_Shown):
    """An Entra token."""

    __slots__ = ()

    def header(self, *, bearer: bool) -> tuple[str, str] | None:
        """None before it was read."""
        text = self._secret.text
        return None if text is None else ("authorization", f"Bearer {text}")
