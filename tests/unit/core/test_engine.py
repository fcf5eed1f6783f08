import pytest

from smalt.core import engine as engine_module
from smalt.core.call import Send
from smalt.core.engine import Engine
from smalt.core.settings import EngineSettings, RouteSpec, UpstreamSpec
from smalt.errors import ModelNotAvailableError
from smalt.types import Facts, Failure, FailureKind, Operation


def make_engine(default_resource: str | None = None) -> Engine:
    names = ("east/chat", "west/chat", "east/solo")
    return Engine(
        EngineSettings(
            upstreams={name: UpstreamSpec(name, "gpt-4o", region="eastus") for name in names},
            routes={
                "gpt-4o": RouteSpec("gpt-4o", (("east/chat",), ("west/chat",))),
                "azure/solo": RouteSpec("azure/solo", (("east/solo",),)),
                "nobody": RouteSpec("nobody", ((),)),
            },
            default_resource=default_resource,
        )
    )


def facts(model: str, *, names_deployment: bool = False) -> Facts:
    return Facts(Operation.CHAT, model, names_deployment=names_deployment)


def first_upstream(engine: Engine, asked: Facts) -> str:
    step = engine.open_call(asked, unit=0, deadline_s=10).next(0)
    assert isinstance(step, Send)
    return step.upstream


def test_a_model_leads_to_its_route() -> None:
    """A configured model is served by the first tier of its route."""
    assert first_upstream(make_engine(), facts("gpt-4o")) == "east/chat"


def test_a_deployment_is_found_without_its_prefix() -> None:
    """`solo` means `azure/solo` when only that is configured."""
    assert first_upstream(make_engine(), facts("solo")) == "east/solo"


def test_req_1_2_names_are_case_sensitive() -> None:
    """`GPT-4o` is another model than `gpt-4o`."""
    with pytest.raises(ModelNotAvailableError):
        make_engine().open_call(facts("GPT-4o"), unit=0, deadline_s=10)


def test_req_1_2_deployments_that_differ_in_case_are_two_upstreams() -> None:
    """Unlisted deployments keep the exact name the caller gave."""
    engine = make_engine("east")
    assert first_upstream(engine, facts("azure/Chat")) == "east/Chat"
    assert first_upstream(engine, facts("azure/chat")) == "east/chat"


def test_an_unknown_model_is_refused() -> None:
    """A model without a route is not available, and the error names it."""
    with pytest.raises(ModelNotAvailableError, match="gpt-9"):
        make_engine().open_call(facts("gpt-9"), unit=0, deadline_s=10)


def test_a_route_without_upstreams_is_no_route() -> None:
    """A model whose tiers are empty is not available."""
    with pytest.raises(ModelNotAvailableError):
        make_engine().open_call(facts("nobody"), unit=0, deadline_s=10)


@pytest.mark.parametrize("asked", [facts("azure/new"), facts("new", names_deployment=True)])
def test_an_unlisted_deployment_is_asked_of_the_default_resource(asked: Facts) -> None:
    """A name that can only be a deployment's goes to the default resource."""
    engine = make_engine("west")
    assert first_upstream(engine, asked) == "west/new"
    assert engine.spec("west/new").deployment == "new"


def test_a_plain_model_name_is_no_deployment() -> None:
    """On the OpenAI surface an unknown name is not tried as a deployment."""
    with pytest.raises(ModelNotAvailableError):
        make_engine("west").open_call(facts("new"), unit=0, deadline_s=10)


@pytest.mark.parametrize("name", ["", ".", "..", "azure/", "azure/..", "azure/."])
def test_names_that_cannot_be_deployments_are_refused(name: str) -> None:
    """An empty name or one of dots never reaches a path."""
    with pytest.raises(ModelNotAvailableError):
        make_engine("west").open_call(facts(name, names_deployment=True), unit=0, deadline_s=10)


def test_an_unlisted_deployment_keeps_its_state() -> None:
    """Two calls to the same unlisted deployment share one upstream."""
    engine = make_engine("west")
    for _ in range(2):
        first_upstream(engine, facts("azure/new"))
    assert [(s.name, s.in_flight) for s in engine.status(0)][-1] == ("west/new", 2)


def test_unlisted_deployments_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers cannot fill the memory with invented names; known ones go on."""
    monkeypatch.setattr(engine_module, "MAX_UNLISTED", 2)
    engine = make_engine("west")
    for name in ("azure/one", "azure/two"):
        first_upstream(engine, facts(name))
    with pytest.raises(ModelNotAvailableError, match="too many"):
        engine.open_call(facts("azure/three"), unit=0, deadline_s=10)
    assert first_upstream(engine, facts("azure/two")) == "west/two"


def test_models_are_listed_as_configured() -> None:
    """The list of models keeps the order of the configuration."""
    assert make_engine().models == ("gpt-4o", "azure/solo", "nobody")


def test_status_shows_every_upstream() -> None:
    """Every configured upstream has a line in the status."""
    statuses = make_engine().status(0)
    assert [status.name for status in statuses] == ["east/chat", "west/chat", "east/solo"]
    assert all(status.available for status in statuses)


def test_a_model_is_unavailable_when_all_its_upstreams_rest() -> None:
    """A model stays available as long as one upstream is healthy."""
    engine = make_engine()
    call = engine.open_call(facts("gpt-4o"), unit=0, deadline_s=10)
    call.next(0)
    call.record(Failure(FailureKind.QUOTA, "full", 429), 0)
    assert engine.unavailable_models(0) == ("nobody",)
    call.next(0)
    call.record(Failure(FailureKind.QUOTA, "full", 429), 0)
    assert engine.unavailable_models(0) == ("gpt-4o", "nobody")
    assert engine.unavailable_models(10) == ("nobody",)


def test_a_refused_key_reaches_unlisted_siblings() -> None:
    """An unlisted deployment rests with the resource it belongs to."""
    engine = make_engine("west")
    first_upstream(engine, facts("azure/new"))
    call = engine.open_call(facts("azure/other"), unit=0, deadline_s=10)
    call.next(0)
    call.record(Failure(FailureKind.CREDENTIAL, "refused", 401), 0)
    resting = {status.name for status in engine.status(0) if not status.available}
    assert resting == {"west/chat", "west/new", "west/other"}
