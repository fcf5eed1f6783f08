"""What each model is asked, and where."""

from typing import Any

import pytest

from smalt.config.schema import Resource
from smalt.doctor.questions import Place, place

AZURE = "https://contoso.openai.azure.com"


def asked(model: str, **resource: Any) -> Place:
    data = {"endpoint": AZURE, "deployments": {"dep": {"model": model}}, **resource}
    return place(Resource.model_validate(data), "dep")


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ({}, "/openai/deployments/dep/chat/completions?api-version=2024-10-21"),
        ({"api": "v1"}, "/openai/v1/chat/completions"),
        ({"api_version": "preview"}, "/openai/v1/chat/completions"),
        ({"kind": "openai", "endpoint": "https://proxy.contoso.com/v1"}, "/v1/chat/completions"),
        (
            {"endpoint": "https://apim.contoso.com/team"},
            "/team/openai/deployments/dep/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_the_path_follows_the_surface(resource: dict[str, Any], path: str) -> None:
    """The body names the deployment where the path does not."""
    question = asked("gpt-4o", **resource)
    assert question.path == path
    assert ("model" in question.refused) is ("/deployments/" not in path)


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ("gpt-4o", {"messages": []}),
        ("own-model", {"messages": []}),
        ("text-embedding-3-small", {"input": []}),
        ("gpt-35-turbo-instruct", {"prompt": [], "max_tokens": -1}),
    ],
)
def test_what_must_be_refused_has_no_content(model: str, refused: dict[str, Any]) -> None:
    """By the operation that the model serves; chat if that is not known."""
    assert asked(model).refused == refused


def test_responses_alone() -> None:
    """Models without chat are asked on v1, for fewer tokens than there can be."""
    question = asked("gpt-5-pro")
    assert question.path == "/openai/v1/responses"
    assert question.refused == {"model": "dep", "max_output_tokens": 1}


@pytest.mark.parametrize(
    ("model", "cap"),
    [
        ("gpt-4o", {"max_tokens": 16}),
        ("gpt-5-mini", {"max_completion_tokens": 16}),
        ("gpt-5-pro", {"max_output_tokens": 16}),
        ("gpt-35-turbo-instruct", {"max_tokens": 16}),
    ],
)
def test_a_real_question_is_small(model: str, cap: dict[str, int]) -> None:
    """By the name that the model has for it."""
    assert cap.items() <= asked(model).small.items()


def test_a_deployment_has_a_version_of_its_own() -> None:
    """Before the resource's; another can be tried."""
    resource = Resource.model_validate(
        {"endpoint": AZURE, "deployments": {"dep": {"model": "gpt-4o", "api_version": "2024-06-01"}}}
    )
    assert place(resource, "dep").path.endswith("api-version=2024-06-01")
    assert place(resource, "dep", "2024-02-01").path.endswith("api-version=2024-02-01")


def test_some_models_are_not_asked() -> None:
    """They neither chat nor embed."""
    assert not asked("gpt-image-1").askable
    assert asked("gpt-4o").askable
