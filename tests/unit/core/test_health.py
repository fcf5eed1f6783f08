import pytest
from tests.unit.core.builders import NEVER

from smalt.core.health import Cooldown, Health, Rest
from smalt.core.settings import BreakerSpec

QUOTA = Cooldown(10, Rest.COOLING)
FLAG = Cooldown(30, Rest.FLAGGED)
HOURS = Cooldown(60, Rest.PARKED)
OPEN = Cooldown(30, Rest.OPEN)
FIRST = Cooldown(1, Rest.COOLING)  # after an upstream's own failure
NEVER_OPENS = BreakerSpec(failures=10**9, open_s=1e9)


def make(breaker: BreakerSpec | None = None) -> Health:
    return Health(breaker or BreakerSpec(failures=5, open_s=30))


def fail(
    health: Health, now: float, *, sent_s: float | None = None, cooldown: Cooldown = FIRST, grows: bool = True
) -> Cooldown | None:
    """A failure of an attempt that was sent at that moment, if not said otherwise."""
    return health.failed(now if sent_s is None else sent_s, cooldown, grows=grows, now=now)


def opened(now: float = 0) -> Health:
    """The breaker has just opened."""
    health = make()
    rests = [fail(health, now) for _ in range(5)]
    assert rests[-1] == OPEN
    health.cool(OPEN, "broken", now)
    return health


def test_a_new_upstream_is_healthy() -> None:
    """Nothing is known against it, at whatever time the clock began."""
    assert make().resting(-1_000) is None
    assert make().waits_until_s(-1_000) == -1_000


def test_a_rest_ends_on_time() -> None:
    """An upstream is left alone until the very end of its rest."""
    health = make()
    health.cool(QUOTA, "quota", 0)
    assert health.resting(9.999) is Rest.COOLING
    assert health.resting(10) is None


@pytest.mark.parametrize(
    ("cooldown", "expected"), [(QUOTA, 10), (FLAG, NEVER), (HOURS, NEVER), (OPEN, NEVER)]
)
def test_only_a_cooldown_is_waited_for(cooldown: Cooldown, expected: float) -> None:
    """Of the others nobody knows whether they end well."""
    health = make()
    health.cool(cooldown, "no", 0)
    assert health.waits_until_s(1) == expected


@pytest.mark.parametrize("cooldown", [QUOTA, FLAG, HOURS, OPEN])
def test_every_rest_has_an_end(cooldown: Cooldown) -> None:
    """Then the upstream is asked like any other."""
    health = make()
    health.cool(cooldown, "no", 0)
    assert health.resting(cooldown.seconds) is None
    assert health.waits_until_s(cooldown.seconds) == cooldown.seconds


def test_a_shorter_rest_does_not_end_a_longer_one() -> None:
    """Of two rests the later end counts."""
    health = make()
    health.cool(QUOTA, "quota", 0)
    health.cool(FIRST, "server", 2)
    assert health.until_s == 10


@pytest.mark.parametrize(
    ("lighter", "graver"), [(QUOTA, HOURS), (HOURS, OPEN), (OPEN, FLAG), (QUOTA, OPEN), (HOURS, FLAG)]
)
def test_of_two_rests_the_graver_counts(lighter: Cooldown, graver: Cooldown) -> None:
    """Whichever came first, and with its own reason."""
    for first, second in ((lighter, graver), (graver, lighter)):
        health = make()
        health.cool(first, str(first.rest), 0)
        health.cool(second, str(second.rest), 1)
        assert (health.rest, health.reason) == (graver.rest, str(graver.rest))


def test_of_two_equal_rests_the_newer_reason_counts() -> None:
    """It is what the upstream said last."""
    health = make()
    health.cool(QUOTA, "old", 0)
    health.cool(QUOTA, "new", 1)
    assert health.reason == "new"


def test_a_rest_that_is_over_is_forgotten() -> None:
    """The first failure after a flag has ended counts by itself."""
    health = make()
    health.cool(FLAG, "refused", 0)
    health.cool(QUOTA, "quota", 30)
    assert (health.rest, health.reason, health.until_s) == (Rest.COOLING, "quota", 40)


def test_rests_double_until_the_breaker_opens() -> None:
    """1, 2, 4, 8 s; the fifth failure in a row opens the breaker."""
    health = make()
    rests = [fail(health, now) for now in (0, 1, 3, 7, 15)]
    assert rests == [*(Cooldown(seconds, Rest.COOLING) for seconds in (1, 2, 4, 8)), OPEN]
    assert health.half_open


def test_rests_double_up_to_32_seconds() -> None:
    """However many failures a user's breaker allows."""
    health = make(NEVER_OPENS)
    rests = [fail(health, now) for now in range(2_000)]
    assert [rest and rest.seconds for rest in rests[4:8]] == [16, 32, 32, 32]
    assert rests[-1] == Cooldown(32, Rest.COOLING)


