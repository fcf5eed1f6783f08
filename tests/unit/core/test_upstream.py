import pytest

from smalt.core.reactions import Cooldown
from smalt.core.settings import UpstreamSpec
from smalt.core.upstream import NOMINAL_TPM, UpstreamState, UpstreamStatus, status

QUOTA = Cooldown(10, flagged=False)
FLAG = Cooldown(30, flagged=True)
NEVER = float("inf")


def make_state(limit_tpm: int | None = 1_000) -> UpstreamState:
    return UpstreamState(UpstreamSpec("east/a", "gpt-4o", region="eastus", limit_tpm=limit_tpm))


def test_a_new_upstream_is_available() -> None:
    """Nothing is known against an upstream that was never used."""
    assert make_state().available(1_000, 0)
    assert make_state().available_at_s(1_000, 5) == 5


def test_a_rest_ends_on_time() -> None:
    """A cooled upstream is unavailable until the very end of its rest."""
    state = make_state()
    state.cool(QUOTA, "quota", 0)
    assert not state.available(1, 9.999)
    assert state.available(1, 10)
    assert state.available_at_s(1, 3) == 10


def test_a_full_upstream_is_back_with_the_minute() -> None:
    """An upstream without tokens left is available when its minute is over."""
    state = make_state()
    state.window.charge(900, 5)
    assert not state.available(101, 30)
    assert state.available_at_s(101, 30) == 65


def test_both_rest_and_minute_must_be_over() -> None:
    """A full upstream that also rests is available after the later of the two."""
    state = make_state()
    state.window.charge(900, 0)
    state.cool(Cooldown(60, flagged=False), "quota", 30)
    assert state.available_at_s(101, 30) == 90


def test_a_request_above_the_limit_waits_for_an_untouched_minute() -> None:
    """Its size is an estimate; the upstream says whether it is too large."""
    state = make_state()
    assert state.available(1_001, 0)
    state.window.charge(1, 0)
    assert state.available_at_s(1_001, 0) == 60


def test_waiting_does_not_lift_a_flag() -> None:
    """A flagged upstream is not waited for."""
    state = make_state()
    state.cool(FLAG, "refused", 0)
    assert state.available_at_s(1, 0) == NEVER


def test_a_flag_ends_with_its_rest() -> None:
    """After its rest a flagged upstream is tried like any other."""
    state = make_state()
    state.cool(FLAG, "refused", 0)
    assert state.available(1, 30)
    assert state.available_at_s(1, 30) == 30


def test_a_shorter_rest_does_not_end_a_longer_one() -> None:
    """Of two rests the later end counts."""
    state = make_state()
    state.cool(QUOTA, "quota", 0)
    state.cool(Cooldown(1, flagged=False), "server", 2)
    assert state.cools_until_s == 10


def test_a_flag_outlasts_other_failures() -> None:
    """A failure without a flag does not hide a flag that still holds, nor its reason."""
    state = make_state()
    state.cool(FLAG, "refused", 0)
    state.cool(QUOTA, "quota", 1)
    assert (state.flagged, state.reason, state.cools_until_s) == (True, "refused", 30)


def test_a_flag_that_is_over_is_forgotten() -> None:
    """The first failure after a flag has ended counts by itself."""
    state = make_state()
    state.cool(FLAG, "refused", 0)
    state.cool(QUOTA, "quota", 30)
    assert (state.flagged, state.reason, state.cools_until_s) == (False, "quota", 40)


def test_an_answer_lifts_a_flag() -> None:
    """A flagged upstream that answers is healthy at once."""
    state = make_state()
    state.cool(FLAG, "refused", 0)
    state.answered()
    assert state.healthy(0)
    assert (state.flagged, state.reason) == (False, None)


def test_an_answer_does_not_end_a_rest() -> None:
    """One request may pass while the quota is spent: the rest stays."""
    state = make_state()
    state.cool(QUOTA, "quota", 0)
    state.answered()
    assert not state.healthy(5)


def test_failures_are_counted_once_per_rest() -> None:
    """What fails while the upstream rests belongs to the failure that began the rest."""
    state = make_state()
    for now in (0, 0, 5, 15):
        state.failed(now)
        state.cool(QUOTA, "server", now)
    assert state.failures_in_a_row == 2


def test_the_first_own_failure_counts_during_a_rest() -> None:
    """A rest told by the upstream does not hide its first own failure."""
    state = make_state()
    state.cool(QUOTA, "quota", 0)
    state.failed(1)
    assert state.failures_in_a_row == 1


def test_an_answer_ends_the_row() -> None:
    """After an answer the next failure is the first again."""
    state = make_state()
    state.failed(0)
    state.answered()
    assert state.failures_in_a_row == 0


@pytest.mark.parametrize(("limit_tpm", "expected"), [(1_000, 0.5), (None, 500 / NOMINAL_TPM)])
def test_load_is_a_share_of_the_minute(limit_tpm: int | None, expected: float) -> None:
    """Load is the spent share of the limit, or of a usual one where none is known."""
    state = make_state(limit_tpm)
    state.window.charge(500, 0)
    assert state.load(0) == expected


def test_status_of_a_healthy_upstream() -> None:
    """A snapshot of an upstream that serves."""
    state = make_state()
    state.window.charge(400, 0)
    state.in_flight = 1
    assert status(state, 0) == UpstreamStatus(
        name="east/a",
        model="gpt-4o",
        region="eastus",
        available=True,
        cools_for_s=0.0,
        reason=None,
        in_flight=1,
        charged_tokens=400,
        limit_tpm=1_000,
    )


def test_status_of_a_resting_upstream() -> None:
    """A snapshot of an upstream that rests says why and for how long."""
    state = make_state()
    state.cool(QUOTA, "quota", 0)
    shot = status(state, 4)
    assert (shot.available, shot.cools_for_s, shot.reason) == (False, 6, "quota")


def test_status_of_a_rested_upstream_has_no_reason() -> None:
    """A rest that is over is not told any more."""
    state = make_state()
    state.cool(QUOTA, "quota", 0)
    shot = status(state, 10)
    assert (shot.available, shot.cools_for_s, shot.reason) == (True, 0.0, None)
