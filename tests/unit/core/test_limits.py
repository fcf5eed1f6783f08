import pytest
from tests.unit.core.builders import NEVER, TRAVEL_S, WINDOW_S, load

from smalt.core.limits import MINUTE_S, NOMINAL_TPM, StandardQuota, Window, paces
from smalt.types import QuotaHints, Usage

ONE = load(1)


def quota(limit_tpm: int | None = 1_000, limit_rpm: float | None = None, *, spent: int = 0) -> StandardQuota:
    """`spent` at the time 0."""
    made = StandardQuota(limit_tpm, limit_rpm)
    if spent:
        made.charge(load(spent), 0)
    return made


def charge(quota: StandardQuota, *times_s: float) -> StandardQuota:
    """One request of one token at each of them."""
    for now in times_s:
        quota.charge(ONE, now)
    return quota


def spent(quota: StandardQuota, now: float) -> list[int]:
    """Requests, by the second and by ten."""
    return [pace.spent_now(now) for pace in quota.requests]


def test_a_window_fills_up() -> None:
    """Up to the limit and not one more."""
    window = Window(MINUTE_S, 1_000)
    window.charge(600, 0)
    assert window.fits(400, 59)
    assert not window.fits(401, 59)


def test_a_window_begins_with_its_first_charge() -> None:
    """And lasts a minute and what the first request may have lost on its way to Azure."""
    window = Window(MINUTE_S, 1_000)
    window.charge(600, 0)
    window.charge(100, 10)
    assert (window.begins_s, window.ends_s) == (0, WINDOW_S)
    assert (window.spent_now(60.01), window.spent_now(WINDOW_S)) == (700, 0)


def test_a_new_window_forgets() -> None:
    """After the end everything fits, and the next charge begins a new one."""
    window = Window(MINUTE_S, 1_000)
    window.charge(1_000, 0)
    assert not window.fits(1, 60)
    assert window.fits(1_000, WINDOW_S)
    window.charge(10, WINDOW_S)
    assert (window.spent, window.ends_s) == (10, 2 * WINDOW_S)


def test_an_untouched_window_takes_more_than_its_limit() -> None:
    """The amount is an estimate; where nothing else was spent the upstream can decide."""
    window = Window(MINUTE_S, 1_000)
    window.charge(0, 0)
    assert window.fits(5_000, 1)
    window.charge(1, 1)
    assert not window.fits(5_000, 2)


def test_giving_back() -> None:
    """What never left is free again."""
    window = Window(MINUTE_S, 1_000)
    window.charge(600, 0)
    window.charge(300, 5)
    window.give_back(300, 5)
    assert window.spent == 600


@pytest.mark.parametrize("begins_s", [0, 0.1, 7.3, 1_234.567, 98_765.432_1])
def test_giving_back_what_began_the_window(begins_s: float) -> None:
    """The first charge is in the window like any other, whatever floating point makes of the times."""
    window = Window(MINUTE_S, 1_000)
    window.charge(600, begins_s)
    window.give_back(600, begins_s)
    assert window.spent == 0


def test_giving_back_after_the_window_changes_nothing() -> None:
    """A charge of a minute that has passed is not taken from the next one."""
    window = Window(MINUTE_S, 1_000)
    window.charge(600, 0)
    window.charge(100, 70)
    window.give_back(600, 0)
    assert window.spent == 100


def test_nothing_is_spent_less_than_not_at_all() -> None:
    """Azure may have told in between that less was spent."""
    window = Window(MINUTE_S, 1_000)
    window.charge(600, 0)
    window.spent = 100
    window.give_back(600, 0)
    assert window.spent == 0


@pytest.mark.parametrize(
    ("limit_rpm", "expected"),
    [
        (None, []),
        (600, [(1, 10), (10, 100)]),
        (60, [(1, 1), (10, 10)]),
        (59, [(10, 9)]),
        (6, [(10, 1)]),
        (5, [(60, 5)]),
        (0.5, [(60, 1)]),
    ],
)
def test_requests_are_counted_by_the_second_and_by_ten(
    limit_rpm: float | None, expected: list[tuple[float, float]]
) -> None:
    """Where that would be less than one request, by the minute; one is always allowed."""
    assert [(pace.span_s, pace.limit) for pace in paces(limit_rpm)] == expected


def test_a_quota_takes_tokens_up_to_its_limit() -> None:
    """The prompt and the most that may be answered count together."""
    made = quota(spent=600)
    assert made.fits(load(300, 100), 1)
    assert not made.fits(load(300, 101), 1)


