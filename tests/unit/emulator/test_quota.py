from hypothesis import given
from hypothesis import strategies as st

from smalt.emulator.quota import NEVER_S, WINDOW_S, TokenWindow, charge, prompt_chars


def test_requests_are_admitted_until_the_minute_is_spent() -> None:
    """The request that does not fit any more is refused until the minute ends."""
    window = TokenWindow(limit=1_000)
    assert window.admit(600, now=10.0).remaining == 400
    refused = window.admit(500, now=30.5)
    assert not refused.admitted
    assert (refused.remaining, refused.retry_s) == (400, 39.5)


def test_a_refused_request_charges_no_tokens() -> None:
    """What still fits after a refusal is admitted."""
    window = TokenWindow(limit=1_000)
    window.admit(600, now=0.0)
    window.admit(500, now=1.0)
    assert window.admit(400, now=2.0).admitted


def test_the_counter_resets_each_minute() -> None:
    """The exact wait of a refusal is enough."""
    window = TokenWindow(limit=1_000)
    window.admit(1_000, now=5.0)
    wait_s = window.admit(1, now=20.0).retry_s
    assert window.admit(1_000, now=20.0 + wait_s).admitted


def test_a_request_above_the_limit_is_told_to_wait_a_day() -> None:
    """What can never fit gets the long wait Azure is reported to answer."""
    verdict = TokenWindow(limit=1_000).admit(1_001, now=0.0)
    assert not verdict.admitted
    assert verdict.retry_s == NEVER_S


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 20)), max_size=60))
def test_no_minute_admits_more_than_the_limit(requests: list[tuple[int, float]]) -> None:
    """Whatever comes when, a window never spends more than its limit."""
    window, now, admitted, started = TokenWindow(limit=1_000), 0.0, 0, 0.0
    for tokens, gap in requests:
        now += gap
        verdict = window.admit(tokens, now)
        if window.started_s != started:
            started, admitted = window.started_s, 0
        admitted += tokens if verdict.admitted else 0
        assert admitted == window.spent <= window.limit
        assert 0 < verdict.reset_s <= WINDOW_S


def test_the_charge_is_a_quarter_of_the_characters_plus_the_maximum() -> None:
    """Contents and text parts count, roles and images do not."""
    messages = [
        {"role": "system", "content": "12345"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "6789"}, {"type": "image_url", "image_url": {}}],
        },
    ]
    assert charge(messages, 100) == 3 + 100


def test_prompt_chars_bears_anything() -> None:
    """The charge is taken before the body is checked, so nothing may break it."""
    assert prompt_chars(["ab", [1, 2], None, {"content": None}, 1.5]) == 2 + 8
