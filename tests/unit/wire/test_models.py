"""What is known of models, and which model a deployment's name tells."""

import subprocess
import sys
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from smalt.wire.models import (
    LongContext,
    ModelData,
    Throughput,
    infer_model,
    model_behind,
    model_data,
    model_table,
)

MODELS = model_table().models
ABILITIES = frozenset({"reasoning", "streaming", "structured_outputs", "tools", "vision"})


def data_of(name: str) -> ModelData:
    data = model_data(name)
    assert data is not None
    return data


@pytest.mark.parametrize(
    ("model", "context_tokens", "vision"),
    [
        ("gpt-4o", 128_000, True),
        ("gpt-4o-mini", 128_000, True),
        ("gpt-4-turbo", 128_000, True),
        ("gpt-4", 8_192, False),
        ("gpt-35-turbo", 16_385, False),
    ],
)
def test_req_1_18_context_and_features(model: str, context_tokens: int, *, vision: bool) -> None:
    """128K, 128K, 128K, 8K and 16K; no vision for gpt-4 and gpt-35-turbo; tools and streams for all."""
    data = data_of(model)
    assert data.context_tokens == context_tokens
    assert data.abilities is not None
    assert {"tools", "streaming"} <= data.abilities
    assert ("vision" in data.abilities) is vision


@pytest.mark.parametrize(
    ("deployment", "model"),
    [
        ("gpt-4o-deployment", "gpt-4o"),
        ("gpt-4o-prod", "gpt-4o"),
        ("my-gpt4-turbo", "gpt-4-turbo"),
        ("prod-gpt-35-turbo", "gpt-35-turbo"),
        ("custom-name", None),
        ("gpt-4.1-nano", "gpt-4.1-nano"),
        ("gpt-41-mini", "gpt-4.1-mini"),
        ("o3-mini-prod", "o3-mini"),
        ("gpt-4o-audio", None),
    ],
)
def test_req_1_20_the_model_of_a_deployment_name(deployment: str, model: str | None) -> None:
    """The right model or none."""
    assert infer_model(deployment) == model


@pytest.mark.parametrize(
    ("deployment", "model"),
    [
        ("GPT-4O-Prod", "gpt-4o"),
        ("GPT41_mini", "gpt-4.1-mini"),
        ("gpt35turbo", "gpt-35-turbo"),
        ("gpt-3.5-turbo", "gpt-35-turbo"),
        ("team-a.gpt_5.mini-swedencentral", "gpt-5-mini"),
        ("gpt-4o-001", "gpt-4o"),
        ("gpt-5-v2", "gpt-5"),
        ("gpt-4o-2024-11-20-prod", "gpt-4o"),
        ("gpt-4o-20240806", "gpt-4o"),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-prod-chatbot", "gpt-4o"),
        ("gpt-5.6-sol-eus2", "gpt-5.6-sol"),
        ("prod-text-embedding-3-large", "text-embedding-3-large"),
    ],
)
def test_req_1_20_case_and_what_stands_around(deployment: str, model: str) -> None:
    """Case, separators, prefixes and harmless suffixes do not matter."""
    assert infer_model(deployment) == model


@pytest.mark.parametrize(
    "deployment",
    [
        "",
        "gpt",
        "gpt-9",
        "mygpt-4ox",
        "chatgpt-4o-latest",
        "gpt-5-1",  # gpt-5.1, or the first of gpt-5
        "gpt-4.10",
        "gpt-4-v",
        "gpt-4-1106",
        "gpt-4o-2025-03-01",  # a version that is not known may cost anything
        "gpt-4o-realtime-preview",
        "gpt-4o-prod-mini",
        "gpt-5.6-cosmos",  # a model of tomorrow
        "gpt-5.6-pro-max",
        "ft-gpt-4o",
        "gpt-4o-finetuned",
        "gpt-4o-or-o3",
    ],
)
def test_req_1_20_a_doubtful_name_tells_no_model(deployment: str) -> None:
    """A wrong model would be a wrong price."""
    assert infer_model(deployment) is None


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_name_tells_its_model(model: ModelData) -> None:
    """With and without version, alone and with a suffix."""
    assert {infer_model(name) for name in (model.name, model.name.upper(), f"{model.name}-prod")} == {
        model.name
    }
    for version in model.versions:
        assert infer_model(f"my-{model.name}-{version}") == model.name
        assert model_data(f"{model.name}-{version}") is model


@pytest.mark.parametrize("name", ["GPT-4o", "gpt-4o-2025-03-01", "gpt-4o-prod", "", "gpt-9"])
def test_data_are_found_by_exact_name_only(name: str) -> None:
    """Anything else is unknown."""
    assert model_data(name) is None


def test_openai_s_spelling_is_an_alias() -> None:
    """gpt-3.5-turbo is gpt-35-turbo, and a version without a difference is its model."""
    assert model_data("gpt-3.5-turbo") is model_data("gpt-35-turbo-0125") is model_data("gpt-35-turbo")


