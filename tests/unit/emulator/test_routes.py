import pytest

from smalt.emulator.refusals import Refusal
from smalt.emulator.routes import Route, find
from smalt.emulator.server import Request


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
        ("/openai/deployments/d/completions?api-version=2022-12-01", Route("completions", "d", "2022-12-01")),
        ("/openai/v1/responses", Route("responses", None, "v1")),
        (
            "/openai/responses?api-version=2025-03-01-preview",
            Route("responses", None, "2025-03-01-preview"),
        ),
        ("/openai/v1/responses/r%2F1/cancel", Route("responses/cancel", None, "v1", "r/1")),
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
        "/openai/responses?api-version=2024-10-21",
        "/openai/responses?api-version=2025-02-01-preview",
        "/openai/responses/r?api-version=2024-10-21",
        "/openai/deployments/d/responses?api-version=2025-03-01-preview",
        "/openai/v1/responses/r/other",
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


def test_a_response_is_asked_about_by_its_id() -> None:
    """The method tells what is wanted."""
    target = "/openai/responses/r?api-version=2025-04-01-preview"
    version = "2025-04-01-preview"
    assert find(ask(target, "GET")) == Route("responses/retrieve", None, version, "r")
    assert find(ask(target, "DELETE")) == Route("responses/delete", None, version, "r")
    assert find(ask("/openai/v1/responses/r/input_items", "GET")).operation == "responses/input_items"
    assert find(ask("/openai/v1/models/m", "GET")) == Route("models", None, "v1", "m")
