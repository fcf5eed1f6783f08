import pytest
from tests.unit.core.builders import WINDOW_S, load, spec, state

from smalt.core.final_error import cause, exhausted, named
from smalt.core.health import Cooldown, Rest
from smalt.core.limits import StandardQuota
from smalt.core.settings import BreakerSpec, QuotaGroup, Throughput
from smalt.core.upstream import UpstreamState
from smalt.errors import (
    ContentFiltered,
    ContextTooLong,
    DeploymentNotFound,
    InvalidRequest,
    NotFound,
    NoUpstreamAvailable,
    PayloadTooLarge,
    PermissionDenied,
    RateLimited,
    ServiceUnavailable,
    SmaltError,
    Unauthorized,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamTimeout,
)
from smalt.types import AttemptRecord, Failure, FailureKind, Fate

REQUEST = load(100)
EAST = "east/a"


def attempt(
    kind: FailureKind, upstream: str = EAST, number: int = 1, region: str | None = None
) -> AttemptRecord:
    return AttemptRecord(upstream, region, number, 5, Fate.FREE, Failure(kind, "no", 429), 0.1)


def attempts(*kinds: FailureKind) -> list[AttemptRecord]:
    return [attempt(kind, number=number) for number, kind in enumerate(kinds, 1)]


def resting(name: str, rest: Rest, seconds: float = 10, reason: str = "busy") -> UpstreamState:
    made = state(name)
    made.health.cool(Cooldown(seconds, rest), reason, 0)
    return made


def full(name: str = EAST) -> UpstreamState:
    made = state(name, limit_tpm=100)
    made.own.charge(load(100), 0)
    return made


def error(made: list[AttemptRecord], *states: UpstreamState, now: float = 0) -> UpstreamError:
    found = exhausted("gpt-4o", REQUEST, made, states, now)
    assert isinstance(found, UpstreamError)
    return found


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([FailureKind.QUOTA], RateLimited),
        ([FailureKind.QUOTA, FailureKind.QUOTA], RateLimited),
        ([FailureKind.CREDENTIAL], UpstreamAuthFailed),
        ([FailureKind.KEY, FailureKind.CREDENTIAL], UpstreamAuthFailed),
        ([FailureKind.ACCESS], UpstreamAuthFailed),
        ([FailureKind.CREDENTIAL, FailureKind.ACCESS], UpstreamAuthFailed),
        ([FailureKind.DEPLOYMENT_NOT_FOUND], DeploymentNotFound),
        ([FailureKind.TIMEOUT], UpstreamTimeout),
        ([FailureKind.QUOTA, FailureKind.TIMEOUT], UpstreamTimeout),
        ([FailureKind.TIMEOUT, FailureKind.QUOTA], NoUpstreamAvailable),
        ([FailureKind.QUOTA, FailureKind.CREDENTIAL], NoUpstreamAvailable),
        ([FailureKind.QUOTA, FailureKind.CAPACITY], NoUpstreamAvailable),
        ([FailureKind.SERVER], ServiceUnavailable),
        ([FailureKind.SERVER, FailureKind.CAPACITY], ServiceUnavailable),
        ([FailureKind.SERVER, FailureKind.CONNECT], NoUpstreamAvailable),
        ([FailureKind.CONNECT], NoUpstreamAvailable),
        ([FailureKind.CAPACITY], ServiceUnavailable),
        ([FailureKind.CONTEXT], NoUpstreamAvailable),
        ([FailureKind.OVERSIZED], NoUpstreamAvailable),
    ],
)
def test_the_error_follows_the_causes(kinds: list[FailureKind], expected: type[SmaltError]) -> None:
    """Attempts that failed alike give that error, any mixture the general one; a timeout at the end is what
    ended the call."""
    assert type(error(attempts(*kinds), state(EAST))) is expected


def test_every_cause_is_told() -> None:
    """The message and `causes` name each attempt."""
    found = error(attempts(FailureKind.QUOTA, FailureKind.SERVER), state(EAST))
    assert found.causes == (f"attempt 1/5 on {EAST}: 429 no", f"attempt 2/5 on {EAST}: 429 no")
    assert found.message == "no upstream of 'gpt-4o' answered: " + "; ".join(found.causes)


