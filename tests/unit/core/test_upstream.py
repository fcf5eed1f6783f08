from typing import Any

import pytest
from tests.unit.core.builders import NEVER, TRAVEL_S, WINDOW_S, load, spec, state

from smalt.core.health import Cooldown, Rest
from smalt.core.limits import StandardQuota
from smalt.core.provisioned import ProvisionedQuota
from smalt.core.settings import BreakerSpec, Throughput
from smalt.core.upstream import FULL, UpstreamState, UpstreamStatus, WindowStatus, status
from smalt.types import Notice, NoticeKind

PTU = Throughput(60_000, 4.0)
QUOTA = Cooldown(10, Rest.COOLING)


def resting(rest: Rest, seconds: float = 10, **settings: Any) -> UpstreamState:
    made = state(**settings)
    made.health.cool(Cooldown(seconds, rest), "no", 0)
    return made


def probing() -> UpstreamState:
    made = state()
    made.health.half_open = True
    made.health.sent()
    return made


def full() -> UpstreamState:
    made = state(limit_tpm=1_000)
    made.own.charge(load(1_000), 0)
    return made


def test_a_new_upstream_is_free() -> None:
    """Nothing is known against one that was never used."""
    made = state(limit_tpm=1_000)
    assert made.obstacle(load(1_000), 5) is None
    assert made.free_at_s(load(1_000), 5) == 5


@pytest.mark.parametrize("rest", [Rest.COOLING, Rest.FLAGGED, Rest.PARKED, Rest.OPEN])
def test_a_rest_is_an_obstacle_until_it_ends(rest: Rest) -> None:
    """Whichever it is."""
    made = resting(rest)
    assert made.obstacle(load(1), 9.999) is rest
    assert made.obstacle(load(1), 10) is None


def test_a_probe_is_an_obstacle_for_everybody_else() -> None:
    """Until it has ended."""
    made = probing()
    assert made.obstacle(load(1), 0) is Rest.PROBING
    made.health.probing = False
    assert made.obstacle(load(1), 0) is None


def test_a_full_upstream_is_back_with_the_minute() -> None:
    """And a rest says more than that it is full."""
    made = full()
    assert made.obstacle(load(1), 30) == FULL
    assert made.free_at_s(load(1), 30) == WINDOW_S
    made.health.cool(QUOTA, "quota", 30)
    assert made.obstacle(load(1), 30) is Rest.COOLING


@pytest.mark.parametrize(("cools_s", "free_at_s"), [(5, WINDOW_S), (60, 65)])
def test_rest_and_minute_must_both_be_over(cools_s: float, free_at_s: float) -> None:
    """The later of the two counts."""
    made = full()
    made.health.cool(Cooldown(cools_s, Rest.COOLING), "quota", 5)
    assert made.free_at_s(load(1), 5) == free_at_s


@pytest.mark.parametrize("rest", [Rest.FLAGGED, Rest.PARKED, Rest.OPEN])
def test_other_rests_are_not_waited_for(rest: Rest) -> None:
    """They may not end well."""
    assert resting(rest).free_at_s(load(1), 0) == NEVER


def test_a_shared_quota_counts_beside_its_own() -> None:
    """Both must take a request, the fuller one is the load, and either may be exceeded."""
    group = StandardQuota(1_000)
    made = UpstreamState(spec(limit_tpm=800), BreakerSpec(), group)
    group.charge(load(700), 0)
    assert made.fits(load(300), 1)
    assert made.obstacle(load(301), 1) == FULL
    assert made.free_at_s(load(301), 1) == WINDOW_S
    assert made.share(1) == 0.7
    made.own.charge(load(790), 1)
    assert not made.fits(load(11), 1)
    assert made.share(1) == 790 / 800
    assert [made.exceeded_by(load(tokens)) for tokens in (800, 801)] == [False, True]


