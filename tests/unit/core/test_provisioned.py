import pytest
from tests.unit.core.builders import load

from smalt.core.provisioned import ProvisionedQuota
from smalt.core.settings import Throughput
from smalt.types import QuotaHints, Usage

TPM = 60_000  # drains 1,000 tokens a second
ONE = load(1)


def bucket(content: int = 0, *, now: float = 0, cached_weight: float = 0.0) -> ProvisionedQuota:
    """An output token counts four."""
    made = ProvisionedQuota(Throughput(TPM, 4.0, cached_weight))
    if content:
        made.charge(load(content), now)
    return made


def content(made: ProvisionedQuota, now: float) -> float:
    return made.share(now) * TPM


def test_an_empty_bucket_takes_everything() -> None:
    """It may overflow once."""
    made = bucket()
    assert made.fits(load(10 * TPM), 0)
    assert made.free_at_s(load(10 * TPM), 5) == 5
    assert not made.exceeded_by(load(10 * TPM))


def test_what_is_answered_weighs_more() -> None:
    """As many uncached input tokens as the weights say."""
    made = bucket()
    made.charge(load(1_000, 500), 0)
    assert content(made, 0) == pytest.approx(3_000)


def test_it_drains_all_the_time() -> None:
    """A minute's throughput in a minute, and no further than empty."""
    made = bucket(30_000)
    assert [made.share(now) for now in (0, 6, 30, 3_000)] == pytest.approx([0.5, 0.4, 0, 0])


def test_a_full_bucket_is_still_taken_from() -> None:
    """Up to the brim it fits; above it nothing does until it is down again."""
    assert bucket(TPM).fits(ONE, 0)
    made = bucket(TPM + 2_000)
    assert made.free_at_s(ONE, 0) == pytest.approx(2)
    assert not made.fits(ONE, 1.99)
    assert made.fits(ONE, 2)


@pytest.mark.parametrize("now", [0.1, 7.3, 86_400.7, 1_234_567.8])
def test_who_waits_as_long_as_told_may_go(now: float) -> None:
    """Whatever the last bit of a float says."""
    for tokens in range(TPM + 1, TPM + 500, 7):
        made = bucket(tokens, now=now)
        assert made.fits(ONE, made.free_at_s(ONE, now))


def test_time_before_zero_is_time_like_any_other() -> None:
    """A monotonic clock may begin anywhere."""
    made = bucket(30_000, now=-1_000)
    assert made.share(-994) == pytest.approx(0.4)


def test_a_clock_that_stands_still_drains_nothing() -> None:
    """Two looks at one moment see the same."""
    made = bucket(30_000, now=5)
    assert made.share(5) == made.share(5) == made.share(4) == 0.5


def test_real_usage_replaces_the_estimate() -> None:
    """Up or down."""
    made = bucket()
    made.charge(load(1_000, 1_000), 0)
    made.settle(load(1_000, 1_000), Usage(1_200, 100), 0)
    assert content(made, 0) == pytest.approx(1_600)
    made.settle(load(0), Usage(0, 2_000), 0)
    assert content(made, 0) == pytest.approx(9_600)


@pytest.mark.parametrize(("cached_weight", "expected"), [(0.0, 300), (0.1, 370), (1.0, 1_000)])
def test_cached_tokens_count_as_the_model_says(cached_weight: float, expected: float) -> None:
    """Nothing, or a tenth."""
    made = bucket(cached_weight=cached_weight)
    made.charge(load(1_000), 0)
    made.settle(load(1_000), Usage(1_000, 0, cached_tokens=700), 0)
    assert content(made, 0) == pytest.approx(expected)


def test_what_has_drained_meanwhile_is_not_given_back_twice() -> None:
    """An estimate that was too high leaves at worst an empty bucket."""
    made = bucket()
    made.charge(load(5_000), 0)
    made.settle(load(5_000), Usage(0), 4)
    assert content(made, 4) == 0


def test_giving_back_a_request_that_never_left() -> None:
    """As if it had not been charged."""
    made = bucket(10_000)
    made.charge(load(1_000, 1_000), 1)
    made.give_back(load(1_000, 1_000), 1)
    assert content(made, 1) == pytest.approx(9_000)


def test_azure_tells_the_utilisation() -> None:
    """Less what has drained since the request was sent, and what was charged since."""
    made = bucket(1_000)
    made.tell(QuotaHints(utilization=0.5), sent_at_s=1, charged_since=2_000, now=3)
    assert content(made, 3) == pytest.approx(30_000 + 2_000 - 2_000)
    assert content(made, 4) == pytest.approx(29_000)


def test_no_utilisation_is_less_than_nothing() -> None:
    """What drained may be more than there was."""
    made = bucket(1_000)
    made.tell(QuotaHints(utilization=0.01), sent_at_s=0, charged_since=0, now=30)
    assert content(made, 30) == 0


def test_without_a_utilisation_nothing_changes() -> None:
    """What the headers say of tokens and requests is for other deployments."""
    made = bucket(1_000)
    made.tell(QuotaHints(limit_tokens=5, remaining_tokens=0), sent_at_s=0, charged_since=0, now=0)
    assert content(made, 0) == pytest.approx(1_000)


def test_a_refusal_says_how_full_it_is() -> None:
    """As full as takes until then to drain to the brim."""
    made = bucket(10_000)
    made.refused_until(12.5, 10)
    assert made.free_at_s(ONE, 10) == pytest.approx(12.5)
    assert content(made, 10) == pytest.approx(TPM + 2_500)


def test_all_that_was_ever_charged_is_counted() -> None:
    """Corrections included, whatever has drained."""
    made = bucket(1_000)
    made.charge(load(500, 100), 30)
    made.settle(load(500, 100), Usage(400, 100), 40)
    assert made.charged_tokens == pytest.approx(1_800)


def test_what_azure_has_counted_when_it_answers() -> None:
    """All that was charged until then, and the request itself."""
    made = bucket(1_000)
    assert made.charge(load(500, 100), 30) == pytest.approx(1_900)