def test_without_a_limit_everything_fits() -> None:
    """And nothing exceeds it."""
    made = quota(None, spent=10**9)
    assert made.fits(load(10**9), 1)
    assert made.free_at_s(load(10**9), 1) == 1
    assert not made.exceeded_by(load(10**9))


def test_a_spent_second_refuses_the_next_request() -> None:
    """600 a minute are ten a second; the eleventh may go in the next one."""
    made = charge(quota(None, 600), *[0.0] * 10)
    assert not made.fits(ONE, 0.5)
    assert made.free_at_s(ONE, 0.5) == 1 + TRAVEL_S
    assert made.fits(ONE, 1 + TRAVEL_S)


def test_a_second_with_room_refuses_nobody() -> None:
    """Nine of ten are not ten."""
    made = charge(quota(None, 600), *[0.0] * 9)
    assert made.fits(ONE, 0.5)
    assert made.free_at_s(ONE, 0.5) == 0.5


def test_spent_ten_seconds_refuse_the_next_request() -> None:
    """60 a minute: ten in ten seconds, although the second has room again."""
    made = charge(quota(None, 60), *[0.0] * 10)
    assert not made.fits(ONE, 9.999)
    assert made.free_at_s(ONE, 9.999) == 10 + TRAVEL_S
    assert made.fits(ONE, 10 + TRAVEL_S)


def test_the_later_end_of_tokens_and_requests_counts() -> None:
    """A request needs room in every window."""
    made = quota(1_000, 60)
    made.charge(load(900), 0)
    assert made.free_at_s(load(50), 0.5) == 1 + TRAVEL_S
    assert made.free_at_s(load(200), 0.5) == WINDOW_S


def test_a_request_larger_than_the_quota_waits_for_nothing() -> None:
    """No minute will take it beside others."""
    made = quota(spent=1)
    assert made.exceeded_by(load(1_001))
    assert made.free_at_s(load(1_001), 1) == NEVER
    assert not made.exceeded_by(load(1_000))
    assert made.free_at_s(load(1_000), 1) == WINDOW_S


def test_a_request_larger_than_the_quota_is_charged_nothing() -> None:
    """Azure refuses it without counting its tokens, or admits it and says what remains."""
    made = charge(quota(1_000, 60), 0)
    made.charge(load(1_001), 0.5)
    assert (made.tokens.spent, made.charged_tokens) == (1, 1)
    assert spent(made, 0.5) == [2, 2]


def test_giving_back_a_request_that_never_left() -> None:
    """Its tokens and its place in every window of requests."""
    made = charge(quota(1_000, 60), 0)
    assert not made.fits(ONE, 0.5)
    made.give_back(ONE, 0)
    assert (made.tokens.spent, spent(made, 0.5)) == (0, [0, 0])
    assert made.fits(ONE, 0.5)


def test_giving_back_what_no_longer_counts() -> None:
    """It is forgotten already."""
    made = charge(quota(None, 60), 0, 20)
    made.give_back(ONE, 0)
    assert spent(made, 20) == [1, 1]


def test_giving_back_one_of_many_leaves_the_window_full() -> None:
    """When more than the limit had gone."""
    made = charge(quota(None, 600), *[0.0] * 11)
    made.give_back(ONE, 0)
    assert not made.fits(ONE, 0.5)


def test_giving_back_a_request_larger_than_the_quota() -> None:
    """It was charged no tokens, so none come back."""
    made = quota(1_000, 60, spent=500)
    made.charge(load(1_001), 1.5)
    made.give_back(load(1_001), 1.5)
    assert (made.tokens.spent, spent(made, 1.5)) == (500, [0, 1])


def test_real_usage_corrects_nothing() -> None:
    """Azure keeps what it charged on arrival."""
    made = quota(spent=500)
    made.settle(load(500), Usage(10, 10), 1)
    assert made.tokens.spent == 500


def tell(made: StandardQuota, sent_at_s: float = 0, since: float = 0, now: float = 1, **hints: int) -> None:
    made.tell(QuotaHints(**hints), sent_at_s, since, now)


def test_azure_tells_what_remains() -> None:
    """That is what counts, and what was charged later comes on top."""
    made = quota(spent=500)
    tell(made, since=120, limit_tokens=1_000, remaining_tokens=700)
    assert made.tokens.spent == 420


