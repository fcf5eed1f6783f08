"""Who is asked: tiers, strategies, prompt caches, what fits; and how a choice is explained."""

import pytest
from tests.unit.core.builders import (
    BROKEN,
    CAPACITY,
    QUOTA_7S,
    RESET,
    WINDOW_S,
    answer_once,
    facts,
    fail_once,
    failed,
    make_engine,
    open_call,
    sent,
    sent_to,
    spec,
)

from smalt.core.call import Send, Wait
from smalt.core.decision import Decision
from smalt.core.settings import QuotaGroup, StrategyName, UpstreamSpec


def test_a_later_tier_serves_when_the_first_cannot() -> None:
    """With every upstream of the first tier resting the second tier is used at once."""
    assert failed(make_engine("east/a", "west/a"), BROKEN, 0).next(0) == Send("west/a", 2, 5)


def test_a_full_tier_spills_over() -> None:
    """A call that does not fit into the first tier goes to the second."""
    engine = make_engine(spec("east/a", limit_tpm=150), "west/a")
    assert [answer_once(engine, 0) for _ in range(2)] == ["east/a", "west/a"]


def test_the_first_tier_is_used_again_when_it_is_back() -> None:
    """After its rest the first tier is preferred again."""
    engine = make_engine("east/a", "west/a")
    fail_once(engine, BROKEN, 0)
    assert answer_once(engine, 0.5) == "west/a"
    assert answer_once(engine, 1) == "east/a"


def test_a_later_tier_is_left_alone_while_the_first_serves() -> None:
    """However busy the first is."""
    engine = make_engine(spec("east/a", limit_tpm=10_000), "west/a")
    assert {answer_once(engine, 0) for _ in range(50)} == {"east/a"}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("least_loaded", ["east/a", "west/a", "north/a", "east/a"]),
        ("round_robin", ["east/a", "west/a", "north/a", "east/a"]),
        ("weighted", ["east/a", "west/a", "north/a", "east/a"]),
        ("random", ["east/a", "east/a", "east/a", "east/a"]),  # the same number every time
        ("least_latency", ["east/a", "east/a", "east/a", "east/a"]),  # nobody was measured
    ],
)
def test_the_strategy_of_the_pool_picks(strategy: StrategyName, expected: list[str]) -> None:
    """Among those that are free, and it hears of each choice."""
    engine = make_engine("east/a west/a north/a", strategy=strategy)
    assert [sent_to(open_call(engine).next(0)) for _ in range(4)] == expected


def test_latencies_are_those_of_the_kind_of_answer() -> None:
    """Who is fast to begin is asked for streams, who is fast to end for whole answers."""
    engine = make_engine("east/a west/a", strategy="least_latency")
    for stream, east_s, west_s in ((True, 1, 2), (False, 8, 4)):
        for resource, duration_s in (("east", east_s), ("west", west_s)):
            sent(engine, 0, facts(stream=stream, resource=resource)).record(None, duration_s)
    assert sent_to(open_call(engine, facts(stream=True)).next(8)) == "east/a"
    assert sent_to(open_call(engine, facts(stream=False)).next(8)) == "west/a"


def test_every_attempt_has_a_chance_of_its_own() -> None:
    """One number for a call makes another for each attempt, so that all do not go to the same next one."""
    engine = make_engine("east/a west/a north/a", strategy="random")
    call = sent(engine, 0, unit=0.25)
    call.record(BROKEN, 0)
    call.next(0)
    first, second = call.explain()
    assert first.ranks != second.ranks
    assert all(0 <= rank < 1 for rank in [*first.ranks.values(), *second.ranks.values()])
    assert {name: first.ranks[name] for name in second.ranks} != second.ranks


def test_prompts_that_begin_alike_go_to_the_same_upstream() -> None:
    """Its cache has the beginning; load breaks ties no more."""
    engine = make_engine((spec("east/a", limit_tpm=100_000), spec("west/a", limit_tpm=100_000)))
    homes = {affinity: answer_once(engine, 0, facts(affinity=affinity)) for affinity in range(1, 9)}
    assert set(homes.values()) == {"east/a", "west/a"}
    for affinity, home in homes.items():
        assert answer_once(engine, 0, facts(affinity=affinity)) == home


def test_a_home_that_is_too_busy_is_passed_by() -> None:
    """Then the strategy picks."""
    engine = make_engine((spec("east/a", limit_tpm=1_000), spec("west/a", limit_tpm=1_000)))
    asked = facts(affinity=1)
    home = sent_to(open_call(engine, asked).next(0))
    other = {"east/a": "west/a", "west/a": "east/a"}[home]
    assert [answer_once(engine, 0, asked) for _ in range(3)] == [home, other, home]


@pytest.mark.parametrize("strategy", ["round_robin", "weighted", "random"])
def test_shares_that_were_promised_are_kept(strategy: StrategyName) -> None:
    """These strategies know no homes."""
    engine = make_engine("east/a west/a", strategy=strategy)
    call = sent(engine, 0, facts(affinity=1))
    assert call.explain()[0].home is None


