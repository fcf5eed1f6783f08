from smalt.emulator.fleet import default_fleet
from smalt.emulator.quota import Load
from smalt.emulator.world import Resource, Switches, World


def resource() -> Resource:
    return Resource(default_fleet(0, latency_ms=3, token_ms=1).resources["east"])


def test_a_counted_mode_wears_off() -> None:
    """After its number of requests the resource is up again."""
    east = resource()
    east.switches = Switches(0, 0, mode="error", error="server_error", count=2)
    modes = [east.take_mode() for _ in range(3)]
    assert modes == [("error", "server_error"), ("error", "server_error"), ("up", None)]


def test_a_mode_without_count_stays() -> None:
    """Only a count ends a mode by itself."""
    east = resource()
    east.switches = Switches(0, 0, mode="hang")
    assert {east.take_mode() for _ in range(5)} == {("hang", None)}


def test_the_peak_is_the_most_at_once() -> None:
    """Requests count while they last, the peak stays."""
    east = resource()
    with east.busy(), east.busy():
        pass
    with east.busy():
        assert (east.requests, east.in_flight, east.peak_in_flight) == (3, 1, 2)


def test_a_reset_forgets_all_but_what_is_in_flight() -> None:
    """Switches, quotas and counters start anew; a running request still ends properly."""
    world = World(default_fleet(0), seed=0)
    east = world.resources["east"]
    east.switches.mode = "hang"
    east.quotas["gpt-4o-prod"].admit(Load(100_000), world.clock.now())
    with east.busy():
        world.reset()
        assert (east.requests, east.in_flight, east.peak_in_flight) == (0, 1, 1)
    assert (east.switches.mode, east.in_flight) == ("up", 0)
    tokens = east.quotas["gpt-4o-prod"].admit(Load(1), world.clock.now()).tokens
    assert tokens
    assert tokens.remaining == 120_000 - 1
