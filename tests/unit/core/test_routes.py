import pytest
from tests.unit.core.builders import NEVER, facts, state

from smalt.core.estimate import TokenEstimate
from smalt.core.routes import Route, best_pattern, matches, pattern_route, route, single
from smalt.core.settings import PatternSpec, PoolSpec, QuotaGroup, RouteSpec
from smalt.core.strategies import LeastLoaded, RoundRobin, Weighted
from smalt.core.upstream import UpstreamState
from smalt.errors import InvalidRequest, UnsupportedOperation, UpstreamError
from smalt.types import Facts, Operation

TOOLS = frozenset({"tools"})
BOTH = frozenset({"tools", "vision"})


def make(*states: UpstreamState, needs: frozenset[str] = frozenset()) -> Route:
    """One tier for each."""
    pool = PoolSpec(tuple((state.spec.name,) for state in states))
    spec = RouteSpec("gpt-4o", (pool,), needs)
    return route(spec, {state.spec.name: state for state in states}, TokenEstimate())


def names(made: Route, asked: Facts | None = None) -> list[list[str]]:
    tiers = made.tiers if asked is None else made.eligible(asked)
    return [[state.spec.name for state in tier.states] for tier in tiers]


def test_a_route_is_the_tiers_of_its_pools() -> None:
    """Those of the model first, then those of its fallbacks, each with the strategy of its pool."""
    states = {name: state(name) for name in ("east/a", "west/a", "north/a", "east/b")}
    own = PoolSpec((("east/a", "west/a"), ("north/a",)), "round_robin")
    fallback = PoolSpec((("east/b",),), "weighted")
    made = route(RouteSpec("gpt-4o", (own, fallback)), states, TokenEstimate())
    assert names(made) == [["east/a", "west/a"], ["north/a"], ["east/b"]]
    assert [type(tier.strategy) for tier in made.tiers] == [RoundRobin, RoundRobin, Weighted]


def test_every_tier_has_a_strategy_of_its_own() -> None:
    """What one remembers does not disturb the other."""
    made = make(state("east/a"), state("west/a"))
    assert made.tiers[0].strategy is not made.tiers[1].strategy


def test_an_upstream_serves_where_it_is_named_first() -> None:
    """A fallback that shares upstreams with the model adds only the others; an empty tier is none."""
    states = {name: state(name) for name in ("east/a", "west/a")}
    pools = PoolSpec((("east/a",), ())), PoolSpec((("east/a",), ("west/a", "east/a")))
    assert names(route(RouteSpec("m", pools), states, TokenEstimate())) == [["east/a"], ["west/a"]]


def test_a_route_knows_its_smallest_window_and_quota() -> None:
    """Of the known ones, shared quotas among them, so that an ordinary request needs no look at each."""
    made = make(
        state("east/a", context_tokens=128_000, limit_tpm=500),
        state("west/a", context_tokens=8_192, group=QuotaGroup("shared", 300)),
        state("north/a", limit_tpm=400, group=QuotaGroup("large", 900)),
    )
    assert (made.smallest_context, made.smallest_quota) == (8_192, 300)


def test_a_route_knows_the_largest_request_it_can_take() -> None:
    """By the upstream with most tokens a minute, which the smaller of its own and its shared quota gives."""
    small = state("east/a", limit_tpm=500)
    shared = state("west/a", limit_tpm=900, group=QuotaGroup("shared", 300))
    assert make(shared, small).largest_quota == 500
    assert make(shared).largest_quota == 300
    assert make(small, state("north/a")).largest_quota == NEVER


def test_what_is_not_known_is_not_small() -> None:
    """Neither a window nor a limit."""
    made = make(state("east/a"))
    assert (made.smallest_context, made.smallest_quota) == (NEVER, NEVER)


def test_an_ordinary_request_may_go_everywhere() -> None:
    """All tiers, and no copy of them."""
    made = make(state("east/a", abilities=frozenset()), state("west/a"))
    assert made.eligible(facts()) is made.tiers


def test_only_who_has_the_abilities_is_eligible() -> None:
    """What is not known of a model is taken to be there; a tier without anybody is left out."""
    made = make(state("east/a", abilities=TOOLS), state("west/a", abilities=BOTH), state("north/a"))
    assert names(made, facts(needs=TOOLS)) == [["east/a"], ["west/a"], ["north/a"]]
    assert names(made, facts(needs=BOTH)) == [["west/a"], ["north/a"]]


def test_a_route_may_need_abilities_itself() -> None:
    """Those of every request come on top."""
    made = make(state("east/a", abilities=TOOLS), state("west/a", abilities=BOTH), needs=TOOLS)
    assert names(made, facts()) == [["east/a"], ["west/a"]]
    assert names(made, facts(needs=frozenset({"vision"}))) == [["west/a"]]


