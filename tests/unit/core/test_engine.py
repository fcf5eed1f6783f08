import pytest
from tests.unit.core.builders import (
    BROKEN,
    QUOTA_7S,
    REFUSED,
    UNREACHED,
    answer_once,
    fail_once,
    failed,
    make_engine,
    open_call,
    sent,
    sent_to,
    spec,
    spent,
    status,
)
from tests.unit.core.builders import facts as request

from smalt.core import engine as engine_module
from smalt.core.call import Fail, Send, Wait
from smalt.core.engine import Engine
from smalt.core.settings import (
    BreakerSpec,
    EngineSettings,
    PatternSpec,
    PoolSpec,
    QuotaGroup,
    RetrySpec,
    RouteSpec,
    Throughput,
    UpstreamSpec,
)
from smalt.errors import InvalidRequest, ModelNotAvailableError
from smalt.types import Facts, NoticeKind, Operation, Usage


def fleet(default_resource: str | None = None, patterns: tuple[PatternSpec, ...] = ()) -> Engine:
    names = ("east/chat", "west/chat", "east/solo")
    return Engine(
        EngineSettings(
            upstreams={name: UpstreamSpec(name, "gpt-4o", region="eastus") for name in names},
            routes={
                "gpt-4o": RouteSpec("gpt-4o", (PoolSpec((("east/chat",), ("west/chat",))),)),
                "azure/solo": RouteSpec("azure/solo", (PoolSpec((("east/solo",),)),)),
                "nobody": RouteSpec("nobody", (PoolSpec(((),)),)),
            },
            patterns=patterns,
            default_resource=default_resource,
        )
    )


def facts(model: str, *, names_deployment: bool = False) -> Facts:
    return Facts(Operation.CHAT, model, names_deployment=names_deployment)


def has_news(engine: Engine) -> bool:
    return bool(engine.notices or engine.line.to_wake)


def names(engine: Engine) -> list[str]:
    return [status.name for status in engine.status(0)]


def test_a_model_leads_to_its_route() -> None:
    """A configured model is served by the first tier of its route."""
    assert answer_once(fleet(), 0, facts("gpt-4o")) == "east/chat"


def test_a_deployment_is_found_without_its_prefix() -> None:
    """`solo` means `azure/solo` when only that is configured."""
    assert answer_once(fleet(), 0, facts("solo")) == "east/solo"
    assert answer_once(fleet(), 0, facts("azure/solo")) == "east/solo"


def test_req_1_2_names_are_case_sensitive() -> None:
    """`GPT-4o` is another model than `gpt-4o`."""
    with pytest.raises(ModelNotAvailableError):
        open_call(fleet(), facts("GPT-4o"))


def test_req_1_2_deployments_that_differ_in_case_are_two_upstreams() -> None:
    """Unlisted deployments keep the exact name the caller gave."""
    engine = fleet("east")
    assert answer_once(engine, 0, facts("azure/Chat")) == "east/Chat"
    assert answer_once(engine, 0, facts("azure/chat")) == "east/chat"


@pytest.mark.parametrize("model", ["gpt-9", "nobody"])
def test_an_unknown_model_is_refused(model: str) -> None:
    """So is one whose route has no upstreams; the error names it."""
    with pytest.raises(ModelNotAvailableError, match=model):
        open_call(fleet("east"), facts(model))


def test_what_nobody_can_do_is_refused_at_once() -> None:
    """Before a call begins."""
    engine = make_engine(spec("east/a", abilities=frozenset()))
    with pytest.raises(InvalidRequest):
        open_call(engine, request(needs=frozenset({"tools"})))


def test_a_route_may_need_abilities() -> None:
    """An agent that works with tools is not sent to a model without."""
    able, unable = spec("east/a", abilities=frozenset()), spec("west/a", abilities=frozenset({"tools"}))
    assert answer_once(make_engine((able, unable), needs=frozenset({"tools"})), 0) == "west/a"


@pytest.mark.parametrize(
    "asked",
    [facts("azure/new"), facts("new", names_deployment=True), facts("azure/new", names_deployment=True)],
)
def test_an_unlisted_deployment_is_asked_of_the_default_resource(asked: Facts) -> None:
    """A name that can only be a deployment's goes to the default resource."""
    engine = fleet("west")
    call = sent(engine, 0, asked)
    call.record(None, 0)
    assert call.answered_by == UpstreamSpec("west/new", "new")
    assert names(engine)[-1] == "west/new"


