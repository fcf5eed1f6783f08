from typing import Any, Literal

import pytest
from pydantic import SecretStr

from smalt.auth.credentials import ApiKey
from smalt.auth.kept import Fixed
from smalt.dispatch.proxy import Proxy
from smalt.dispatch.target import Origin, Target, probe_head
from smalt.errors import InvalidDeployment, InvalidRequest
from smalt.types import Facts, Operation

BODY = b'{"model":"gpt-4o","stream":true}'
STREAM = Facts(Operation.CHAT, "gpt-4o", stream=True)
KEY = ApiKey(Fixed(SecretStr("k")))
PLAIN = Facts(Operation.CHAT, "gpt-4o")


def make_target(
    api: Literal["classic", "v1", "openai"] = "classic",
    version: str = "2024-10-21",
    base_path: str = "",
    **more: Any,
) -> Target:
    return Target(
        Origin("east.example", 443, tls=True),
        (ApiKey(Fixed(SecretStr("k"))),),
        api,
        version,
        base_path,
        **more,
    )


@pytest.mark.parametrize(
    ("origin", "authority"),
    [
        (Origin("east.example", 443, tls=True), "east.example"),
        (Origin("east.example", 8443, tls=True), "east.example:8443"),
        (Origin("127.0.0.1", 80, tls=False), "127.0.0.1"),
        (Origin("127.0.0.1", 443, tls=False), "127.0.0.1:443"),
        (Origin("::1", 443, tls=True), "[::1]"),
        (Origin("::1", 8000, tls=False), "[::1]:8000"),
    ],
)
def test_the_host_header(origin: Origin, authority: str) -> None:
    """The port only where it is not the usual one, IPv6 in brackets."""
    assert origin.authority == authority


def test_the_address_to_connect_to() -> None:
    """The host, unless the origin says where it is to be found; a proxy comes first."""
    pinned = Origin("east.example", 443, tls=True, pinned="20.1.2.3")
    assert pinned.address == ("20.1.2.3", 443)
    assert (pinned.authority, str(pinned)) == ("east.example", "east.example:443")
    assert pinned != pinned._replace(pinned="20.1.2.4")
    assert pinned._replace(pinned="").address == ("east.example", 443)
    assert pinned._replace(proxy=Proxy("proxy", 3128)).address == ("proxy", 3128)


def test_the_same_headers_for_every_request() -> None:
    """The credential in the form of the API, no compression, nothing of the caller's."""
    assert make_target().heads.obtain(0.0).data == (
        b"host: east.example\r\n"
        b"api-key: k\r\n"
        b"content-type: application/json\r\n"
        b"accept-encoding: identity\r\n"
        b"user-agent: smalt\r\n\r\n"
    )
    of_another_server = make_target("openai").heads.obtain(0.0).data
    assert b"authorization: Bearer k\r\n" in of_another_server
    assert b"api-key" not in of_another_server


@pytest.mark.parametrize("name", [b'"model"', b'"mod\\u0065l"'])
def test_one_model_goes_on(name: bytes) -> None:
    """Of two the last one counts, for the key's rights and upstream: nobody reads the other one there."""
    body = b'{%b:"gpt-4","model":"gpt-4o"}' % name
    outgoing = make_target("openai").outgoing(PLAIN, "gpt-4o", body)
    assert (outgoing.body, outgoing.rewrites) == (b'{"model":"gpt-4o"}', ("model",))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (make_target(), "/openai/deployments/gpt%2F4o/chat/completions?api-version=2024-10-21"),
        (make_target("v1"), "/openai/v1/chat/completions"),
        (make_target("openai", base_path="/v1"), "/v1/chat/completions"),
        (
            make_target(base_path="/team"),
            "/team/openai/deployments/gpt%2F4o/chat/completions?api-version=2024-10-21",
        ),
        (make_target("v1", base_path="/team"), "/team/openai/v1/chat/completions"),
    ],
)
def test_the_path_of_each_api(target: Target, path: str) -> None:
    """Classic names the deployment in the path, the others in the body; that of the endpoint comes first."""
    assert target.outgoing(PLAIN, "gpt/4o", b"{}").path == path


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_deployment_that_would_change_the_path(name: str) -> None:
    """Refused, however often it is asked for."""
    for _ in range(2):
        with pytest.raises(InvalidDeployment):
            make_target().outgoing(PLAIN, name, b"{}")


