import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalt.emulator.quota import (
    NEVER_S,
    Load,
    ProvisionedQuota,
    StandardQuota,
    Standing,
    output_charge,
    prompt_charge,
    prompt_chars,
    quota_for,
)
from smalt.emulator.rates import Throughput

GPT_4O_PTU = Throughput(2_500, 4)


def standard(limit_tpm: int = 100_000) -> StandardQuota:
    """100,000 TPM of gpt-4o: 600 requests a minute, 100 in ten seconds, 10 in one."""
    return StandardQuota("gpt-4o", limit_tpm)


def test_importing_it_imports_little() -> None:
    """A simulation gets the quota without servers, YAML or HTTP."""
    heavy = "asyncio httptools msgspec ruamel socket uvloop"
    program = f"import smalt.emulator.quota, sys; print(*(set(sys.modules) & set('{heavy}'.split())))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# standard deployments


def test_tokens_are_admitted_until_the_minute_is_spent() -> None:
    """The request that does not fit any more is refused until the minute ends, to the millisecond."""
    quota = standard()
    assert quota.admit(Load(60_000), now=10.0).tokens == Standing(100_000, 40_000, 60.0)
    refused = quota.admit(Load(10_000, 40_000), now=30.5)
    assert (refused.refused, refused.retry_s) == ("tokens", 39.5)
    assert refused.tokens == Standing(100_000, 0, 39.5)
    assert quota.admit(Load(100_000), now=30.5 + refused.retry_s).refused is None


def test_what_is_refused_is_charged_all_the_same() -> None:
    """Hammering prolongs the refusal: what would have fitted before does not fit after."""
    quota = standard()
    quota.admit(Load(60_000), now=0.0)
    assert quota.admit(Load(50_000), now=1.0).refused == "tokens"
    assert quota.admit(Load(1), now=2.0).refused == "tokens"


def test_the_eleventh_request_in_a_second_is_refused() -> None:
    """600 a minute are ten a second; headers go on telling of the ten-second window, which has room."""
    quota = standard()
    assert all(quota.admit(Load(1), now=n / 100).refused is None for n in range(10))
    refused = quota.admit(Load(1), now=0.25)
    assert (refused.refused, refused.retry_s) == ("requests", 0.75)
    assert refused.requests == Standing(100, 89, 9.75)
    assert quota.admit(Load(1), now=1.0).refused is None


def test_ten_seconds_admit_a_sixth_of_the_minute() -> None:
    """A caller that keeps just below the second's limit meets that of ten seconds."""
    quota = standard(1_000)  # 6 a minute: 1 in ten seconds
    assert quota.admit(Load(1), now=0.0).requests == Standing(1, 0, 10.0)
    refused = quota.admit(Load(1), now=2.0)
    assert (refused.refused, refused.retry_s) == ("requests", 8.0)


@pytest.mark.parametrize(
    ("model", "limit_tpm", "in_ten_seconds"),
    [("gpt-4o", 8_000, 8), ("gpt-4.1", 60_000, 10), ("gpt-4o-mini", 6_000, 10), ("o3-mini", 6_000_000, 100)],
)
def test_requests_follow_from_tokens_by_model(model: str, limit_tpm: int, in_ten_seconds: int) -> None:
    """8,000 TPM of gpt-4o show 8 requests, as live headers do."""
    requests = StandardQuota(model, limit_tpm).admit(Load(1), 0.0).requests
    assert requests == Standing(in_ten_seconds, in_ten_seconds - 1, 10.0)


def test_a_rate_below_one_in_ten_seconds_is_counted_by_the_minute() -> None:
    """o1 has one request for each 6,000 tokens; less than one is still one."""
    assert StandardQuota("o1", 12_000).admit(Load(1), 0.0).requests == Standing(2, 1, 60.0)
    assert StandardQuota("o1", 1_000).admit(Load(1), 0.0).requests == Standing(1, 0, 60.0)


def test_the_longer_wait_is_told() -> None:
    """Both limits are exceeded: to wait for one of them would be too short."""
    quota = standard(1_000)
    quota.admit(Load(900), now=0.0)
    refused = quota.admit(Load(900), now=1.0)
    assert (refused.refused, refused.retry_s) == ("tokens", 59.0)


def test_a_request_above_the_whole_limit_is_told_to_wait_a_day() -> None:
    """It counts as a request, but its tokens do not block those who fit."""
    quota = standard()
    refused = quota.admit(Load(100_000, 1), now=0.0)
    assert (refused.refused, refused.retry_s) == ("size", NEVER_S)
    assert refused.tokens == Standing(100_000, 100_000, 60.0)
    assert refused.requests == Standing(100, 99, 10.0)
    assert quota.admit(Load(100_000), now=0.1).refused is None


def test_a_reduced_limit_shows_in_the_headers() -> None:
    """Tokens and requests shrink together, and grow back."""
    quota = standard()
    quota.share = 0.25
    verdict = quota.admit(Load(1_000), now=0.0)
    assert (verdict.tokens, verdict.requests) == (Standing(25_000, 24_000, 60.0), Standing(25, 24, 10.0))
    assert quota.admit(Load(24_001), now=1.0).refused == "tokens"
    assert quota.admit(Load(25_001), now=1.0).refused == "size"
    quota.share = 1.0
    assert quota.admit(Load(40_000), now=2.0).refused is None


def test_nothing_is_corrected() -> None:
    """What a request really used makes no difference."""
    quota = standard()
    quota.admit(Load(60_000), now=0.0)
    quota.settle(Load(60_000), Load(1), now=1.0)
    assert quota.admit(Load(50_000), now=1.0).refused == "tokens"


