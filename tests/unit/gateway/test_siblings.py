"""How the pages of workers become one."""

from smalt.gateway.siblings import by_worker, summed, worst_health

OK = {"status": "ok", "models_without_upstream": []}
DEGRADED = {"status": "degraded", "models_without_upstream": []}
UNAVAILABLE = {"status": "unavailable", "models_without_upstream": ["gpt-4o"]}


def test_health_is_that_of_the_worst() -> None:
    """Its whole page, and how each of them is."""
    assert worst_health({1: OK, 2: UNAVAILABLE, 3: DEGRADED}) == {
        **UNAVAILABLE,
        "workers": {"1": "ok", "2": "unavailable", "3": "degraded"},
    }


def test_a_silent_worker_degrades() -> None:
    """It is named; what is worse already stays so."""
    silent = {"1": "ok", "2": "no answer"}
    assert worst_health({1: OK, 2: None}) == {**OK, "status": "degraded", "workers": silent}
    assert worst_health({1: UNAVAILABLE, 2: None})["status"] == "unavailable"


def test_usage_is_added_up() -> None:
    """Numbers and amounts by their place, rows that only one has as they are; no float touches the cost."""
    row = {"calls": 2, "cost_usd": "0.1", "ptu_hours": None, "ptu_used": None}
    ptu = {"calls": 1, "cost_usd": "0", "ptu_hours": 3.5, "ptu_used": 0.25}
    told = {
        1: {"errors": 1, "models": {"a": row}, "upstreams": {"p": ptu}},
        2: {"errors": 2, "models": {"a": {**row, "cost_usd": "0.2"}, "b": row}, "upstreams": {"p": ptu}},
    }
    assert summed(told) == {
        "errors": 3,
        "models": {"a": {**row, "calls": 4, "cost_usd": "0.3"}, "b": row},
        "upstreams": {"p": {"calls": 2, "cost_usd": "0", "ptu_hours": 3.5, "ptu_used": 0.5}},
    }


def test_usage_without_a_silent_worker() -> None:
    """What it has is missing, and the page says so."""
    assert summed({1: {"errors": 1}, 2: None}) == {"errors": 1, "silent_workers": [2]}


def test_upstreams_are_told_by_worker() -> None:
    """Each has its own view of them."""
    assert by_worker({1: [{"name": "east/a", "state": "cooling"}], 2: None}) == [
        {"worker": 1, "name": "east/a", "state": "cooling"},
        {"worker": 2, "state": "no answer"},
    ]