def test_the_prefix_is_taken_off_once() -> None:
    """What follows is the deployment's name, whatever it looks like."""
    assert answer_once(fleet("west"), 0, facts("azure/azure/new")) == "west/azure/new"


def test_a_configured_deployment_of_the_default_resource_is_known() -> None:
    """Its limits and its health hold there, too."""
    engine = fleet("west")
    fail_once(engine, QUOTA_7S, 0, facts("azure/chat"))
    assert status(engine, "west/chat").state == "cooling"


def test_a_plain_model_name_is_no_deployment() -> None:
    """On the OpenAI surface an unknown name is not tried as a deployment, also after somebody else has."""
    engine = fleet("west")
    answer_once(engine, 0, facts("new", names_deployment=True))
    with pytest.raises(ModelNotAvailableError):
        open_call(engine, facts("new"))


@pytest.mark.parametrize("name", ["", ".", "..", "azure/", "azure/..", "azure/."])
def test_names_that_cannot_be_deployments_are_refused(name: str) -> None:
    """An empty name or one of dots never reaches a path, neither by default nor by a pattern."""
    for engine in (fleet("west"), fleet(patterns=(PatternSpec("*", (("west",),)),))):
        with pytest.raises(ModelNotAvailableError):
            open_call(engine, facts(name.removeprefix("azure/"), names_deployment=True))
    with pytest.raises(ModelNotAvailableError):
        open_call(fleet("west"), facts(name))


def test_an_unlisted_deployment_keeps_its_state() -> None:
    """Two calls to the same unlisted deployment share one upstream, by whatever name it was reached."""
    engine = fleet("west")
    for asked in (facts("azure/new"), facts("new", names_deployment=True), facts("azure/new")):
        sent(engine, 0, asked)
    assert status(engine, "west/new").in_flight == 3
    assert names(engine).count("west/new") == 1


def test_an_unlisted_deployment_learns_how_long_its_prompts_are() -> None:
    """Its route is made once."""
    engine, asked = fleet("west"), Facts(Operation.CHAT, "azure/new", prompt_bytes=1_000)
    answer_once(engine, 0, asked, usage=Usage(1_000))
    assert open_call(engine, asked).load.input_tokens == 288


def test_req_2_12_a_pattern_makes_a_route() -> None:
    """`gpt-*` serves `gpt-5` from the deployment of that name on its resources."""
    engine = fleet(patterns=(PatternSpec("gpt-*", (("east",), ("west",))),))
    call = sent(engine, 0, facts("gpt-5"))
    call.record(BROKEN, 0)
    assert sent_to(call.next(0)) == "west/gpt-5"
    assert [status.model for status in engine.status(0)][-2:] == ["gpt-5", "gpt-5"]


def test_req_2_12_exact_names_beat_patterns() -> None:
    """A configured model and a configured deployment keep their routes."""
    engine = fleet(patterns=(PatternSpec("*", (("north",),)),))
    assert answer_once(engine, 0, facts("gpt-4o")) == "east/chat"
    assert answer_once(engine, 0, facts("solo")) == "east/solo"
    assert answer_once(engine, 0, facts("gpt-4o-mini")) == "north/gpt-4o-mini"


def test_patterns_beat_the_default_resource() -> None:
    """What is configured counts before what is only tried."""
    engine = fleet("west", patterns=(PatternSpec("gpt-*", (("east",),)),))
    assert answer_once(engine, 0, facts("gpt-5", names_deployment=True)) == "east/gpt-5"
    assert answer_once(engine, 0, facts("o3", names_deployment=True)) == "west/o3"


def test_names_that_nobody_uses_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers cannot fill the memory with invented names; those in use and the newest one stay."""
    monkeypatch.setattr(engine_module, "MAX_UNLISTED", 2)
    engine = fleet("west")
    busy = sent(engine, 0, facts("azure/one"))
    answer_once(engine, 0, facts("azure/two"))
    answer_once(engine, 0, facts("azure/three"))
    assert names(engine) == ["east/chat", "west/chat", "east/solo", "west/one", "west/three"]
    busy.abandon(0)
    answer_once(engine, 0, facts("azure/four"))
    assert names(engine)[3:] == ["west/four"]


def test_a_known_name_makes_nobody_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a new one needs room."""
    monkeypatch.setattr(engine_module, "MAX_UNLISTED", 2)
    engine = fleet("west")
    for name in ("one", "two", "one", "two"):
        answer_once(engine, 0, facts(f"azure/{name}"))
    assert names(engine)[3:] == ["west/one", "west/two"]


