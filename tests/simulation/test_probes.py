"""Resources that nobody calls are asked whether they are there: a loss costs the next caller nothing."""

import pytest
from tests.simulation.azure import CONNECT_TIMEOUT_S, MODEL, Deployment, standard
from tests.simulation.fleet import Fleet, Outcome
from tests.simulation.traffic import request
from tests.simulation.world import World

from smalt.dispatch.probing import Silence
from smalt.types import FailureKind

TPM = 200_000
EVERY_S = 30.0
NOTICED_S = EVERY_S + CONNECT_TIMEOUT_S  # which a probe takes itself, at most
LOST_S, BACK_S, END_S = 600.0, 2_400.0, 3_000.0
CALL_EVERY_S = 97.0  # longer than the upstream rests after a failure: each call would try it again
WAYS_TO_BE_LOST = [FailureKind.CONNECT, FailureKind.TIMEOUT, FailureKind.SERVER]


class Prober:
    """As the gateway has it, in this world. `asked_s`: when each resource was, by name."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._silence = Silence()
        self._by_resource = {
            name.partition("/")[0]: one
            for name, one in fleet.upstreams.items()
            if isinstance(one, Deployment)
        }
        self.asked_s: dict[str, list[float]] = {name: [] for name in self._by_resource}
        for second in range(int(END_S)):
            fleet.world.at(float(second), self._look)

    def _look(self) -> None:
        world, engine = self._fleet.world, self._fleet.engine
        heard_s = {name: engine.heard_s(name) for name in self._by_resource}
        for name in self._silence.too_long(heard_s, EVERY_S, world.now, world.chance.random):
            self.asked_s[name].append(world.now)
            how = self._by_resource[name].lost
            answers_after_s = CONNECT_TIMEOUT_S if how is FailureKind.TIMEOUT else 0.05
            world.after(answers_after_s, self._tell, name, None if how is None else str(how))

    def _tell(self, name: str, trouble: str | None) -> None:
        now, engine = self._fleet.world.now, self._fleet.engine
        self._fleet.do(lambda: engine.probed(name, trouble, now, rest_s=NOTICED_S))


def lose(world: World, one: Deployment, how: FailureKind) -> None:
    world.at(LOST_S, one.lose, how)
    world.at(BACK_S, one.recover)


def calls(fleet: Fleet, every_s: float) -> None:
    for number in range(1, int(END_S / every_s)):
        fleet.world.at(number * every_s, lambda: fleet.call(request(500)))


def between(fleet: Fleet, begin_s: float, end_s: float) -> list[Outcome]:
    return [outcome for outcome in fleet.outcomes if begin_s <= outcome.opened_s < end_s]


@pytest.mark.parametrize("how", WAYS_TO_BE_LOST)
@pytest.mark.parametrize("probes", [True, False])
def test_calls_do_not_meet_what_a_probe_has_found(how: FailureKind, probes: bool) -> None:
    """An interval after the loss of the first region each call has one attempt; without probes nearly each
    has two, or waits for a connection. An interval after its return it serves again."""
    world = World(1)
    east, west = standard(world, "east/gpt-4o", TPM), standard(world, "west/gpt-4o", TPM)
    fleet = Fleet(world, [east], [west])
    prober = Prober(fleet) if probes else None
    lose(world, east, how)
    calls(fleet, CALL_EVERY_S)
    world.run()

    assert all(outcome.error is None for outcome in fleet.outcomes)
    meanwhile = between(fleet, LOST_S + NOTICED_S, BACK_S)
    assert len(meanwhile) > 15
    failed = sum(len(outcome.sent_s) > 1 for outcome in meanwhile)
    assert failed == 0 if probes else failed > 0.9 * len(meanwhile)
    if prober is not None:
        after = between(fleet, BACK_S + NOTICED_S, END_S)
        assert {outcome.upstream for outcome in after} == {"east/gpt-4o"}
        assert END_S / EVERY_S / 2 < len(prober.asked_s["west"]) < 2 * END_S / EVERY_S


def test_a_region_at_work_is_not_asked() -> None:
    """Its answers say enough, also after a loss; the one that is silent is asked."""
    world = World(2)
    east, west = standard(world, "east/gpt-4o", TPM), standard(world, "west/gpt-4o", TPM)
    fleet = Fleet(world, [east], [west])
    prober = Prober(fleet)
    calls(fleet, 10.0)
    world.run()
    assert len(prober.asked_s["east"]) <= 1  # as the last call is long ago
    assert len(prober.asked_s["west"]) > END_S / EVERY_S / 2


@pytest.mark.parametrize("how", WAYS_TO_BE_LOST)
def test_all_lost(how: FailureKind) -> None:
    """It is known within an interval that nobody serves the model, and within another one that somebody
    does. Meanwhile callers are told at once, or after one attempt on each, and never wait for more."""
    world = World(3)
    both = [standard(world, "east/gpt-4o", TPM), standard(world, "west/gpt-4o", TPM)]
    fleet = Fleet(world, both)
    Prober(fleet)
    for one in both:
        lose(world, one, how)
    known: list[tuple[float, bool]] = []

    def look() -> None:
        known.append((world.now, MODEL in fleet.engine.unavailable_models(world.now)))

    for second in range(int(END_S)):
        world.at(second + 0.5, look)
    calls(fleet, CALL_EVERY_S)
    world.run()

    meanwhile = between(fleet, LOST_S + NOTICED_S, BACK_S)
    assert all(outcome.error is not None for outcome in meanwhile)
    assert all(len(outcome.sent_s) <= len(both) for outcome in meanwhile)
    assert all(
        outcome.ended_s - outcome.opened_s <= len(both) * CONNECT_TIMEOUT_S + 1 for outcome in meanwhile
    )
    assert not any(lost for at_s, lost in known if at_s < LOST_S or at_s > BACK_S + NOTICED_S)
    assert all(lost for at_s, lost in known if LOST_S + NOTICED_S < at_s < BACK_S)
    assert all(outcome.error is None for outcome in between(fleet, BACK_S + NOTICED_S, END_S))