@given(st.lists(st.tuples(st.integers(1, 60_000), st.floats(0, 5)), max_size=80))
def test_no_window_admits_more_than_its_limit_and_no_wait_is_too_short(
    arrivals: list[tuple[int, float]],
) -> None:
    """Whatever comes when: in no second, ten seconds or minute since a window began is too much admitted."""
    quota, now = standard(), 0.0
    began = dict.fromkeys((1.0, 10.0, 60.0), -1e9)
    admitted = dict.fromkeys(began, 0)
    for tokens, gap in arrivals:
        now += gap
        verdict = quota.admit(Load(tokens), now)
        for span_s, limit in ((1.0, 10), (10.0, 100), (60.0, 100_000)):
            if now >= began[span_s] + span_s - 1e-9:
                began[span_s], admitted[span_s] = now, 0
            if verdict.refused is None:
                admitted[span_s] += tokens if span_s == 60.0 else 1
            assert admitted[span_s] <= limit
        if verdict.refused:
            again = quota.admit(Load(tokens), now + verdict.retry_s)
            now += verdict.retry_s
            assert again.refused is None
            for span_s in began:
                if now >= began[span_s] + span_s - 1e-9:
                    began[span_s], admitted[span_s] = now, 0
                admitted[span_s] += tokens if span_s == 60.0 else 1


# provisioned deployments


def test_a_bucket_overflows_once_then_refuses_until_it_is_at_its_brim() -> None:
    """50 PTUs of gpt-4o take 125,000 tokens a minute; output weighs four times as much."""
    quota = ProvisionedQuota(GPT_4O_PTU, 50)
    assert quota.admit(Load(25_000, 25_000), now=0.0).utilization_percent == 100.0
    over = quota.admit(Load(12_500), now=0.0)  # exactly full is not above
    assert over.refused is None
    assert over.utilization_percent == pytest.approx(110.0)
    refused = quota.admit(Load(1), now=1.0)
    assert refused.refused == "utilization"
    assert refused.retry_s == pytest.approx(5.0)
    assert (refused.tokens, refused.requests) == (None, None)
    assert quota.admit(Load(1), now=1.0 + refused.retry_s).refused is None


def test_a_refused_request_brings_nothing_into_the_bucket() -> None:
    """Hammering a provisioned deployment does not prolong the wait."""
    quota = ProvisionedQuota(GPT_4O_PTU, 1)
    quota.admit(Load(5_000), now=0.0)
    waits = [quota.admit(Load(5_000), now=float(n)).retry_s for n in (1, 2, 3)]
    assert waits == pytest.approx([59.0, 58.0, 57.0])


def test_the_estimate_is_corrected_to_what_was_used() -> None:
    """Up or down, and cached tokens cost nothing."""
    quota = ProvisionedQuota(GPT_4O_PTU, 1)
    estimate = Load(500, 500)
    assert quota.admit(estimate, now=0.0).utilization_percent == pytest.approx(100.0)
    quota.settle(estimate, Load(500, 100, cached_tokens=400), now=0.0)
    assert quota.utilization_percent(0.0) == pytest.approx(20.0)
    quota.admit(estimate, now=0.0)
    quota.settle(estimate, Load(500, 600), now=0.0)
    assert quota.utilization_percent(0.0) == pytest.approx(136.0)


def test_the_gpt_6_family_pays_a_tenth_for_cached_tokens() -> None:
    """The weight comes with the model."""
    quota = quota_for("gpt-6-sol", "GlobalProvisionedManaged", 1)
    assert quota.admit(Load(1_000, 0, cached_tokens=1_000), 0.0).utilization_percent == pytest.approx(
        100 / 30
    )


def test_the_bucket_drains_all_the_time() -> None:
    """In half a minute half of a minute's throughput is gone; it never runs below empty."""
    quota = ProvisionedQuota(GPT_4O_PTU, 2)
    quota.admit(Load(5_000), now=100.0)
    assert quota.utilization_percent(130.0) == pytest.approx(50.0)
    assert quota.utilization_percent(500.0) == 0.0
    quota.settle(Load(5_000), Load(0), now=501.0)
    assert quota.utilization_percent(501.0) == 0.0


@given(st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 3_000), st.floats(0, 30)), max_size=60))
def test_over_time_no_more_is_served_than_was_bought(requests: list[tuple[int, int, float]]) -> None:
    """What is served is at most the throughput of the time passed, one full bucket and one overflow."""
    quota, now, served, largest = ProvisionedQuota(GPT_4O_PTU, 1), 0.0, 0, 0
    for prompt, output, gap in requests:
        now += gap
        load = Load(prompt, output)
        if quota.admit(load, now).refused is None:
            served += prompt + 4 * output
            largest = max(largest, prompt + 4 * output)
        assert served <= 2_500 * (1 + now / 60) + largest + 1e-3


# the charge


def test_the_charge_is_a_quarter_of_the_characters_and_the_most_that_may_come() -> None:
    """Contents and text parts count, roles and images do not."""
    messages = [
        {"role": "system", "content": "12345"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "6789"}, {"type": "image_url", "image_url": {}}],
        },
    ]
    assert prompt_charge(messages) == 3
    assert output_charge({"max_tokens": 50}) == output_charge({"max_completion_tokens": 50}) == 50
    assert output_charge({"max_output_tokens": 50, "best_of": 3}) == 150


def test_the_charge_bears_any_body() -> None:
    """It is taken before the body is checked, so nothing may break it."""
    assert prompt_chars(["ab", [1, 2], None, {"content": None}, 1.5]) == 2 + 8
    odd: tuple[dict[str, object], ...] = (
        {},
        {"max_tokens": "x"},
        {"max_tokens": -4},
        {"best_of": "x"},
        {"best_of": -1},
    )
    assert {output_charge(body) for body in odd} == {16}