def test_the_body_goes_on_byte_true() -> None:
    """With nothing to change it is the very same object."""
    outgoing = make_target().outgoing(PLAIN, "anything", BODY)
    assert outgoing.body is BODY
    assert outgoing.rewrites == ()


@pytest.mark.parametrize("api", ["v1", "openai"])
@pytest.mark.parametrize(
    ("facts", "deployment", "rewrites"),
    [
        (PLAIN, "gpt-4o", ()),
        (PLAIN, "prod", ("model",)),
        (Facts(Operation.CHAT, "prod", names_deployment=True), "prod", ("model",)),
    ],
)
def test_the_model_in_the_body_is_the_deployment(
    api: Literal["v1", "openai"], facts: Facts, deployment: str, rewrites: tuple[str, ...]
) -> None:
    """Written where the body's own name may differ, and declared."""
    outgoing = make_target(api).outgoing(facts, deployment, b'{"model":"gpt-4o","n":1}')
    assert outgoing.rewrites == rewrites
    assert outgoing.body == b'{"model":"%b","n":1}' % deployment.encode()


@pytest.mark.parametrize(
    ("target", "facts", "asks"),
    [
        (make_target(), STREAM, True),
        (make_target(version="2024-09-01-preview"), STREAM, True),
        (make_target(version="2024-08-01-preview"), STREAM, False),
        (make_target("v1", version="v1"), STREAM, True),
        (make_target("openai", version="2023-01-01"), STREAM, True),
        (make_target(), PLAIN, False),
        (make_target(), Facts(Operation.CHAT, "gpt-4o", stream=True, asks_usage=True), False),
        (make_target(), Facts(Operation.EMBEDDINGS, "gpt-4o", stream=True), False),
    ],
)
def test_usage_is_asked_for_where_it_can_be(target: Target, facts: Facts, asks: bool) -> None:
    """Streams report usage only when asked; old versions refuse the question."""
    outgoing = target.outgoing(facts, "gpt-4o", BODY)
    assert (b'"include_usage":true' in outgoing.body) is asks
    assert ("stream_options" in outgoing.rewrites) is asks


def test_on_your_data_is_not_asked_for_usage() -> None:
    """It refuses stream_options."""
    body = b'{"model":"gpt-4o","stream":true,"data_sources":[]}'
    assert make_target().outgoing(STREAM, "gpt-4o", body).body is body


CAPPED = Facts(Operation.CHAT, "m", max_tokens=5)
CALLING = Facts(Operation.CHAT, "m", names_tools=True)
STRICT = (
    b'{"tools":[{"type":"function","function":{"name":"a.b","strict":true,'
    b'"parameters":{"items":{"minItems":1}}}}]}'
)


@pytest.mark.parametrize(
    ("models", "deployment", "renamed"),
    [
        ({"prod": "o3"}, "prod", True),
        ({"prod": "gpt-4o"}, "prod", False),
        ({"prod": "my-model"}, "prod", False),
        ({"o3-prod": "o3-prod"}, "o3-prod", True),
        ({"o3-prod": "gpt-4o"}, "o3-prod", False),  # what is configured is what is meant
        ({}, "o3-prod", True),  # not configured: its name tells
        ({}, "prod", False),
    ],
)
def test_the_model_of_the_deployment_decides(models: dict[str, str], deployment: str, renamed: bool) -> None:
    """Where it is known to take max_completion_tokens only, the cap is told so, and that is declared."""
    body = b'{"max_tokens":5}'
    outgoing = make_target(models=models).outgoing(CAPPED, deployment, body)
    assert outgoing.rewrites == (("max_completion_tokens",) if renamed else ())
    assert outgoing.body == (b'{"max_completion_tokens":5}' if renamed else body)


