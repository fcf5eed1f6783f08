import pytest

from smalt.core.estimate import TokenEstimate
from smalt.core.limits import Load


@pytest.mark.parametrize(("prompt_bytes", "expected"), [(0, 1), (3, 1), (4, 2), (400, 101)])
def test_at_first_four_bytes_are_a_token(prompt_bytes: int, expected: int) -> None:
    """Azure's own rule of thumb, and never nothing."""
    assert TokenEstimate().load(prompt_bytes, 10) == Load(expected, 10, expected + 10)


def test_a_maximum_that_is_not_said() -> None:
    """Microsoft's simulator charges sixteen tokens for it."""
    assert TokenEstimate().load(400, None) == Load(101, 16, 117)


def test_reported_usage_moves_the_estimate_a_little() -> None:
    """A prompt with twice the tokens moves the factor by a twentieth of the difference."""
    estimate = TokenEstimate()
    estimate.learn(1_000, 500)
    assert estimate.tokens_per_byte == pytest.approx(0.2625)


def test_it_learns_the_tokens_of_its_model() -> None:
    """After some hundred answers the estimate is what was reported."""
    estimate = TokenEstimate()
    for _ in range(200):
        estimate.learn(1_000, 600)
    assert estimate.load(1_000, 0).input_tokens == pytest.approx(600, rel=0.01)


@pytest.mark.parametrize(("prompt_bytes", "learns"), [(199, False), (200, True)])
def test_short_prompts_teach_nothing(prompt_bytes: int, learns: bool) -> None:
    """What surrounds every prompt would weigh too much in them."""
    estimate = TokenEstimate()
    estimate.learn(prompt_bytes, prompt_bytes)
    assert (estimate.tokens_per_byte != 0.25) is learns


@pytest.mark.parametrize(("input_tokens", "as_if"), [(10**9, 1.0), (0, 0.02)])
def test_no_report_moves_it_out_of_range(input_tokens: int, as_if: float) -> None:
    """Images count many tokens for few bytes; a report beyond all reason counts as the range's end."""
    estimate = TokenEstimate()
    estimate.learn(1_000, input_tokens)
    assert estimate.tokens_per_byte == pytest.approx(0.25 + 0.05 * (as_if - 0.25))


@pytest.mark.parametrize(("input_tokens", "charged_tokens"), [(600, 600), (100, 251)])
def test_a_quota_is_rather_charged_too_much(input_tokens: int, charged_tokens: int) -> None:
    """What was learnt, but no less than Azure's rule of thumb, by which it charges."""
    estimate = TokenEstimate()
    for _ in range(200):
        estimate.learn(1_000, input_tokens)
    load = estimate.load(1_000, 0)
    assert load.input_tokens == pytest.approx(input_tokens, rel=0.01)
    assert load.tokens == pytest.approx(charged_tokens, rel=0.01)