def test_a_time_the_upstream_names_does_not_grow() -> None:
    """Its own word is better than our guess."""
    health = make(NEVER_OPENS)
    named = Cooldown(7, Rest.COOLING)
    assert [fail(health, now, cooldown=named, grows=False) for now in (0, 10, 20)] == [named] * 3


@pytest.mark.parametrize(("named_s", "seconds"), [(7, 30), (60, 60)])
def test_a_named_time_does_not_keep_the_breaker_closed(named_s: float, seconds: float) -> None:
    """The later end of the two counts."""
    health = make(BreakerSpec(failures=1, open_s=30))
    named = Cooldown(named_s, Rest.COOLING)
    assert fail(health, 0, cooldown=named, grows=False) == Cooldown(seconds, Rest.OPEN)


def test_one_incident_counts_once() -> None:
    """What was under way when another attempt failed is part of the same incident."""
    health = make()
    assert fail(health, 5, sent_s=0) == FIRST
    assert [fail(health, now, sent_s=4.999) for now in (5, 6, 60)] == [None] * 3
    assert health.failures == 1


def test_a_time_the_upstream_names_counts_in_every_incident() -> None:
    """Although the failure does not."""
    health = make()
    named = Cooldown(7, Rest.COOLING)
    fail(health, 5)
    assert fail(health, 6, sent_s=4, cooldown=named, grows=False) == named
    assert health.failures == 1


def test_an_attempt_sent_after_a_failure_counts_by_itself() -> None:
    """Also at the very moment."""
    health = make()
    fail(health, 5)
    fail(health, 6, sent_s=5)
    assert health.failures == 2


@pytest.mark.parametrize(("now", "failures"), [(31.9, 4), (32, 3), (61.9, 3), (62, 2), (92, 1), (9_999, 1)])
def test_failures_are_forgotten_with_time(now: float, failures: int) -> None:
    """One of three with each half minute that passes."""
    health = make()
    for failed_at_s in (0, 1, 2):
        fail(health, failed_at_s)
    fail(health, now)
    assert health.failures == failures


def test_an_answer_ends_the_row() -> None:
    """After an answer the next failure is the first again."""
    health = make()
    fail(health, 0)
    fail(health, 1)
    assert not health.alive(answered=True)
    assert fail(health, 2) == FIRST


def test_an_open_breaker_lets_nobody_through() -> None:
    """For half a minute."""
    health = opened()
    assert health.resting(0) is Rest.OPEN
    assert health.resting(29.999) is Rest.OPEN


def test_a_half_open_breaker_lets_one_call_through() -> None:
    """While it probes the others stay away, and do not wait for it."""
    health = opened()
    assert health.resting(30) is None
    assert health.sent()
    assert health.resting(31) is Rest.PROBING
    assert health.waits_until_s(31) == NEVER


def test_a_closed_breaker_lets_everybody_through() -> None:
    """No call is a probe."""
    health = make()
    assert not health.sent()
    assert health.resting(0) is None


@pytest.mark.parametrize("now", [30, 10_000])
def test_a_failed_probe_opens_it_again(now: float) -> None:
    """At once, however long ago the other failures were."""
    health = opened()
    assert fail(health, now) == OPEN
    assert health.half_open


@pytest.mark.parametrize("answered", [True, False])
def test_a_probe_that_is_spoken_to_closes_it(answered: bool) -> None:
    """Answered, or refused for its own fault: the upstream is there."""
    health = opened()
    health.sent()
    assert health.alive(answered=answered)
    assert health.resting(31) is None
    assert (health.half_open, health.failures) == (False, 0)
    assert not health.alive(answered=answered)


def test_an_earlier_attempt_may_close_it_too() -> None:
    """An answer that comes while the upstream rests ends the rest; nobody needs to probe."""
    health = opened()
    assert health.alive(answered=True)
    assert health.resting(1) is None
    assert not health.sent()


def test_a_closed_breaker_waits_for_no_probe() -> None:
    """The probe may be a long answer; another one has proved already that the upstream is back."""
    health = opened()
    health.sent()
    health.alive(answered=True)
    assert health.resting(31) is None


def test_an_answer_lifts_a_flag() -> None:
    """A flagged upstream that answers is healthy at once."""
    health = make()
    health.cool(FLAG, "refused", 0)
    assert not health.alive(answered=True)
    assert health.resting(1) is None


def test_a_refused_request_lifts_no_flag() -> None:
    """It says nothing of the deployment that was missing."""
    health = make()
    health.cool(FLAG, "refused", 0)
    health.alive(answered=False)
    assert health.resting(1) is Rest.FLAGGED


@pytest.mark.parametrize("cooldown", [QUOTA, HOURS])
def test_an_answer_lifts_no_cooldown(cooldown: Cooldown) -> None:
    """One request may pass while the quota is spent."""
    health = make()
    health.cool(cooldown, "quota", 0)
    health.alive(answered=True)
    assert health.resting(1) is cooldown.rest