def test_azure_tells_of_what_others_spent() -> None:
    """The limit is ours, the tokens are everybody's."""
    made = quota(1_000, spent=500)
    tell(made, limit_tokens=1_200, remaining_tokens=100)
    assert (made.tokens.limit, made.tokens.spent) == (1_000, 1_100)


def test_azure_tells_a_lower_limit() -> None:
    """A temporary reduction: it counts at once, and goes when Azure says so."""
    made = quota(1_000, spent=100)
    tell(made, limit_tokens=300, remaining_tokens=200)
    assert made.exceeded_by(load(301))
    tell(made, limit_tokens=1_200, remaining_tokens=1_100)
    assert made.tokens.limit == 1_000


def test_azure_tells_a_limit_that_nobody_configured() -> None:
    """Known is better than none."""
    made = quota(None)
    tell(made, limit_tokens=1_200)
    assert made.exceeded_by(load(1_201))


def test_nothing_remains_less_than_everything() -> None:
    """More may remain than the limit says, for a moment."""
    made = quota(spent=10)
    tell(made, limit_tokens=1_000, remaining_tokens=1_200)
    assert made.tokens.spent == 0


def test_what_remained_in_an_earlier_minute_says_nothing_of_this_one() -> None:
    """An answer may come after the window its request was sent in."""
    made = quota(spent=10)
    made.charge(load(20), 70)
    tell(made, sent_at_s=0, now=71, limit_tokens=1_000, remaining_tokens=0)
    assert made.tokens.spent == 20


def test_what_is_not_said_changes_nothing() -> None:
    """A limit without what remains, or nothing at all."""
    made = quota(spent=10)
    tell(made, limit_tokens=1_000)
    tell(made, remaining_tokens=5)
    tell(made)
    assert (made.tokens.limit, made.tokens.spent) == (1_000, 10)


def test_azure_tells_a_limit_of_requests_that_nobody_configured() -> None:
    """Of ten seconds, as live headers tell."""
    made = quota(None)
    tell(made, limit_requests=100, remaining_requests=99)
    assert [(pace.span_s, pace.limit) for pace in made.requests] == [(1, 10), (10, 100)]


def test_a_configured_limit_of_requests_stays() -> None:
    """What remains of Azure's window says nothing of any span."""
    made = charge(quota(None, 60), 0)
    tell(made, limit_requests=7, remaining_requests=0)
    assert [(pace.limit, pace.spent_now(1)) for pace in made.requests] == [(1, 1), (10, 1)]


def test_a_refusal_ends_the_minute_when_it_says() -> None:
    """Azure's window is not quite ours."""
    made = quota(spent=900)
    made.refused_until(20, 10)
    assert made.free_at_s(load(200), 10) == 20
    assert made.fits(load(1_000), 20)


@pytest.mark.parametrize(
    ("spent_tokens", "until_s", "ends_s"),
    [(500, 15, WINDOW_S), (500, 15.1, 15.1), (899, 9, WINDOW_S), (900, 9, 9)],
)
def test_a_short_refusal_may_be_of_the_requests(spent_tokens: int, until_s: float, ends_s: float) -> None:
    """Of the tokens is what lasts longer than requests are counted, or comes when few tokens are left."""
    made = quota(1_000, 60, spent=spent_tokens)
    made.refused_until(until_s, 5)
    assert made.tokens.ends_s == ends_s


def test_a_refusal_after_the_warning_warns_no_second_time() -> None:
    """It only moves the end of the same minute."""
    made = quota(spent=900)
    made.told()
    made.refused_until(20, 10)
    assert not made.nearly_spent


@pytest.mark.parametrize(("limit_tpm", "expected"), [(1_000, 0.5), (None, 500 / NOMINAL_TPM)])
def test_a_share_is_what_is_spent_of_the_minute(limit_tpm: int | None, expected: float) -> None:
    """Of the limit, or of a usual one where none is known."""
    made = quota(limit_tpm, spent=500)
    assert made.share(60) == expected
    assert made.share(WINDOW_S) == 0


def test_a_share_is_that_of_the_requests_where_those_are_spent_more() -> None:
    """In the longest span, as of the newest request."""
    made = charge(quota(1_000, 60), 0, 2, 4)
    assert made.share(5) == 0.3
    assert made.share(14) == 0.003
    made.charge(load(500), 5)
    assert made.share(5) == 0.503
    assert made.share(11) == 0.503


def test_an_untouched_quota_has_no_share() -> None:
    """Idle is idle."""
    assert quota(1_000, 60).share(0) == 0