@pytest.mark.parametrize(
    ("api", "rewrites"),
    [
        ("classic", ("tool_names", "tool_schemas")),
        ("v1", ("model", "tool_names", "tool_schemas")),
        ("openai", ("model", "tool_names")),
    ],
)
def test_tools_as_the_upstream_takes_them(
    api: Literal["classic", "v1", "openai"], rewrites: tuple[str, ...]
) -> None:
    """All rewrites of a request are declared together; only Azure's strict mode is looked after."""
    outgoing = make_target(api, models={"prod": "gpt-4o"}).outgoing(CALLING, "prod", STRICT)
    assert outgoing.rewrites == rewrites
    assert outgoing.renamed
    assert list(outgoing.renamed.values()) == [b'"a.b"']
    assert (b'"minItems"' in outgoing.body) is (api == "openai")


@pytest.mark.parametrize("facts", [CAPPED, CALLING])
def test_adaptation_can_be_switched_off(facts: Facts) -> None:
    """Then the upstream's own word on the request comes back."""
    body = STRICT.replace(b"{", b'{"max_tokens":5,', 1)
    outgoing = make_target(adapt=False, models={"prod": "o3"}).outgoing(facts, "prod", body)
    assert outgoing.body is body
    assert (outgoing.rewrites, outgoing.renamed) == ((), None)


def test_a_body_that_cannot_be_taken_apart() -> None:
    """Told as the caller's mistake."""
    with pytest.raises(InvalidRequest):
        make_target("v1").outgoing(PLAIN, "prod", b"[]")


def test_a_targets_repr_shows_no_credential() -> None:
    """The credential answers for itself."""
    target: Any = make_target()
    assert "Bearer" not in repr(target)


def test_a_version_of_the_deployments_own() -> None:
    """In the path, and for what that version takes."""
    target = make_target(versions={"old": "2024-06-01"})
    assert target.outgoing(STREAM, "old", BODY).path.endswith("/old/chat/completions?api-version=2024-06-01")
    assert target.outgoing(STREAM, "old", BODY).rewrites == ()
    assert target.outgoing(STREAM, "new", BODY).path.endswith("?api-version=2024-10-21")
    assert target.outgoing(STREAM, "new", BODY).rewrites == ("stream_options",)


@pytest.mark.parametrize("adapt", [True, False])
@pytest.mark.parametrize(
    ("deployment", "member"), [("mild", b'"max_tokens":800'), ("thinks", b'"max_completion_tokens":800')]
)
def test_defaults_of_the_name_asked_for(deployment: str, member: bytes, adapt: bool) -> None:
    """Whoever answers gets them by the name that his model takes, whether requests are adapted or not."""
    target = make_target(
        models={"mild": "gpt-4o", "thinks": "o3"}, defaults={"m": {"max_tokens": 800}}, adapt=adapt
    )
    outgoing = target.outgoing(Facts(Operation.CHAT, "m", max_tokens=800), deployment, b'{"n":1}')
    assert outgoing.body == b'{"n":1,%b}' % member
    assert outgoing.rewrites == ("defaults.max_tokens",)
    assert target.outgoing(PLAIN, deployment, BODY).body is BODY


@pytest.mark.parametrize("adapt", [True, False])
def test_instructions_of_an_agent_come_first(adapt: bool) -> None:
    """Declared before what is filled in; where the operation has no place for them, nothing is."""
    target = make_target(defaults={"m": {"seed": 7}}, adapt=adapt)
    facts = Facts(Operation.CHAT, "m", instructions="Ours.")
    outgoing = target.outgoing(facts, "prod", b'{"messages":[]}')
    assert outgoing.body == b'{"messages":[{"role":"system","content":"Ours."}],"seed":7}'
    assert outgoing.rewrites == ("instructions", "defaults.seed")
    embeddings = Facts(Operation.EMBEDDINGS, "m", instructions="Ours.")
    assert target.outgoing(embeddings, "prod", b'{"input":"x"}').rewrites == ()


def test_a_probe_asks_for_the_models() -> None:
    """With the resource's own credential, and without a body."""
    target = make_target()
    head = target.heads.obtain(0.0)
    first = b"GET /openai/models?api-version=2024-10-21 HTTP/1.1\r\n"
    assert probe_head(target, head) == first + head.data
