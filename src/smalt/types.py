"""Frozen values that every layer may hold. They carry facts, not behaviour."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Operation(StrEnum):
    """The kinds of API call smalt can route."""

    CHAT = "chat.completions"
    EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class Facts:
    """What decisions need to know of a request; read once from its path and body.

    `model`: the name the caller asks for. `prompt_tokens`: an estimate from the body's length.
    `max_tokens`: the caller's cap on output tokens, None if absent. `asks_usage`: the caller wants the
    usage chunk of a stream. `names_deployment`: the name came by an Azure surface, where it may be a
    deployment's name.
    """

    operation: Operation
    model: str
    stream: bool = False
    prompt_tokens: int = 0
    max_tokens: int | None = None
    asks_usage: bool = False
    names_deployment: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the upstream reported them. `cached_tokens` are part of `input_tokens`."""

    input_tokens: int
    output_tokens: int = 0
    cached_tokens: int = 0


class FailureKind(StrEnum):
    """What went wrong with an attempt, told apart by what should happen next (core/reactions.py)."""

    QUOTA = "quota"  # 429 of the deployment's own quota
    OVERSIZED = (
        "oversized"  # 429 of the quota that no waiting cures: the request exceeds a whole minute of it
    )
    CAPACITY = "capacity"  # 429 or 503: the service is short of capacity, whatever the quota
    CREDENTIAL = "credential"  # 401: key or token refused
    ACCESS = "access"  # 401, 403 or 400: the resource refuses this caller for good
    DEPLOYMENT_NOT_FOUND = "deployment_not_found"
    REQUEST = "request"  # the request itself is refused: everywhere the same
    CONTENT_FILTER = "content_filter"  # as above, and the prompt is billed
    CONNECT = "connect"  # the request was not sent
    STALE = "stale"  # a kept-alive connection was already closed by the other side
    RESET = "reset"  # connection lost after the request was written
    TRUNCATED = "truncated"  # an answer began and broke off, or could not be read
    TIMEOUT = "timeout"
    SERVER = "server"  # 500, 502, 504
    CALLER_LEFT = "caller_left"  # nobody's failure: noted when a call is abandoned


class Fate(StrEnum):
    """What an attempt may have cost."""

    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"  # sent, and nobody can say whether it was billed
    BILLED = "billed"
    FREE = "free"  # refused by the upstream


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    `status`: HTTP status, None if no head came. `wait_s`: how long the upstream asks to be left alone,
    None if it does not say. `text`: the upstream's own words, or ours for the network.
    """

    kind: FailureKind
    text: str
    status: int | None = None
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One send to one upstream and how it ended. `number` counts from 1."""

    upstream: str
    number: int
    fate: Fate
    failure: Failure | None
    duration_s: float


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One caller request, told when it has ended.

    `upstream`: who answered, None if nobody did. `usage`: reported or estimated tokens; `estimated` says
    which. `cost_nusd`: nano-USD, None where the price is unknown. `error`: code of the final error.
    """

    request_id: str
    operation: Operation
    model: str
    upstream: str | None
    attempts: Sequence[AttemptRecord] = field(default=())
    usage: Usage | None = None
    estimated: bool = False
    cost_nusd: int | None = None
    error: str | None = None
    duration_s: float = 0.0