def test_a_request_may_exceed_the_shared_quota_alone() -> None:
    """Where the upstream has no limit of its own."""
    made = UpstreamState(spec(), BreakerSpec(), StandardQuota(1_000))
    assert [made.exceeded_by(load(tokens)) for tokens in (1_000, 1_001)] == [False, True]


def test_a_provisioned_upstream_has_a_bucket() -> None:
    """In place of the limits."""
    assert isinstance(state(throughput=PTU, limit_tpm=5).own, ProvisionedQuota)


@pytest.mark.parametrize(
    ("mine", "others", "longer"),
    [
        ({"context_tokens": 128_000}, {"context_tokens": 8_192}, True),
        ({"context_tokens": 8_192}, {"context_tokens": 128_000}, False),
        ({"context_tokens": 8_192}, {"context_tokens": 8_192}, False),
        ({"context_tokens": 8_192}, {}, False),
        ({}, {"context_tokens": 8_192}, False),
        ({}, {}, False),
        ({}, {"throughput": PTU}, True),
        ({"throughput": PTU}, {}, False),
        ({"throughput": PTU}, {"throughput": PTU}, False),
        ({"context_tokens": 8_192}, {"context_tokens": 8_192, "throughput": PTU}, True),
        ({"context_tokens": 8_192}, {"context_tokens": 128_000, "throughput": PTU}, False),
        ({"context_tokens": 128_000, "throughput": PTU}, {"context_tokens": 8_192}, True),
    ],
)
def test_who_takes_longer_prompts(mine: dict[str, Any], others: dict[str, Any], longer: bool) -> None:
    """By the windows of the models; of equal or unknown ones those that are paid by token."""
    assert state(**mine).takes_longer_prompts_than(state(**others)) is longer


def test_a_request_outgrows_one_of_two_quotas() -> None:
    """The upstream's own or the one it shares with others."""
    shared = StandardQuota(500)
    shared.charge(load(1), 0)
    made = UpstreamState(spec("east/a", limit_tpm=1_000), BreakerSpec(), shared)
    assert made.outgrown_by(load(500), 1)
    assert not made.outgrown_by(load(499), 1)


def test_a_resting_upstream_is_not_outgrown() -> None:
    """Whether it has room will show when it is back."""
    made = resting(Rest.COOLING, limit_tpm=1_000)
    made.own.charge(load(1), 0)
    assert not made.outgrown_by(load(1_000), 1)
    assert made.outgrown_by(load(1_000), 10)


def test_a_nearly_spent_quota_is_told_with_its_numbers() -> None:
    """Once in a minute; provisioned deployments have no minute."""
    made = state(limit_tpm=3_000)
    made.own.charge(load(2_432), 0)
    assert made.nearly_spent() == Notice(
        NoticeKind.QUOTA_NEARLY_SPENT,
        "east/a",
        "2,432 of 3,000 tokens of this minute are spent",
        {"tokens_per_minute": 2_432, "quota": 3_000, "usage_pct": 81.1},
    )
    assert made.nearly_spent() is None
    bucket = state(throughput=PTU)
    bucket.own.charge(load(60_000), 0)
    assert bucket.nearly_spent() is None


def test_the_budget_of_repeats_is_spent_and_earned() -> None:
    """A hundred in a row, then one for every five answers."""
    made = state()
    assert [made.may_repeat() for _ in range(101)] == [True] * 100 + [False]
    made.answered()
    assert not made.may_repeat()
    for _ in range(4):
        made.answered()
    made.repeats_left = round(made.repeats_left, 9)
    assert [made.may_repeat() for _ in range(2)] == [True, False]


def test_the_mark_is_of_the_name() -> None:
    """The same in every process, another for every name, and odd, so that it mixes well."""
    marks = {name: state(name).mark for name in ("east/a", "east/b", "west/a")}
    assert marks["east/a"] == state("east/a").mark == 1_332_922_347
    assert len(set(marks.values())) == 3
    assert all(mark % 2 for mark in marks.values())


