from typing import Any

import pytest

from smalt.assemble import assemble
from smalt.config import Settings
from smalt.core.settings import UpstreamSpec
from smalt.dispatch.target import Origin, Target, Timeouts
from smalt.types import Facts, Operation, Usage

KEY = "k3y-that-nobody-may-see"


def settings(timeouts: dict[str, float] | None = None, **resource: Any) -> Settings:
    east = {
        "endpoint": "https://east.openai.azure.com",
        "api_keys": [KEY],
        "deployments": {"prod": {"model": "gpt-4o"}},
        **resource,
    }
    return Settings.model_validate({"resources": {"east": east}, "timeouts": timeouts or {}})


def target_of(**resource: Any) -> Target:
    return assemble(settings(**resource)).targets["east"]


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://east.openai.azure.com", Origin("east.openai.azure.com", 443, tls=True)),
        ("https://east.openai.azure.com:8443/", Origin("east.openai.azure.com", 8443, tls=True)),
        ("http://127.0.0.1:9000", Origin("127.0.0.1", 9000, tls=False)),
        ("http://localhost", Origin("localhost", 80, tls=False)),
        ("http://[::1]:9000", Origin("::1", 9000, tls=False)),
    ],
)
def test_where_a_resource_listens(endpoint: str, origin: Origin) -> None:
    """Scheme, host and port of its endpoint, with the scheme's own port."""
    assert target_of(endpoint=endpoint).origin == origin


@pytest.mark.parametrize(
    ("resource", "api"),
    [
        ({}, "classic"),
        ({"api": "classic"}, "classic"),
        ({"api": "v1"}, "v1"),
        ({"api_version": "preview"}, "v1"),
        ({"api_version": "v1"}, "v1"),
        ({"kind": "openai", "endpoint": "https://llm.example/v1"}, "openai"),
    ],
)
def test_which_api_a_resource_speaks(resource: dict[str, Any], api: str) -> None:
    """Azure's classic surface unless told otherwise; other servers always OpenAI's."""
    assert target_of(**resource).api == api


def test_the_path_of_a_compatible_server_is_kept() -> None:
    """Its endpoint says where /chat/completions lies."""
    assert target_of(kind="openai", endpoint="https://llm.example/openai/v1/").base_path == "/openai/v1"


def test_a_target_is_complete() -> None:
    """Region, version and the resource's own key."""
    target = target_of(region="eastus", api_version="2024-06-01")
    assert (target.region, target.api_version) == ("eastus", "2024-06-01")
    (credential,) = target.credentials
    assert credential.header(bearer=False) == ("api-key", KEY)


def test_a_target_knows_what_its_deployments_serve() -> None:
    """Requests are adapted to their models, unless the settings say otherwise."""
    assert target_of().models == {"prod": "gpt-4o"}
    assert target_of().adapt
    off = Settings.model_validate(settings().model_dump() | {"adapt": False})
    assert not assemble(off).targets["east"].adapt


def test_time_limits_arrive_where_they_belong() -> None:
    """Each under its own name."""
    given = {"connect_s": 1.0, "total_s": 2.0, "stream_first_byte_s": 3.0, "stream_idle_s": 4.0}
    assert assemble(settings(given)).timeouts == Timeouts(**given)
    assert assemble(settings()).timeouts == Timeouts()


def test_calls_are_counted() -> None:
    """The totals hear of every call of the dispatcher."""
    assembly = assemble(settings())
    call = assembly.dispatcher.open(Facts(Operation.CHAT, "gpt-4o"), "id-1", total_s=1)
    call.next()
    call.record(None)
    call.next()
    call.finish(Usage(7, 3))
    assert assembly.totals.sums("upstream")["east/prod"].input_tokens == 7


def test_own_prices_reach_the_calls() -> None:
    """What the settings say a model costs is what its calls cost."""
    prices = {"gpt-4o": {"input_usd": "2", "output_usd": "8"}}
    dispatcher = assemble(Settings.model_validate(settings().model_dump() | {"prices": prices})).dispatcher
    spec = UpstreamSpec("east/prod", "gpt-4o")
    assert dispatcher.cost_nusd(spec, Usage(1_000, 100)) == 2_000_000 + 800_000


def test_defaults_reach_the_call_and_its_request() -> None:
    """The call is charged with the cap that is filled in."""
    models = {"gpt-4o": {"defaults": {"max_tokens": 800}}}
    assembly = assemble(Settings.model_validate(settings().model_dump() | {"models": models}))
    facts = assembly.dispatcher.profiles.added(Facts(Operation.CHAT, "gpt-4o"))
    call = assembly.dispatcher.open(facts, "id-1", total_s=1)
    assert call.facts.max_tokens == 800
    outgoing = assembly.targets["east"].outgoing(call.facts, "prod", b"{}")
    assert outgoing.body == b'{"max_tokens":800}'


def test_instructions_reach_the_call_and_its_request() -> None:
    """As the agent's, whatever else is asked for."""
    agents = {"guide": {"model": "gpt-4o", "instructions": "You guide."}}
    assembly = assemble(Settings.model_validate(settings().model_dump() | {"agents": agents}))
    added = assembly.dispatcher.profiles.added
    assert added(Facts(Operation.CHAT, "gpt-4o")).instructions is None
    facts = added(Facts(Operation.CHAT, "agent/guide"))
    outgoing = assembly.targets["east"].outgoing(facts, "prod", b'{"messages":[]}')
    assert outgoing.body == b'{"messages":[{"role":"system","content":"You guide."}]}'


def test_a_deployment_may_have_a_version_of_its_own() -> None:
    """The others have that of the resource."""
    deployments = {"prod": {"model": "m", "api_version": "2024-06-01"}, "other": {"model": "m"}}
    assert target_of(deployments=deployments).versions == {"prod": "2024-06-01"}


def test_hours_run_for_what_is_provisioned() -> None:
    """Idle or not, as soon as it is configured; on a reload they go on."""
    deployments = {
        "p": {"model": "gpt-4o", "sku": "ProvisionedManaged", "ptu": 50},
        "prod": {"model": "gpt-4o"},
    }
    before = assemble(settings(deployments=deployments))
    totals = assemble(settings(deployments=deployments), before=before).totals
    first = totals.sums("upstream")
    assert list(first) == ["east/p"]
    assert first["east/p"].ptu_hours is not None
    assert 0 < first["east/p"].ptu_hours < 1
    assert first["east/p"].ptu_used == 0


def test_nothing_assembled_shows_a_key() -> None:
    """Neither the whole nor its parts."""
    assembly = assemble(settings())
    assert KEY not in f"{assembly!r} {assembly.targets!r} {assembly.dispatcher!r}"


def test_nothing_is_shared_between_assemblies() -> None:
    """Two fleets have two states."""
    first, second = assemble(settings()), assemble(settings())
    first.dispatcher.open(Facts(Operation.CHAT, "gpt-4o"), "id-1", total_s=1).next()
    assert [s.in_flight for s in second.dispatcher.status()] == [0]
