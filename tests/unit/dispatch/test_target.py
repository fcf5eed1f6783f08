from typing import Any, Literal

import pytest

from smalt.dispatch.target import Origin, Target
from smalt.errors import InvalidDeployment, InvalidRequest
from smalt.types import Facts, Operation

BODY = b'{"model":"gpt-4o","stream":true}'
STREAM = Facts(Operation.CHAT, "gpt-4o", stream=True)
PLAIN = Facts(Operation.CHAT, "gpt-4o")


class Key:
    def header(self, *, bearer: bool) -> tuple[str, str]:
        return ("authorization", "Bearer k") if bearer else ("api-key", "k")


def make_target(
    api: Literal["classic", "v1", "openai"] = "classic", version: str = "2024-10-21", base_path: str = ""
) -> Target:
    return Target(Origin("east.example", 443, tls=True), Key(), api, version, base_path)


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


def test_the_same_headers_for_every_request() -> None:
    """The credential in the form of the API, no compression, nothing of the caller's."""
    assert dict(make_target().headers) == {
        "host": "east.example",
        "api-key": "k",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "smalt",
    }
    assert dict(make_target("openai").headers)["authorization"] == "Bearer k"
    assert "api-key" not in dict(make_target("openai").headers)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (make_target(), "/openai/deployments/gpt%2F4o/chat/completions?api-version=2024-10-21"),
        (make_target("v1"), "/openai/v1/chat/completions"),
        (make_target("openai", base_path="/v1"), "/v1/chat/completions"),
    ],
)
def test_the_path_of_each_api(target: Target, path: str) -> None:
    """Classic names the deployment in the path, the others in the body."""
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


def test_a_body_that_cannot_be_taken_apart() -> None:
    """Told as the caller's mistake."""
    with pytest.raises(InvalidRequest):
        make_target("v1").outgoing(PLAIN, "prod", b"[]")


def test_a_targets_repr_shows_no_credential() -> None:
    """The credential answers for itself."""
    target: Any = make_target()
    assert "Bearer" not in repr(target)