def test_a_request_that_nobody_can_serve_is_refused() -> None:
    """The error says what it needs."""
    made = make(state("east/a", abilities=frozenset()))
    with pytest.raises(InvalidRequest, match=r"^no upstream of 'gpt-4o' can serve tools, vision$"):
        made.eligible(facts(needs=BOTH))


def test_ids_lead_to_the_resource_they_belong_to() -> None:
    """All its deployments of the model, and nobody else."""
    made = make(state("east/a"), state("west/a"), state("east/b"))
    assert names(made, facts(resource="east")) == [["east/a"], ["east/b"]]


def test_ids_and_abilities_count_together() -> None:
    """The resource must have a deployment that can."""
    made = make(state("east/a", abilities=frozenset()), state("east/b"), state("west/a"))
    assert names(made, facts(resource="east", needs=TOOLS)) == [["east/b"]]


def test_ids_of_a_resource_that_does_not_serve_the_model() -> None:
    """No other resource knows them, so nobody is asked."""
    with pytest.raises(UpstreamError, match="belong to the resource 'north', which does not serve 'gpt-4o'"):
        make(state("east/a")).eligible(facts(resource="north"))


def test_ids_of_an_unknown_resource_need_a_route_of_one() -> None:
    """With one resource left there is nothing to choose, be it by abilities or by the route."""
    made = make(state("east/a"), state("west/a", abilities=frozenset()), state("east/b"))
    assert names(made, facts(bound=True, needs=TOOLS)) == [["east/a"], ["east/b"]]
    assert names(make(state("east/a")), facts(bound=True)) == [["east/a"]]
    assert names(made, facts(bound=True, resource="west")) == [["west/a"]]
    with pytest.raises(UnsupportedOperation, match=r"'gpt-4o' is served by several: east, west$") as caught:
        made.eligible(facts(bound=True))
    assert '"store": false' in caught.value.resolution[0]


def test_the_strategy_is_the_same_for_what_is_left_of_a_tier() -> None:
    """It remembers over all requests."""
    made = make(state("east/a", abilities=TOOLS))
    assert made.eligible(facts(needs=TOOLS))[0].strategy is made.tiers[0].strategy


@pytest.mark.parametrize("used", ["in_flight", "waiting"])
def test_a_route_is_busy_while_somebody_uses_it(used: str) -> None:
    """A call in flight, or one that waits."""
    east, west = state("east/a"), state("west/a")
    made = make(east, west)
    assert not made.busy
    setattr(west, used, 1)
    assert made.busy


@pytest.mark.parametrize(
    ("pattern", "model", "expected"),
    [
        ("gpt-*", "gpt-4o", True),
        ("gpt-*", "gpt-", True),
        ("gpt-*", "o3", False),
        ("gpt-*", "my-gpt-4o", False),
        ("*-mini", "gpt-4o-mini", True),
        ("*-mini", "gpt-4o-mini-2", False),
        ("gpt-*-mini", "gpt-4o-mini", True),
        ("gpt-*-mini", "gpt-mini", False),
        ("*", "anything/at all\n", True),
        ("gpt-4.1*", "gpt-401", False),
        ("gpt-4?", "gpt-4o", False),
        ("gpt-[4]*", "gpt-4o", False),
        ("gpt-*", "GPT-4o", False),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, model: str, expected: bool) -> None:
    """Nothing else is special."""
    assert matches(pattern, model) is expected


def test_the_most_exact_pattern_wins() -> None:
    """The one with the most letters of its own; of equal ones the first."""
    patterns = [PatternSpec(text, ()) for text in ("*", "gpt-*", "*gpt-", "gpt-4*", "*4o**")]
    assert best_pattern(tuple(patterns), "gpt-4o") == patterns[3]
    assert best_pattern(tuple(patterns), "gpt-") == patterns[1]
    assert best_pattern(tuple(patterns), "o3") == patterns[0]


def test_a_name_may_match_no_pattern() -> None:
    """Then there is none."""
    assert best_pattern((PatternSpec("gpt-*", ()),), "o3") is None


def test_a_pattern_leads_to_the_deployment_of_the_asked_name() -> None:
    """On each of its resources; an upstream among them stands for itself."""
    spec = PatternSpec("gpt-*", (("east", "west"), ("proxy/azure/any",)), "round_robin")
    made = pattern_route(spec, "gpt-5", state, TokenEstimate())
    assert names(made) == [["east/gpt-5", "west/gpt-5"], ["proxy/azure/any"]]
    assert made.model == "gpt-5"
    assert isinstance(made.tiers[0].strategy, RoundRobin)


def test_a_route_to_one_upstream() -> None:
    """And nobody else."""
    made = single(state("east/a"), TokenEstimate())
    assert names(made) == [["east/a"]]
    assert made.model == "gpt-4o"
    assert isinstance(made.tiers[0].strategy, LeastLoaded)


def test_a_request_tells_its_operation() -> None:
    """Routes serve every operation alike."""
    made = make(state("east/a"))
    assert names(made, Facts(Operation.EMBEDDINGS, "gpt-4o")) == [["east/a"]]
