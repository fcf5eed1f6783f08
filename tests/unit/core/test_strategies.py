from smalt.core.settings import UpstreamSpec
from smalt.core.strategies import LeastLoaded
from smalt.core.upstream import UpstreamState


def state(name: str, charged: int, in_flight: int = 0, limit_tpm: int | None = 1_000) -> UpstreamState:
    made = UpstreamState(UpstreamSpec(name, "gpt-4o", limit_tpm=limit_tpm), in_flight=in_flight)
    made.window.charge(charged, 0)
    return made


def picked(*states: UpstreamState, now: float = 0) -> str:
    return LeastLoaded().pick(states, now).spec.name


def test_the_smallest_share_wins() -> None:
    """The upstream with the smallest share of its minute spent is picked."""
    assert picked(state("east/a", 500), state("west/a", 400)) == "west/a"


def test_a_share_is_relative_to_the_limit() -> None:
    """A large upstream takes more tokens before a small one is preferred."""
    assert picked(state("east/a", 500, limit_tpm=10_000), state("west/a", 400)) == "east/a"


def test_fewer_in_flight_wins_a_draw() -> None:
    """Among equal shares the one with fewer calls in flight is picked."""
    assert picked(state("east/a", 500, in_flight=2), state("west/a", 500, in_flight=1)) == "west/a"


def test_the_earlier_one_wins_a_full_draw() -> None:
    """Otherwise the order of the configuration decides."""
    assert picked(state("east/a", 500), state("west/a", 500)) == "east/a"


def test_a_new_minute_is_empty() -> None:
    """Tokens of the last minute do not count."""
    late = state("west/a", 0)
    late.window.charge(10, 60)
    assert picked(late, state("east/a", 900), now=60) == "east/a"


def test_without_limits_loads_are_compared_too() -> None:
    """Upstreams without a limit share the work by what they were given."""
    assert picked(state("east/a", 500, limit_tpm=None), state("west/a", 400, limit_tpm=None)) == "west/a"