def test_what_is_forgotten_is_forgotten_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, it begins anew, as a sibling of its resource like the first time."""
    monkeypatch.setattr(engine_module, "MAX_UNLISTED", 1)
    engine = fleet("west")
    fail_once(engine, QUOTA_7S, 0, facts("azure/one"))
    answer_once(engine, 0, facts("azure/two"))
    assert answer_once(engine, 0, facts("azure/one")) == "west/one"
    fail_once(engine, UNREACHED, 0, facts("azure/one"))
    resting = [status.name for status in engine.status(0) if not status.available]
    assert resting == ["west/chat", "west/one"]


def test_a_refused_key_reaches_unlisted_siblings() -> None:
    """An unlisted deployment rests with the resource it belongs to."""
    engine = fleet("west")
    answer_once(engine, 0, facts("azure/new"))
    fail_once(engine, REFUSED, 0, facts("azure/other"))
    resting = {status.name for status in engine.status(0) if not status.available}
    assert resting == {"west/chat", "west/new", "west/other"}


def test_models_are_listed_as_configured() -> None:
    """The list of models keeps the order of the configuration."""
    assert fleet().models == ("gpt-4o", "azure/solo", "nobody")


def test_a_model_is_unavailable_when_all_its_upstreams_rest() -> None:
    """A model stays available as long as one upstream is healthy."""
    engine = fleet()
    assert engine.unavailable_models(0) == ("nobody",)
    call = failed(engine, QUOTA_7S, 0, facts("gpt-4o"))
    assert engine.unavailable_models(0) == ("nobody",)
    call.next(0)
    call.record(QUOTA_7S, 0)
    assert engine.unavailable_models(6) == ("gpt-4o", "nobody")
    assert engine.unavailable_models(7) == ("nobody",)


def test_models_learn_apart() -> None:
    """How many tokens a prompt has depends on the model; routes of one model learn together."""
    specs = {name: UpstreamSpec(name, name[-1]) for name in ("east/a", "east/b")}
    routes = {
        route: RouteSpec(model, (PoolSpec(((f"east/{model}",),)),))
        for route, model in (("a", "a"), ("agent/a", "a"), ("b", "b"))
    }
    engine = Engine(EngineSettings(specs, routes))

    def asked(model: str) -> Facts:
        return Facts(Operation.CHAT, model, prompt_bytes=1_000)

    answer_once(engine, 0, asked("a"), usage=Usage(1_000))
    tokens = [open_call(engine, asked(model)).load.input_tokens for model in ("a", "agent/a", "b")]
    assert tokens == [288, 288, 251]


def test_news_are_told_once() -> None:
    """What has happened, and who should be woken."""
    engine = make_engine("east/a", breaker=BreakerSpec(failures=1))
    assert not has_news(engine)
    fail_once(engine, BROKEN, 0)
    assert has_news(engine)
    assert [notice.kind for notice in engine.take_notices()] == [NoticeKind.BREAKER_OPENED]
    assert not has_news(engine)
    assert engine.take_notices() == []


def test_wakes_are_told_once() -> None:
    """The engine wakes nobody itself: that happens outside of its lock."""
    engine = make_engine(spec("east/a", throughput=Throughput(60, 1.0)))
    first = sent(engine, 0)
    woken: list[str] = []
    waiting = open_call(engine, wake=lambda: woken.append("waiting"))
    assert isinstance(waiting.next(0), Wait)
    assert not has_news(engine)
    first.record(None, 1)
    first.finish(Usage(1), 1)
    assert has_news(engine)
    for wake in engine.take_wakes():
        wake()
    assert (set(woken), has_news(engine), engine.take_wakes()) == ({"waiting"}, False, [])


def test_a_new_engine_knows_what_the_old_one_knew() -> None:
    """Rests and quotas outlive a change of the settings."""
    old = make_engine(spec("east/a", limit_tpm=1_000), "west/a")
    answer_once(old, 0)
    fail_once(old, QUOTA_7S, 0)
    new = make_engine("west/a", spec("east/a", limit_tpm=1_000), registry=old.registry)
    assert (status(new).state, spent(new)) == ("cooling", 200)
    assert new.registry is old.registry


def test_a_changed_quota_keeps_the_health() -> None:
    """The minute begins anew, the rest goes on."""
    old = make_engine(spec("east/a", limit_tpm=1_000))
    fail_once(old, QUOTA_7S, 0)
    new = make_engine(spec("east/a", limit_tpm=2_000), registry=old.registry)
    assert (status(new).state, status(new).rests_for_s, spent(new)) == ("cooling", 7, 0)


def test_a_changed_weight_keeps_the_quota() -> None:
    """Everything but the setting that changed is as before."""
    old = make_engine(spec("east/a", limit_tpm=1_000))
    answer_once(old, 0)
    new = make_engine(spec("east/a", limit_tpm=1_000, weight=3), registry=old.registry)
    assert spent(new) == 100


@pytest.mark.parametrize("changed", [{}, {"weight": 3}])
def test_a_changed_breaker_counts_at_once(changed: dict[str, int]) -> None:
    """For upstreams that are known already, changed themselves or not."""
    old = make_engine("east/a")
    fail_once(old, BROKEN, 0)
    breaker = BreakerSpec(failures=2, open_s=9)
    new = make_engine(spec("east/a", **changed), registry=old.registry, breaker=breaker)
    fail_once(new, BROKEN, 1)
    assert (status(new, now=1).state, status(new, now=1).rests_for_s) == ("open", 9)


def test_one_deployment_under_two_names_is_one() -> None:
    """The same address: one rest and one quota."""
    east, alias = (
        spec("east/a", limit_tpm=1_000, address="https://e/a"),
        spec("alias/a", limit_tpm=1_000, address="https://e/a"),
    )
    engine = make_engine((east, alias))
    answer_once(engine, 0)
    assert (spent(engine, "east/a"), spent(engine, "alias/a")) == (100, 100)
    fail_once(engine, QUOTA_7S, 0)
    assert [status.state for status in engine.status(0)] == ["cooling", "cooling"]


def test_two_deployments_of_one_name_are_two() -> None:
    """Another address is another deployment, also when the settings change."""
    old = make_engine(spec("east/a", address="https://one/a"))
    fail_once(old, QUOTA_7S, 0)
    new = make_engine(spec("east/a", address="https://two/a"), registry=old.registry)
    assert status(new).available


def test_deployments_may_share_a_quota() -> None:
    """What one spends the other has not."""
    group = QuotaGroup("contoso-eastus-gpt-4o", 150)
    engine = make_engine((spec("east/a", group=group), spec("east/b", group=group), spec("west/a")))
    answer_once(engine, 0)
    assert {answer_once(engine, 0) for _ in range(5)} == {"west/a"}
    assert status(engine, "east/b").share == pytest.approx(100 / 150)


def test_another_limit_is_another_shared_quota() -> None:
    """It begins anew when its size changes, and lives on when it does not."""
    group = QuotaGroup("shared", 150)
    old = make_engine(spec("east/a", group=group))
    answer_once(old, 0)
    same = make_engine(spec("east/a", group=group, weight=2), registry=old.registry)
    assert status(same).share == pytest.approx(100 / 150)
    larger = make_engine(spec("east/a", group=QuotaGroup("shared", 300)), registry=old.registry)
    assert status(larger).share == pytest.approx(100 / 120_000)  # what its own quota remembers


def test_a_quota_is_charged_by_azures_rule() -> None:
    """Where prompts turned out to have fewer tokens, too: Azure counts characters."""
    engine = make_engine(spec("east/a", limit_tpm=1_000_000))
    for _ in range(100):
        answer_once(engine, 0, request(1_000, max_tokens=0), usage=Usage(500))
    assert open_call(engine, request(1_000)).load.input_tokens == pytest.approx(500, rel=0.01)
    answer_once(engine, 100, request(1_000, max_tokens=0))
    assert spent(engine, now=100) == 984


def test_max_tokens_are_what_may_be_answered() -> None:
    """Charged with the prompt; without a word of the caller as much as Microsoft's simulator charges."""
    engine = make_engine(spec("east/a", limit_tpm=10_000))
    answer_once(engine, 0, request(100, max_tokens=500))
    assert spent(engine) == 84 + 500
    answer_once(engine, 0, request(100))
    assert spent(engine) == 84 + 500 + 100
    answer_once(engine, 0, request(100, max_tokens=0))
    assert spent(engine) == 84 + 500 + 100 + 84


