"""Which parameters are filled in for which name."""

from tests.unit.config.build import resource, settings

from smalt.config.defaults import defaults

EAST = resource({"d": "m", "o": "other", "n": "n"})
COOL = {"defaults": {"temperature": 0.2, "max_tokens": 800}}


def test_a_model_and_every_name_of_its_deployments() -> None:
    """However it is asked for; what has none is left out."""
    cool = {"temperature": 0.2, "max_tokens": 800}
    found = defaults(settings({"e": EAST}, models={"m": COOL, "n": {"strategy": "random"}}))
    assert found == {"m": cool, "azure/d": cool, "d": cool}


def test_an_agent_comes_before_its_model() -> None:
    """Parameter by parameter."""
    agents = {
        "warm": {"model": "m", "temperature": 0.9},
        "plain": {"model": "n"},
        "own": {"model": "n", "seed": 1},
    }
    found = defaults(settings({"e": EAST}, models={"m": COOL}, agents=agents))
    assert found["agent/warm"] == {"temperature": 0.9, "max_tokens": 800}
    assert found["agent/own"] == {"seed": 1}
    assert "agent/plain" not in found


def test_zero_is_a_default() -> None:
    """Nothing is absent only if it is not written."""
    assert defaults(settings({"e": EAST}, models={"m": {"defaults": {"temperature": 0}}}))["m"] == {
        "temperature": 0
    }


def test_a_name_that_is_a_model_and_a_deployment() -> None:
    """The model is asked for, whatever deployment has its name; `azure/` names the deployment."""
    east = resource({"n": "m", "x": "n"})
    models = {"m": COOL, "n": {"defaults": {"seed": 1}}}
    found = defaults(settings({"e": east}, models=models))
    assert (found["n"], found["azure/n"]) == ({"seed": 1}, {"temperature": 0.2, "max_tokens": 800})
    assert "n" not in defaults(settings({"e": east}, models={"m": COOL}))