def test_changed_settings_keep_what_is_known() -> None:
    """Health, speed, and the quota if it is the same."""
    old, new = full(), state(limit_tpm=1_000, weight=3)
    old.health.cool(QUOTA, "quota", 0)
    old.total.measured(3, 0)
    old.first_byte.measured(1, 0)
    new.inherit(old)
    assert new.obstacle(load(1), 0) is Rest.COOLING
    assert (new.total.average_s, new.first_byte.average_s) == (3, 1)
    assert new.obstacle(load(1), 10) == FULL
    assert new.share(10) == 1


@pytest.mark.parametrize("changed", [{"limit_tpm": 2_000}, {"limit_rpm": 6}, {"throughput": PTU}])
def test_a_changed_quota_starts_anew(changed: dict[str, Any]) -> None:
    """The rest stays."""
    old, new = full(), state(**{"limit_tpm": 1_000, **changed})
    old.health.cool(QUOTA, "quota", 0)
    new.inherit(old)
    assert new.obstacle(load(1), 0) is Rest.COOLING
    assert new.obstacle(load(1), 10) is None


def test_status_of_an_upstream_that_serves() -> None:
    """A snapshot with every number there is."""
    made = state(region="eastus", limit_tpm=1_000, limit_rpm=60)
    made.own.charge(load(400), 0)
    made.in_flight, made.waiting = 1, 2
    made.first_byte.measured(0.5, 0)
    made.total.measured(3, 0)
    assert status(made, 2) == UpstreamStatus(
        name="east/a",
        model="gpt-4o",
        region="eastus",
        state="available",
        rests_for_s=0.0,
        reason=None,
        in_flight=1,
        waiting=2,
        share=0.4,
        windows=(
            WindowStatus("tokens", 60.0, 400, 1_000, WINDOW_S - 2),
            WindowStatus("requests", 1.0, 0, 1, 0.0),
            WindowStatus("requests", 10.0, 1, 10, 8 + TRAVEL_S),
        ),
        first_byte_s=0.5,
        total_s=3,
    )
    assert status(made, 2).available


def test_status_of_an_untouched_upstream() -> None:
    """Nothing spent, no limit, nothing measured."""
    shot = status(state(), 5)
    assert (shot.state, shot.share, shot.first_byte_s, shot.total_s) == ("available", 0, None, None)
    assert shot.windows == (WindowStatus("tokens", 60.0, 0, None, 0.0),)


@pytest.mark.parametrize("rest", [Rest.COOLING, Rest.FLAGGED, Rest.PARKED, Rest.OPEN])
def test_status_of_an_upstream_that_rests(rest: Rest) -> None:
    """It says how, why and for how long; what is over is not told any more."""
    made = resting(rest)
    shot = status(made, 4)
    assert (shot.state, shot.rests_for_s, shot.reason, shot.available) == (str(rest), 6, "no", False)
    over = status(made, 10)
    assert (over.state, over.rests_for_s, over.reason, over.available) == ("available", 0, None, True)


def test_status_of_an_upstream_that_is_probed() -> None:
    """Its rest is over, but it is not back yet."""
    made = probing()
    made.health.cool(Cooldown(1, Rest.OPEN), "broken", 0)
    shot = status(made, 1)
    assert (shot.state, shot.rests_for_s, shot.reason) == ("probing", 0, "broken")


def test_status_of_a_full_upstream() -> None:
    """Nothing is wrong with it; the window says when it is back."""
    shot = status(full(), 1)
    assert (shot.state, shot.reason, shot.share) == ("full", None, 1)
    assert shot.windows[0].resets_in_s == WINDOW_S - 1


def test_status_of_a_provisioned_upstream() -> None:
    """It has no windows; its share is the utilisation."""
    made = state(throughput=PTU)
    made.own.charge(load(30_000), 0)
    shot = status(made, 0)
    assert (shot.windows, shot.share) == ((), 0.5)