def test_a_home_is_one_of_the_preferred() -> None:
    """A call that has failed at home goes elsewhere."""
    engine = make_engine("east/a west/a")
    home = answer_once(engine, 0, facts(affinity=1))
    call = sent(engine, 0, facts(affinity=1))
    assert call.explain()[0].chosen == home
    call.record(BROKEN, 0)
    assert sent_to(call.next(0)) != home


def test_a_prompt_goes_where_it_fits() -> None:
    """Into a window that is large enough, or not known; only if there is none into any."""
    small, large, unknown = spec("east/a", context_tokens=50), spec("west/a", context_tokens=500), spec("x/a")
    assert answer_once(make_engine((small, large)), 0) == "west/a"
    assert answer_once(make_engine((small, unknown)), 0) == "x/a"
    assert answer_once(make_engine(small), 0) == "east/a"
    assert answer_once(make_engine((small, large)), 0, facts(50)) == "east/a"


def test_the_window_is_of_the_prompt() -> None:
    """84 of the 100 tokens; as many as fit exactly still fit."""
    exact, large = spec("east/a", context_tokens=84), spec("west/a", context_tokens=500)
    assert answer_once(make_engine((exact, large)), 0) == "east/a"
    assert answer_once(make_engine((exact, large)), 0, facts(101)) == "west/a"


@pytest.mark.parametrize("small", [spec("east/a", limit_tpm=99), spec("east/a", group=QuotaGroup("g", 99))])
def test_a_request_goes_where_its_quota_is_large_enough(small: UpstreamSpec) -> None:
    """Own or shared; only if there is none to any."""
    assert answer_once(make_engine((small, spec("west/a", limit_tpm=100))), 0) == "west/a"
    assert answer_once(make_engine(small), 0) == "east/a"


def test_a_quota_of_the_exact_size_is_large_enough() -> None:
    """Of two equal ones the first is asked."""
    exact, large = spec("east/a", limit_tpm=100), spec("west/a", limit_tpm=500)
    assert answer_once(make_engine((exact, large)), 0) == "east/a"


def test_who_has_not_failed_the_call_comes_before_who_fits_better() -> None:
    """An upstream that has just failed it may be back at once, and is asked last all the same."""
    engine = make_engine((spec("east/a", limit_tpm=100), spec("west/a", limit_tpm=99)))
    call = sent(engine, 0)
    assert call.explain()[0].chosen == "east/a"
    call.record(RESET, 0)
    assert sent_to(call.next(5)) == "west/a"


def test_a_choice_is_explained() -> None:
    """What stood in the way of whom, among whom was chosen, and by what."""
    engine = make_engine((spec("east/a", limit_tpm=150), spec("west/a", limit_tpm=1_000)), "north/a")
    answer_once(engine, 0)
    call = open_call(engine)
    call.next(1)
    call.record(QUOTA_7S, 2)
    call.next(2)
    obstacles = {"east/a": "full", "west/a": "cooling", "north/a": None}
    assert call.explain() == [
        Decision(1, 100, {"east/a": "full", "west/a": None}, {"west/a": 0.0}, None, "west/a"),
        Decision(2, 100, obstacles, {"north/a": 0.0}, None, "north/a"),
    ]


def test_a_wait_is_explained() -> None:
    """With the time until which the call waits at most; of a long wait the last look is enough."""
    engine = make_engine(spec("east/a", limit_tpm=150))
    answer_once(engine, 0)
    call = open_call(engine)
    for now in (1, 2, 3):
        assert call.next(now) == Wait(WINDOW_S)
    *_, last = call.explain()
    assert last == Decision(3, 100, {"east/a": "full"}, {}, None, None, WINDOW_S)
    assert len(call.explain()) == 2
    call.next(WINDOW_S)
    assert [decision.chosen for decision in call.explain()] == [None, None, "east/a"]


def test_where_a_call_has_failed_is_explained() -> None:
    """The upstream is free for others, but not for this call yet."""
    engine = make_engine("east/a")
    call = sent(engine, 0, unit=0.5)
    call.record(RESET, 0)
    assert call.next(1.2) == Wait(1.5)
    assert call.explain()[-1].obstacles == {"east/a": "tried"}
    assert sent_to(open_call(engine).next(1.2)) == "east/a"


def test_choices_can_be_made_again() -> None:
    """From what is written of them, those at home too."""
    calls = []
    for affinity in (None, 1, 2, 3):
        call = failed(make_engine("east/a west/a", "north/a"), CAPACITY, 0, facts(affinity=affinity))
        call.next(0)
        calls.append(call)
    decisions = [decision for call in calls for decision in call.explain()]
    assert len(decisions) == 8
    assert all(decision.replay() == decision.chosen for decision in decisions)
    assert {decision.home for decision in decisions} > {None}


def test_only_the_resource_of_the_ids_is_looked_at() -> None:
    """The others do not exist for this request."""
    call = sent(make_engine("east/a west/a", "west/b"), 0, facts(resource="west"))
    assert call.explain()[0].obstacles == {"west/a": None}


def test_only_who_is_able_is_looked_at() -> None:
    """Whoever is known to lack an ability is left out."""
    unable, able = spec("east/a", abilities=frozenset()), spec("west/a", abilities=frozenset({"tools"}))
    call = sent(make_engine((unable, able)), 0, facts(needs=frozenset({"tools"})))
    assert call.explain()[0].obstacles == {"west/a": None}
