"""Frozen values that every layer may hold. They carry facts, not behaviour."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct, field

AGENT_PREFIX = "agent/"  # of the name an agent is asked for by


def agent_of(model: str) -> str | None:
    """The agent that a name asks for, None if it is no agent's."""
    name = model.removeprefix(AGENT_PREFIX)
    return None if name == model else name


class Operation(StrEnum):
    """The kinds of API call smalt can route."""

    CHAT = "chat.completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    COMPLETIONS = "completions"


class Facts(Struct, frozen=True, gc=False):
    """What decisions need to know of a request; read once from its path and body.

    `model`: the name the caller asks for. `prompt_bytes`: length of the body without embedded files; how
    many tokens that is, the engine learns. `max_tokens`: the caller's cap on output tokens, None if absent.
    `asks_usage`: the caller wants the usage chunk of a stream. `names_deployment`: the name came by an Azure
    surface, where it may be a deployment's name. `needs`: abilities the model must have, of `tools` and
    `vision`. `names_tools`: tools are offered, or were called before. `affinity`: equal for requests that
    gain from the same upstream's prompt cache, None if the prompt is too short to be cached. `resource`: the
    only one that can answer, because ids in the request belong to it. `bound`: they belong to one resource,
    and which one is not told. `builds_on`: the response before this one, None if none is named. `repeatable`:
    sending it twice creates nothing twice. `instructions`: what an agent says before the caller, None if it
    says nothing.
    """

    operation: Operation
    model: str
    stream: bool = False
    prompt_bytes: int = 0
    max_tokens: int | None = None
    asks_usage: bool = False
    names_deployment: bool = False
    needs: frozenset[str] = frozenset()
    names_tools: bool = False
    affinity: int | None = None
    resource: str | None = None
    bound: bool = False
    builds_on: str | None = None
    repeatable: bool = True
    instructions: str | None = None

    @property
    def agent(self) -> str | None:
        """The agent that is asked for, None if it is no agent."""
        return agent_of(self.model)


class Usage(Struct, frozen=True, gc=False):
    """Tokens as the upstream reported them.

    `cached_tokens` and `cache_write_tokens`, read from and written to the prompt cache, are part of
    `input_tokens`; `reasoning_tokens` are part of `output_tokens`. `service_tier`: the one the answer names,
    None for the default.
    """

    input_tokens: int
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    service_tier: str | None = None


class QuotaHints(Struct, frozen=True, gc=False):
    """What an answer's headers say of the deployment's quota. None: not said, or said to be untracked.

    `limit_*`, `remaining_*`: of the window in force, minute or shorter. `utilization`: of a provisioned
    deployment, 1.0 is full.
    """

    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    limit_requests: int | None = None
    remaining_requests: int | None = None
    utilization: float | None = None


class FailureKind(StrEnum):
    """What went wrong with an attempt, told apart by what should happen next (core/reactions.py)."""

    QUOTA = "quota"  # 429 of the deployment's own quota
    OVERSIZED = (
        "oversized"  # 429 of the quota that no waiting cures: the request exceeds a whole minute of it
    )
    CAPACITY = "capacity"  # 429 or 503: the service is short of capacity, whatever the quota
    CREDENTIAL = "credential"  # 401: key or token refused
    KEY = "key"  # the same, and the resource has another key to try, or reads its own again
    NO_CREDENTIAL = "no_credential"  # there is no key or token to send: its source cannot be read
    ACCESS = "access"  # 401, 403 or 400: the resource refuses this caller for good
    DEPLOYMENT_NOT_FOUND = "deployment_not_found"
    CONTEXT = "context"  # 400: the prompt is longer than the model's window
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


class Failure(Struct, frozen=True, gc=False):
    """Why an attempt failed.

    `status`: HTTP status, None if no head came. `wait_s`: how long the upstream asks to be left alone,
    None if it does not say. `text`: the upstream's own words, or ours for the network.
    """

    kind: FailureKind
    text: str
    status: int | None = None
    wait_s: float | None = None


