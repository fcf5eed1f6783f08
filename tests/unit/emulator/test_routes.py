import pytest

from smalt.emulator.refusals import Refusal
from smalt.emulator.routes import Route, find, key_name
from smalt.emulator.server import Request

KEYS = ("first", "second")


def ask(target: str, method: str = "POST", **headers: str) -> Request:
    path, _, query = target.partition("?")
    told = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method, path, query, told, b"")


@pytest.mark.parametrize(
    ("target", "route"),
    [
        (
            "/openai/deployments/my%20dep%2Fx/chat/completions?api-version=2024-10-21",
            Route("chat/completions", "my dep/x", "2024-10-21"),
        ),
        ("/openai/deployments/d/embeddings?api-version=2022-12-01", Route("embeddings", "d", "2022-12-01")),
        ("/openai/v1/chat/completions", Route("chat/completions", None, "v1")),
        ("/openai/v1/embeddings?api-version=preview", Route("embeddings", None, "v1")),
    ],
)
def test_a_path_names_operation_deployment_and_version(target: str, route: Route) -> None:
    """Both surfaces are understood; the deployment is decoded as one segment."""
    assert find(ask(target)) == route


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/openai/deployments/d/chat/completions",
        "/openai/deployments/d/chat/completions?api-version=",
        "/openai/deployments/d/chat/completions?api-version=2024-10-22",
        "/openai/deployments/d/chat/completions?api-version=v1",
        "/openai/deployments/d/chat/completions?api-version=2022-12-01",
        "//openai/deployments/d/chat/completions?api-version=2024-10-21",
        "/openai/deployments/d/chat/completions/?api-version=2024-10-21",
        "/openai/v1/chat/completions?api-version=2024-10-21",
        "/openai/v1/deployments/d/chat/completions?api-version=preview",
        "/openai/models",
    ],
)
def test_anything_else_is_not_found(target: str) -> None:
    """A wrong path and a wrong version look the same to the caller."""
    for method in ("POST", "GET"):
        with pytest.raises(Refusal) as caught:
            find(ask(target, method))
        assert caught.value.canned.body == {"error": {"code": "404", "message": "Resource not found"}}


def test_models_are_listed_on_both_surfaces() -> None:
    """The list needs a version on the classic surface only."""
    assert find(ask("/openai/v1/models", "GET")) == Route("models", None, "v1")
    assert find(ask("/openai/models?api-version=2024-10-21", "GET")) == Route("models", None, "2024-10-21")


@pytest.mark.parametrize("path", ["/openai/models", "/openai/v1/models"])
def test_either_key_opens_both_surfaces(path: str) -> None:
    """The key is told by its place, as Azure names it."""
    assert key_name(ask(path, api_key="first"), KEYS) == "key1"
    assert key_name(ask(path, api_key="second"), KEYS) == "key2"


def test_a_key_is_a_bearer_token_on_v1_only() -> None:
    """What the plain OpenAI client sends works on v1; the classic surface wants tokens from Entra there."""
    assert key_name(ask("/openai/v1/models", authorization="Bearer first"), KEYS) == "key1"
    with pytest.raises(Refusal, match="Access token is missing"):
        key_name(ask("/openai/models", authorization="Bearer first"), KEYS)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Access token is missing"),
        ({"authorization": "Bearer head.claims.signature"}, "Access token is missing"),
        ({"authorization": "Bearer wrong"}, "invalid subscription key"),
        ({"api_key": "wrong"}, "invalid subscription key"),
    ],
)
def test_no_credential_and_a_wrong_one_differ(headers: dict[str, str], message: str) -> None:
    """Both are 401, each with its own text."""
    with pytest.raises(Refusal, match=message) as caught:
        key_name(ask("/openai/v1/models", **headers), KEYS)
    assert caught.value.canned.status == 401