UNREACHABLE = "connection refused"


def test_a_resource_is_heard_when_an_upstream_of_it_answers_a_call() -> None:
    """By any of them; refusals do not count."""
    engine = fleet()
    assert engine.heard_s("east") == engine.heard_s("unheard-of") == -float("inf")
    answer_once(engine, 5, facts("gpt-4o"))
    answer_once(engine, 9, facts("azure/solo"))
    fail_once(engine, BROKEN, 20, facts("gpt-4o"))
    assert (engine.heard_s("east"), engine.heard_s("west")) == (9, -float("inf"))


def test_a_probe_that_fails_turns_calls_to_others() -> None:
    """From all upstreams of the resource, before any call has met the fault; a probe that is answered turns
    them back."""
    engine = fleet()
    engine.probed("east", UNREACHABLE, 0, rest_s=60)
    assert answer_once(engine, 1, facts("gpt-4o")) == "west/chat"
    assert status(engine, "east/solo").state == "flagged"
    assert status(engine, "east/solo").reason == UNREACHABLE
    engine.probed("east", None, 2, rest_s=60)
    assert answer_once(engine, 3, facts("gpt-4o")) == "east/chat"


def test_a_probe_that_fails_is_not_the_last_word() -> None:
    """Who has nobody else is asked all the same, and an answer proves the probe wrong."""
    engine = fleet()
    engine.probed("east", UNREACHABLE, 0, rest_s=60)
    assert "azure/solo" in engine.unavailable_models(0)
    assert answer_once(engine, 1, facts("azure/solo")) == "east/solo"
    assert "azure/solo" not in engine.unavailable_models(1)