def test_a_version_with_another_price_is_a_model_of_its_own() -> None:
    """gpt-4o of May 2024 costs twice as much and keeps to no schema."""
    old = data_of("gpt-4o-2024-05-13")
    assert old.list_price != data_of("gpt-4o").list_price
    assert old.abilities == frozenset({"streaming", "tools", "vision"})


def test_what_is_known_of_a_model() -> None:
    """Every field of one of the newest."""
    sol = data_of("gpt-6-sol")
    assert sol.apis == {"chat.completions", "responses"}
    assert (sol.context_tokens, sol.output_tokens) == (922_000, 128_000)
    assert sol.abilities == ABILITIES
    assert sol.rpm_per_1k_tpm == 1
    assert sol.throughput == Throughput(3_000, 5, 0.1)
    assert sol.retires == date(2028, 3, 11)
    assert sol.long_context == LongContext(272_000, Decimal(2), Decimal("1.5"))


@pytest.mark.parametrize(
    ("model", "missing"),
    [
        ("o1", "streaming"),
        ("gpt-5.4-pro", "structured_outputs"),
        ("gpt-5-chat", "tools"),
        ("o3-mini", "vision"),
    ],
)
def test_abilities_a_model_lacks(model: str, missing: str) -> None:
    """What Microsoft's pages except."""
    abilities = data_of(model).abilities
    assert abilities
    assert missing not in abilities


@pytest.mark.parametrize(
    ("model", "refuses"),
    [
        ("o1", True),
        ("o3-mini", True),
        ("o4-mini", True),
        ("gpt-5", True),
        ("gpt-5.1-chat", True),
        ("gpt-6.1-sol", True),
        ("gpt-4o", False),
        ("gpt-4.1-mini", False),
        ("gpt-35-turbo", False),
        ("model-router", False),  # the model behind it decides
    ],
)
def test_models_that_refuse_max_tokens(model: str, *, refuses: bool) -> None:
    """The o-series and all from gpt-5 on take max_completion_tokens only."""
    assert data_of(model).refuses == (frozenset({"max_tokens"}) if refuses else frozenset())


@pytest.mark.parametrize(
    ("model", "deployment", "behind"),
    [
        ("gpt-4o", "prod", "gpt-4o"),
        ("gpt-4o-prod", "gpt-4o-prod", "gpt-4o"),
        ("prod", "prod", "prod"),
        ("gpt-4o-prod", "o3-prod", "gpt-4o-prod"),  # what is configured is what is meant
    ],
)
def test_the_model_behind_a_deployment(model: str, deployment: str, behind: str) -> None:
    """Only a deployment that is its own model is known by its name."""
    assert model_behind(model, deployment) == behind


def test_unknown_is_not_no() -> None:
    """An embeddings model has none of the abilities; of an image model it is not known."""
    assert data_of("text-embedding-3-small").abilities == frozenset()
    assert data_of("gpt-image-2").abilities is None


@pytest.mark.parametrize(
    ("model", "requests"),
    [("gpt-4o", Fraction(6)), ("o1", Fraction(1, 6)), ("o3-pro", Fraction(1, 10)), ("gpt-5-codex", None)],
)
def test_requests_that_come_with_tokens(model: str, requests: Fraction | None) -> None:
    """Per 1,000 tokens a minute of quota."""
    assert data_of(model).rpm_per_1k_tpm == requests


@pytest.mark.parametrize(
    ("region", "zone"),
    [
        ("swedencentral", "eu"),
        ("Sweden Central", "eu"),
        ("eastus2", "us"),
        ("japaneast", "apac"),
        ("uksouth", None),
        ("", None),
    ],
)
def test_the_data_zone_of_a_region(region: str, zone: str | None) -> None:
    """By Azure's name or its display name; some regions are in none."""
    assert model_table().zone_of(region) == zone


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_model_is_sane(model: ModelData) -> None:
    """Nothing is negative, cached input never dearer than fresh, and abilities are words we know."""
    assert model.apis
    assert (model.abilities or frozenset()) <= ABILITIES
    assert all(tokens is None or tokens > 0 for tokens in (model.context_tokens, model.output_tokens))
    if price := model.list_price:
        assert 0 < (price.cached_usd or price.input_usd) <= price.input_usd
        assert (price.cache_write_usd or price.input_usd) >= price.input_usd
        assert price.output_usd >= 0
    factors = [model.priority_factor, *model.zone_factors.values()]
    assert all(factor is None or factor > 1 for factor in factors)


def test_names_are_unambiguous() -> None:
    """No two models can be meant by one spelling."""
    names = [model.name for model in MODELS]
    versions = [f"{model.name}-{version}" for model in MODELS for version in model.versions]
    squeezed = [name.replace("-", "").replace(".", "") for name in names + versions]
    assert len(set(squeezed)) == len(squeezed)


def test_the_table_is_read_when_it_is_asked_for_and_fast() -> None:
    """Importing reads nothing; reading takes some milliseconds even on a busy machine."""
    code = (
        "import time; from smalt.wire import models; assert models.model_table.cache_info().currsize == 0; "
        "start = time.process_time(); models.model_table(); print(time.process_time() - start)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout)
        for _ in range(3)
    ]
    assert min(times) < 0.02