class AttemptRecord(Struct, frozen=True, gc=False):
    """One send to one upstream and how it ended. `number` counts from 1, `of` is the most there may be.
    `started_s`: since the beginning of the call. `upstream_ids`: Azure's own ids of the request, by header;
    support asks for `apim-request-id`. Empty if no head came.
    """

    upstream: str
    region: str | None
    number: int
    of: int
    fate: Fate
    failure: Failure | None
    duration_s: float
    started_s: float = 0.0
    upstream_ids: Mapping[str, str] = field(default_factory=dict)


class NoticeKind(StrEnum):
    """Events of an upstream that an operator wants to hear of."""

    QUOTA_NEARLY_SPENT = "quota_nearly_spent"
    BREAKER_OPENED = "breaker_opened"
    BREAKER_CLOSED = "breaker_closed"
    PROBE_FAILED = "probe_failed"
    PROBE_ANSWERED = "probe_answered"


class Notice(Struct, frozen=True, gc=False):
    """Something happened to an upstream, or to a resource if a probe tells it; `text` says it for people,
    `data` the numbers for programs."""

    kind: NoticeKind
    upstream: str
    text: str
    data: Mapping[str, int | float] = field(default_factory=dict)


class TraceParent(Struct, frozen=True, gc=False):
    """The trace that a caller's request belongs to, as its `traceparent` says it (W3C Trace Context).

    `trace_id`: 32 hexadecimal digits. `parent_id`: 16, of the caller's span. `sampled`: whether it is kept.
    """

    trace_id: str
    parent_id: str
    sampled: bool


class CallBegun(Struct, frozen=True, gc=False):
    """One caller request, told when it begins. `prompt_tokens`: estimate. The rest: as in `CallRecord`."""

    request_id: str
    operation: Operation
    model: str
    stream: bool
    prompt_tokens: int
    started_at: datetime
    principal: str | None = None
    session: str | None = None
    tags: Sequence[str] = ()


class CallRecord(Struct, frozen=True, gc=False):
    """One caller request, told when it has ended.

    `upstream`, `region`: who answered and where, None if nobody did. `usage`: reported or estimated tokens;
    `estimated` says which. `cost_nusd`: nano-USD, None where the price is unknown; `prices_as_of` dates the
    price list. `rewrites`: what was changed in the request. `upstream_ids`: of the last attempt.
    `first_byte_s`: until a whole answer or the first content of a stream was there. `cached`: answered from
    memory, nothing was sent. `error`: code of the final error; `degraded`: the caller was told something else
    in its place, as configured. `principal`: alias of the gateway key, None in the library. `started_at`: in
    UTC. `trace`: the one that the caller is in, None if it named none. `stream`: whether the answer was asked
    for in pieces.
    """

    request_id: str
    operation: Operation
    model: str
    upstream: str | None = None
    region: str | None = None
    attempts: Sequence[AttemptRecord] = ()
    usage: Usage | None = None
    estimated: bool = False
    cost_nusd: int | None = None
    prices_as_of: str | None = None
    rewrites: Sequence[str] = ()
    upstream_ids: Mapping[str, str] = field(default_factory=dict)
    session: str | None = None
    tags: Sequence[str] = ()
    duration_s: float = 0.0
    first_byte_s: float | None = None
    cached: bool = False
    error: str | None = None
    principal: str | None = None
    started_at: datetime | None = None
    trace: TraceParent | None = None
    stream: bool = False
    degraded: bool = False

    @property
    def agent(self) -> str | None:
        """The agent that was asked for, None if it was no agent."""
        return agent_of(self.model)

    @property
    def cost_usd(self) -> Decimal | None:
        """None where the price is unknown."""
        return None if self.cost_nusd is None else Decimal(self.cost_nusd).scaleb(-9)