def test_closing_the_breaker_lifts_no_cooldown() -> None:
    """A quota that refused the probe is still spent when an earlier attempt is answered."""
    health = opened()
    health.cool(QUOTA, "quota", 30)
    assert health.alive(answered=True)
    assert health.resting(31) is Rest.COOLING


def test_an_answer_ends_a_rest_that_a_sibling_brought() -> None:
    """The breaker of another deployment of the resource opened; this one is there."""
    health = make()
    health.cool(OPEN, "connection refused", 0)
    assert not health.alive(answered=True)
    assert health.resting(1) is None


def test_clean_is_whom_nothing_has_failed_since_the_last_answer() -> None:
    """A new one, too; an upstream that spoke without answering is not."""
    health = make()
    seen = [health.clean]
    fail(health, 0)
    seen.append(health.clean)
    health.alive(answered=True)
    seen.append(health.clean)
    health.cool(QUOTA, "quota", 1)
    seen.append(health.clean)
    health.alive(answered=False)
    seen.append(health.clean)
    assert seen == [True, False, True, False, False]


def test_what_was_missed_flags_until_it_is_reached() -> None:
    """Others are preferred meanwhile, nobody waits for it; the first miss and the first success are news."""
    health = make()
    assert health.missed("refused", 60, now=0)
    assert not health.missed("still refused", 90, now=30)
    assert (health.resting(89.9), health.why(89.9)) == (Rest.FLAGGED, "still refused")
    assert health.waits_until_s(1) == NEVER
    assert health.reached(60)
    assert not health.reached(60)
    assert (health.resting(60), health.why(60), health.until_s) == (None, None, -NEVER)


def test_what_was_missed_is_over_in_time() -> None:
    """Nobody may ask any more."""
    health = make()
    health.missed("refused", 60, now=0)
    assert health.resting(60) is None
    assert not health.reached(60)
    health.missed("refused", 60, now=0)
    assert health.missed("refused", 120, now=60)


@pytest.mark.parametrize("cooldown", [QUOTA, HOURS, FLAG])
def test_what_is_reached_still_rests_from_calls(cooldown: Cooldown) -> None:
    """Only what was missed is lifted, whichever came first."""
    for missed_first in (True, False):
        health = make()
        if missed_first:
            health.missed("refused", 5, now=0)
        health.cool(cooldown, "call", 0)
        if not missed_first:
            health.missed("refused", 5, now=0)
        assert health.reached(1)
        assert (health.resting(1), health.why(1)) == (cooldown.rest, "call")
        assert health.until_s == cooldown.seconds


@pytest.mark.parametrize(("cooldown", "why"), [(QUOTA, "missed"), (HOURS, "call"), (OPEN, "call")])
def test_an_open_breaker_counts_more_than_what_was_missed(cooldown: Cooldown, why: str) -> None:
    """Calls go on failing fast; but nobody waits for the end of a cooldown of what is not there."""
    health = make()
    health.cool(cooldown, "call", 0)
    health.missed("missed", 100, now=0)
    assert health.resting(1) is (Rest.FLAGGED if why == "missed" else cooldown.rest)
    assert health.why(1) == why
    assert (health.resting(99), health.why(99)) == (Rest.FLAGGED, "missed")


def test_a_breaker_whose_upstream_is_reached_again_lets_a_call_try() -> None:
    """It need not wait for its half minute; but what was never missed proves nothing for calls."""
    health = opened()
    assert not health.reached(1)
    assert health.resting(1) is Rest.OPEN
    health.missed("refused", 60, now=1)
    health.reached(2)
    assert health.resting(2) is None
    assert health.sent()


def test_the_one_probe_of_a_half_open_breaker_counts_more_than_what_was_missed() -> None:
    """While it is under way nobody else asks, not even as the last resort."""
    health = opened()
    health.missed("refused", 100, now=0)
    assert health.resting(30) is Rest.FLAGGED
    health.sent()
    assert health.resting(31) is Rest.PROBING


@pytest.mark.parametrize("answered", [True, False])
def test_an_upstream_that_speaks_is_not_missed_any_more(answered: bool) -> None:
    """A call says more than any probe."""
    health = make()
    health.missed("refused", 60, now=0)
    assert not health.clean
    health.alive(answered=answered)
    assert (health.resting(1), health.until_s) == (None, -NEVER)


def test_the_state_of_the_breaker() -> None:
    """Closed, open after failures in a row, half open once its time is over: the next call finds out."""
    health = Health(BreakerSpec(failures=1, open_s=30))
    assert health.breaker_state(0) == "closed"
    cooldown = health.failed(0, Cooldown(1, Rest.COOLING), grows=True, now=0)
    assert cooldown is not None
    health.cool(cooldown, "boom", 0)
    assert health.breaker_state(29) == "open"
    assert health.breaker_state(31) == "half_open"
    health.alive(answered=True)
    assert health.breaker_state(31) == "closed"