def test_why_the_others_were_not_asked_is_told() -> None:
    """The failure that sent them to rest, that they are full, or that nothing was wrong with them."""
    found = error(
        attempts(FailureKind.SERVER),
        state(EAST),
        resting("west/a", Rest.OPEN, reason="Internal server error"),
        full("north/a"),
        state("south/a"),
    )
    assert found.causes[1:] == (
        "west/a rests (open): Internal server error",
        "north/a is full",
        "south/a was not asked",
    )


def test_req_1_29_all_regions_failed() -> None:
    """A fleet over several regions that is down says so, with each region by name."""
    east, west = state("east/a", region="eastus"), state("west/a", region="westus")
    failed = [
        attempt(FailureKind.SERVER, "west/a", 1, "westus"),
        attempt(FailureKind.CONNECT, "east/a", 2, "eastus"),
    ]
    assert error(failed, east, west).message == (
        "no upstream of 'gpt-4o' answered (all regions failed: eastus, westus): "
        "attempt 1/5 on west/a (westus): 429 no; attempt 2/5 on east/a (eastus): 429 no"
    )


@pytest.mark.parametrize("regions", [("eastus", "eastus"), ("eastus", None), (None, None)])
def test_one_region_is_not_all_regions(regions: tuple[str | None, str | None]) -> None:
    """Where only one is known there is nothing to say of regions."""
    states = [
        state(f"{name}/a", region=region) for name, region in zip(("east", "west"), regions, strict=True)
    ]
    failed = [attempt(FailureKind.SERVER, upstream.spec.name) for upstream in states]
    assert "regions" not in error(failed, *states).message


@pytest.mark.parametrize(
    ("west", "told"), [(state("west/a", region="westus"), False), (full("west/a"), True)]
)
def test_a_region_that_was_not_asked_has_not_failed(west: UpstreamState, told: bool) -> None:
    """Of one that is full or rests nothing else can be said."""
    east, north = state("east/a", region="eastus"), state("north/a", region="northus")
    failed = [attempt(FailureKind.SERVER, "east/a"), attempt(FailureKind.TIMEOUT, "north/a")]
    assert ("all regions failed" in error(failed, east, north, west).message) is told


def test_a_time_is_told_where_trying_again_helps() -> None:
    """The earliest of all upstreams."""
    east, west = resting("east/a", Rest.COOLING, 8), resting("west/a", Rest.COOLING, 5)
    assert error(attempts(FailureKind.QUOTA), east, west, now=2).retry_after_s == 3


@pytest.mark.parametrize("rest", [Rest.COOLING, Rest.FLAGGED, Rest.PARKED, Rest.OPEN])
def test_every_rest_has_an_end_to_tell(rest: Rest) -> None:
    """Also those that no call waits for."""
    assert error(attempts(FailureKind.SERVER), resting(EAST, rest, 30), now=10).retry_after_s == 20


def test_a_free_upstream_may_be_asked_at_once() -> None:
    """No time in the past is told."""
    assert error(attempts(FailureKind.SERVER), resting(EAST, Rest.COOLING, 5), now=9).retry_after_s == 0


def test_of_a_probe_nobody_knows_the_end() -> None:
    """So no time is told, if there is no other."""
    made = state(EAST)
    made.health.half_open = True
    made.health.sent()
    assert error(attempts(FailureKind.SERVER), made).retry_after_s is None


def test_rest_and_minute_must_both_be_over() -> None:
    """The time told is the later one."""
    made = full()
    made.health.cool(Cooldown(5, Rest.COOLING), "busy", 0)
    assert error(attempts(FailureKind.QUOTA), made).retry_after_s == WINDOW_S


@pytest.mark.parametrize("kind", [FailureKind.TIMEOUT, FailureKind.CREDENTIAL])
def test_no_time_is_told_where_trying_again_does_not_help(kind: FailureKind) -> None:
    """An error that should not be repeated invites nobody to repeat it."""
    assert error(attempts(kind), resting(EAST, Rest.FLAGGED)).retry_after_s is None


@pytest.mark.parametrize(
    ("met", "expected"),
    [
        ([full()], RateLimited),
        ([resting(EAST, Rest.COOLING)], RateLimited),
        ([resting(EAST, Rest.PARKED)], RateLimited),
        ([state(EAST)], RateLimited),
        ([resting(EAST, Rest.OPEN), full("west/a")], RateLimited),
        ([resting(EAST, Rest.OPEN)], NoUpstreamAvailable),
        ([resting(EAST, Rest.FLAGGED), resting("west/a", Rest.OPEN)], NoUpstreamAvailable),
    ],
)
def test_a_call_without_attempts(met: list[UpstreamState], expected: type[SmaltError]) -> None:
    """One that only waited in vain is rate limited; one that met nothing but failures is not."""
    assert type(error([], *met)) is expected


