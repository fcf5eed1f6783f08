"""Short ways to write down upstreams, requests, failures and what becomes of them."""

from collections.abc import Callable
from typing import Any

from smalt.core.call import Call, Fail, Send, Step
from smalt.core.engine import Engine
from smalt.core.limits import Load
from smalt.core.settings import BreakerSpec, EngineSettings, PoolSpec, RouteSpec, UpstreamSpec
from smalt.core.upstream import UpstreamState, UpstreamStatus
from smalt.errors import UpstreamError
from smalt.types import Facts, Failure, FailureKind, Operation, QuotaHints, Usage

MODEL = "gpt-4o"
NEVER = float("inf")
TRAVEL_S = 0.03  # what a request may gain on its way
WINDOW_S = 60 + TRAVEL_S

QUOTA_7S = Failure(FailureKind.QUOTA, "Rate limit is exceeded.", 429, wait_s=7)
QUOTA_DAY = Failure(FailureKind.QUOTA, "Please retry after 86400 seconds.", 429, wait_s=86_400)
CAPACITY = Failure(FailureKind.CAPACITY, "The system is currently experiencing high demand.", 429)
BROKEN = Failure(FailureKind.SERVER, "Internal server error", 500)
REFUSED = Failure(FailureKind.CREDENTIAL, "Access denied due to invalid subscription key.", 401)
KEY_REFUSED = Failure(FailureKind.KEY, REFUSED.text, 401)
MISSING = Failure(FailureKind.DEPLOYMENT_NOT_FOUND, "The API deployment does not exist.", 404)
TOO_LONG = Failure(FailureKind.CONTEXT, "This model's maximum context length is 8192 tokens.", 400)
INVALID = Failure(FailureKind.REQUEST, "Unrecognized request argument supplied: x", 400)
UNREACHED = Failure(FailureKind.CONNECT, "connection refused")
RESET = Failure(FailureKind.RESET, "connection lost")
STALE = Failure(FailureKind.STALE, "the kept connection was closed")
SLOW = Failure(FailureKind.TIMEOUT, "no answer within 600 s")


def spec(name: str = "east/a", **settings: Any) -> UpstreamSpec:
    return UpstreamSpec(name, MODEL, **settings)


def state(name: str = "east/a", **settings: Any) -> UpstreamState:
    return UpstreamState(spec(name, **settings), BreakerSpec())


def load(input_tokens: int, output_tokens: int = 0) -> Load:
    return Load(input_tokens, output_tokens, input_tokens + output_tokens)


def _specs(tier: str | UpstreamSpec | tuple[UpstreamSpec, ...]) -> tuple[UpstreamSpec, ...]:
    if isinstance(tier, str):
        return tuple(spec(name) for name in tier.split())
    return (tier,) if isinstance(tier, UpstreamSpec) else tier


def make_engine(*tiers: str | UpstreamSpec | tuple[UpstreamSpec, ...], **settings: Any) -> Engine:
    """An engine with one route of one pool. A tier: `east/a west/a`, or one or more specs. `settings`: as of
    EngineSettings, and `strategy` and `needs` of the route."""
    specs = [_specs(tier) for tier in tiers]
    names = tuple(tuple(spec.name for spec in tier) for tier in specs)
    pool = PoolSpec(names, settings.pop("strategy", "least_loaded"))
    route = RouteSpec(MODEL, (pool,), settings.pop("needs", frozenset()))
    upstreams = {spec.name: spec for tier in specs for spec in tier}
    registry = settings.pop("registry", None)
    return Engine(EngineSettings(upstreams, {MODEL: route}, **settings), registry)


def facts(tokens: int = 100, **known: Any) -> Facts:
    """A request that a new engine takes to need that many tokens, 16 of them for the answer."""
    return Facts(Operation.CHAT, MODEL, prompt_bytes=(tokens - 17) * 4, **known)


def open_call(
    engine: Engine,
    asked: Facts | None = None,
    *,
    unit: float = 0.0,
    deadline_s: float = 600.0,
    caller: str = "",
    wake: Callable[[], None] = lambda: None,
) -> Call:
    return engine.open_call(asked or facts(), unit=unit, deadline_s=deadline_s, caller=caller, wake=wake)


def sent_to(step: Step) -> str:
    assert isinstance(step, Send), step
    return step.upstream


def error_of(step: Step) -> UpstreamError:
    assert isinstance(step, Fail), step
    assert isinstance(step.error, UpstreamError), step
    return step.error


def sent(engine: Engine, now: float, asked: Facts | None = None, **of_call: Any) -> Call:
    """A call whose first attempt is under way."""
    call = open_call(engine, asked, **of_call)
    sent_to(call.next(now))
    return call


def failed(engine: Engine, failure: Failure, now: float, asked: Facts | None = None) -> Call:
    """A call whose first attempt has failed."""
    call = sent(engine, now, asked)
    call.record(failure, now)
    return call


def fail_once(engine: Engine, failure: Failure, now: float, asked: Facts | None = None) -> None:
    """The first attempt of a call fails, and its caller leaves."""
    failed(engine, failure, now, asked).abandon(now)


def answer_once(
    engine: Engine,
    now: float,
    asked: Facts | None = None,
    *,
    usage: Usage | None = None,
    hints: QuotaHints | None = None,
) -> str:
    """A call is answered at once; by whom."""
    call = open_call(engine, asked)
    upstream = sent_to(call.next(now))
    call.record(None, now, hints)
    call.finish(usage, now)
    return upstream


def status(engine: Engine, name: str = "east/a", now: float = 0.0) -> UpstreamStatus:
    return next(status for status in engine.status(now) if status.name == name)


def spent(engine: Engine, name: str = "east/a", now: float = 0.0) -> int:
    """Tokens of the present minute."""
    return status(engine, name, now).windows[0].spent