def test_a_nearly_spent_minute_is_told_once() -> None:
    """At four fifths, and again in the next minute."""
    made = quota(spent=799)
    nearly_spent = [made.nearly_spent]
    made.charge(ONE, 1)
    nearly_spent.append(made.nearly_spent)
    made.told()
    nearly_spent.append(made.nearly_spent)
    made.charge(load(900), 100)
    nearly_spent.append(made.nearly_spent)
    assert nearly_spent == [False, True, False, True]


def test_what_has_no_limit_is_never_nearly_spent() -> None:
    """However much it is."""
    assert not quota(None, spent=10**9).nearly_spent


def test_all_that_was_ever_charged_is_counted() -> None:
    """Over every minute, so that what was charged since some moment can be told."""
    made = quota(spent=500)
    made.charge(load(300), 100)
    assert made.charged_tokens == 800


def test_what_azure_has_counted_when_it_answers() -> None:
    """All that was charged before, and the request itself; not what it may have overtaken on its way."""
    made = quota(10_000)
    assert made.charge(load(100), 0) == 100
    assert made.charge(load(200), 1) == 300
    assert made.charge(load(400), 1 + 0.02) == 500  # the 200 may still arrive later
    assert made.charge(load(800), 1.04) == 1_100  # by now they have; the 400 may
    assert made.charge(load(1_600), 9) == 3_100


def test_of_a_request_larger_than_the_quota_azure_counts_nothing() -> None:
    """Neither when it answers it nor later."""
    made = quota(1_000)
    assert made.charge(load(1_001), 0) == 0
    assert made.charge(load(10), 0) == 10


def test_a_quota_begun_by_a_request_larger_than_it_is_untouched() -> None:
    """Nothing was charged, so the next one may be as large."""
    made = quota(1_000)
    made.charge(load(1_001), 0)
    assert made.fits(load(5_000), 1)


def test_requests_count_until_the_oldest_is_over() -> None:
    """Two in a second: the third may go a second after the first, not after the second."""
    made = charge(quota(None, 120), 0, 0.5)
    assert made.free_at_s(ONE, 0.75) == 1 + TRAVEL_S


def test_requests_that_are_over_count_no_more() -> None:
    """At the very moment, each by itself; the next ones fill the span anew."""
    made = charge(quota(None, 120), 0, 0.9, 1.5)
    assert made.free_at_s(ONE, 1.6) == pytest.approx(1.9 + TRAVEL_S)
    made = charge(quota(None, 60), 0, 1 + TRAVEL_S)
    assert made.free_at_s(ONE, 1.5) == 1 + TRAVEL_S + (1 + TRAVEL_S)
    assert spent(charge(quota(None, 60), 0), 1 + TRAVEL_S) == [0, 1]


def test_giving_back_one_of_a_full_second_makes_room() -> None:
    """What is left is less than the limit; of more than the limit it is still full, until its own end."""
    made = charge(quota(None, 120), 0, 0.1)
    made.give_back(ONE, 0.1)
    assert made.fits(ONE, 0.2)
    made = charge(quota(None, 120), 0, 0, 0.1)
    made.give_back(ONE, 0)
    assert made.free_at_s(ONE, 0.2) == 1 + TRAVEL_S


@pytest.mark.parametrize(
    ("spent_tokens", "tokens", "expected"),
    [(899, 102, True), (899, 101, False), (900, 101, False), (0, 900, False)],
)
def test_a_request_may_outgrow_what_is_left(spent_tokens: int, tokens: int, expected: bool) -> None:
    """Where smaller ones still find room: less than nine tenths of the minute are spent."""
    assert quota(spent=spent_tokens).outgrown_by(load(tokens), 1) is expected


def test_who_is_just_slow_enough_may_still_be_overtaken() -> None:
    """Up to the longest that requests are thought to differ on their way."""
    made = quota(10_000)
    made.charge(load(100), 0)
    assert made.charge(load(200), TRAVEL_S) == 200


@pytest.mark.parametrize("now", [WINDOW_S, 100])
def test_what_remained_of_a_minute_that_is_over_warns_nobody(now: float) -> None:
    """An answer that comes late tells of a minute that has ended."""
    made = quota(spent=10)
    tell(made, now=now, limit_tokens=1_000, remaining_tokens=10)
    assert not made.nearly_spent


def test_a_refusal_before_the_warning_leaves_it_to_be_told() -> None:
    """The minute ends elsewhere, and is nearly spent all the same."""
    made = quota(spent=950)
    made.refused_until(20, 10)
    assert made.nearly_spent