def test_a_request_larger_than_every_quota_is_the_callers_error() -> None:
    """With the numbers: what it needs, and the most that any deployment takes."""
    states = [state("east/a", limit_tpm=50), state("west/a", limit_tpm=1_200)]
    found = exhausted("gpt-4o", load(250_000, 1_000), attempts(FailureKind.OVERSIZED), states, 0)
    assert isinstance(found, InvalidRequest)
    assert found.message == (
        "the request needs about 251,000 tokens of quota at once (prompt estimate + max_tokens), "
        "more than any deployment of 'gpt-4o' may take per minute (1,200)"
    )
    assert found.resolution == ("Lower max_tokens, shorten the prompt, or raise the deployment's quota.",)


def test_it_is_so_before_any_attempt() -> None:
    """Where the minute is not untouched nobody is asked in vain."""
    assert isinstance(exhausted("gpt-4o", load(101), [], [full()], 0), InvalidRequest)


def test_the_limit_that_is_exceeded_may_be_shared() -> None:
    """Of an own and a shared quota the smaller one is told, also of a provisioned deployment."""
    group = QuotaGroup("shared", 70)
    for settings in ({"limit_tpm": 90}, {"limit_tpm": None}, {"throughput": Throughput(60_000, 4.0)}):
        made = UpstreamState(spec(**settings), BreakerSpec(), StandardQuota(group.limit_tpm))
        assert "(70)" in str(exhausted("gpt-4o", REQUEST, [], [made], 0))


def test_a_request_that_fits_somewhere_is_not_too_large() -> None:
    """The large deployment had other troubles."""
    small, large = state("east/a", limit_tpm=50), state("west/a", limit_tpm=500)
    found = error([attempt(FailureKind.OVERSIZED)], small, large)
    assert type(found) is NoUpstreamAvailable


def test_a_request_that_failed_otherwise_is_not_too_large() -> None:
    """Larger than our limit says little if the upstream took it and broke."""
    made = state("east/a", limit_tpm=50)
    found = error(attempts(FailureKind.SERVER), made)
    assert type(found) is ServiceUnavailable


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        (FailureKind.REQUEST, 400, InvalidRequest),
        (FailureKind.REQUEST, 404, NotFound),
        (FailureKind.REQUEST, 413, PayloadTooLarge),
        (FailureKind.REQUEST, 431, InvalidRequest),
        (FailureKind.CONTENT_FILTER, 400, ContentFiltered),
        (FailureKind.CONTEXT, 400, ContextTooLong),
        (FailureKind.CREDENTIAL, 401, Unauthorized),
        (FailureKind.ACCESS, 403, PermissionDenied),
        (FailureKind.DEPLOYMENT_NOT_FOUND, 404, DeploymentNotFound),
        (FailureKind.QUOTA, 429, RateLimited),
        (FailureKind.SERVER, 500, ServiceUnavailable),
        (FailureKind.CAPACITY, 503, ServiceUnavailable),
        (FailureKind.TIMEOUT, 408, UpstreamTimeout),
        (FailureKind.RESET, None, NoUpstreamAvailable),
    ],
)
def test_an_answer_of_the_upstream_has_a_class(
    kind: FailureKind, status: int | None, expected: type[SmaltError]
) -> None:
    """Though nothing of ours is raised: the answer goes to the caller as it is."""
    assert named(Failure(kind, "no", status)) is expected


def test_a_cause_names_its_region_and_status() -> None:
    """As far as there are any."""
    refused = Failure(FailureKind.CONNECT, "refused")
    no_status = AttemptRecord("east/a", "eastus", 1, 3, Fate.NOT_SENT, refused, 0.1)
    assert cause(no_status) == "attempt 1/3 on east/a (eastus): refused"
    assert cause(attempt(FailureKind.QUOTA)) == "attempt 1/5 on east/a: 429 no"


def test_a_cause_of_an_answered_attempt() -> None:
    """An attempt that was answered is told as such."""
    answered = AttemptRecord("east/a", None, 2, 2, Fate.BILLED, None, 0.1)
    assert cause(answered) == "attempt 2/2 on east/a: answered"