def test_a_call_without_anybody_else_does_not_wait_for_what_a_probe_has_missed() -> None:
    """It is asked once more, and if that fails the caller is told at once."""
    engine = fleet()
    engine.probed("east", UNREACHABLE, 0, rest_s=60)
    call = open_call(engine, facts("azure/solo"))
    assert sent_to(call.next(1)) == "east/solo"
    call.record(UNREACHED, 1)
    assert isinstance(call.next(1), Fail)


def test_probes_are_told_when_they_change_their_mind() -> None:
    """Once, of the resource; one that has no upstreams says nothing."""
    engine = fleet()
    engine.probed("nobody", UNREACHABLE, 0, rest_s=60)
    for now, trouble in ((0, None), (1, UNREACHABLE), (31, UNREACHABLE), (61, None), (91, None)):
        engine.probed("east", trouble, now, rest_s=60)
    told = [(notice.kind, notice.upstream, notice.text) for notice in engine.take_notices()]
    assert told == [
        (NoticeKind.PROBE_FAILED, "east", "a probe failed: connection refused"),
        (NoticeKind.PROBE_ANSWERED, "east", "a probe was answered again"),
    ]


def test_a_probe_that_is_answered_wakes_who_waits() -> None:
    """A cooldown of calls is over by then, and nobody would look again."""
    engine = make_engine("east/a")
    fail_once(engine, QUOTA_7S, 0)
    woken: list[bool] = []
    call = engine.open_call(request(), unit=0, deadline_s=60, wake=lambda: woken.append(True))
    assert isinstance(call.next(1), Wait)
    engine.probed("east", None, 8, rest_s=60)
    for wake in engine.take_wakes():
        wake()
    assert woken == [True]
    assert sent_to(call.next(8)) == "east/a"


def test_an_engine_apart() -> None:
    """It knows one upstream, repeats as the one it came from, and neither sees what happens to the other."""
    engine = make_engine("east/a", retry=RetrySpec(max_attempts=2))
    theirs = "brought:contoso/a"
    apart = engine.apart(UpstreamSpec(theirs, "a"))
    assert apart.models == ("a",)
    assert [one.name for one in engine.status(0.0)] == ["east/a"]
    with pytest.raises(ModelNotAvailableError):
        apart.route(facts("gpt-4o"))
    call = apart.open_call(facts("a"), unit=0.0, deadline_s=100.0)
    assert call.next(0.0) == Send(theirs, 1, 2)
    call.record(QUOTA_7S, 0.0)
    assert [one.state for one in apart.status(0.0)] == ["cooling"]
    assert status(engine).state == "available"
