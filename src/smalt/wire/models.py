"""What is known of Azure's models: limits, abilities, quota, retirement, list prices (models.json)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one provisioned unit (PTU) takes: `input_tpm` uncached input tokens a minute. Such a token weighs
    1, an output token `output_weight`, a cached one `cached_weight`."""

    input_tpm: int
    output_weight: int
    cached_weight: float


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """USD per 1M tokens. Where `cached_usd` or `cache_write_usd` is None, such tokens cost `input_usd`."""

    input_usd: Decimal
    output_usd: Decimal
    cached_usd: Decimal | None = None
    cache_write_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class LongContext:
    """A request whose prompt exceeds `over_tokens` costs `input_factor` and `output_factor` times as much,
    all of it."""

    over_tokens: int
    input_factor: Decimal
    output_factor: Decimal


@dataclass(frozen=True, slots=True)
class ModelData:
    """A model; None stands for unknown.

    `apis`: operations it serves. `context_tokens`: longest prompt; up to gpt-4.1 and the o-series the answer
    counts too. `output_tokens`: longest answer. `abilities`: which it has of reasoning, streaming,
    structured_outputs, tools and vision. `refuses`: parameters its chat does not take, of those smalt can put
    in another way: max_tokens. `rpm_per_1k_tpm`: requests a minute that come with each 1,000 tokens
    a minute of quota. `retires`: when its deployments stop to answer; sources differ by months.

    `list_price`: of Global Standard; None also where not all tokens cost the same (audio, images) or another
    model does the work (model-router). `priority_factor`: what the service tier priority costs of it.
    `zone_factors`: what data zones cost of it, where that is not the usual factor.
    """

    name: str
    apis: frozenset[str]
    context_tokens: int | None = None
    output_tokens: int | None = None
    abilities: frozenset[str] | None = None
    refuses: frozenset[str] = frozenset()
    rpm_per_1k_tpm: Fraction | None = None
    throughput: Throughput | None = None
    retires: date | None = None
    versions: tuple[str, ...] = ()
    list_price: TokenPrice | None = None
    priority_factor: Decimal | None = None
    zone_factors: Mapping[str, Decimal] = field(default_factory=dict)
    long_context: LongContext | None = None


@dataclass(frozen=True)
class ModelTable:
    """models.json. `as_of`: the day it was made, YYYY-MM-DD. `factors`: what batch, flex and the data zones
    cost of the list price. `zones`: regions by data zone."""

    as_of: str
    source: str
    factors: Mapping[str, Decimal]
    zones: Mapping[str, frozenset[str]]
    models: tuple[ModelData, ...]

    def zone_of(self, region: str) -> str | None:
        """The data zone of a region, by Azure's name (swedencentral) or display name (Sweden Central)."""
        name = region.lower().replace(" ", "")
        return next((zone for zone, regions in self.zones.items() if name in regions), None)

    @cached_property
    def by_name(self) -> Mapping[str, ModelData]:
        """With and without version; gpt-3.5, as OpenAI spells it, is gpt-35."""
        names = {f"{model.name}-{version}": model for model in self.models for version in model.versions} | {
            model.name: model for model in self.models
        }
        return names | {name.replace("gpt-35", "gpt-3.5"): model for name, model in names.items()}


@cache
def model_table() -> ModelTable:
    """The whole table, read when it is first asked for."""
    data = Path(__file__).with_name("models.json").read_bytes()
    return msgspec.json.decode(data, type=ModelTable, dec_hook=_fraction)


def _fraction(kind: type, value: Any) -> Any:
    return kind(value)  # Fraction, the one type of the table that msgspec does not know


def model_data(name: str) -> ModelData | None:
    """A model by its exact name, without version or with one that is known."""
    return model_table().by_name.get(name)


# Words that may follow a model's name in the name of its deployment without naming another model.
_HARMLESS = re.compile(
    r"prod|production|preprod|dev|development|devel|test|testing|tests|qa|uat|sit|int|stage|staging|stg|sandbox|"
    r"demo|poc|pilot|trial|canary|blue|green|primary|secondary|backup|failover|spillover|main|default|dr|"
    r"deployment|deploy|deployed|dep|model|api|app|service|svc|instance|endpoint|gateway|team|shared|internal|"
    r"azure|aoai|aiservices|foundry|openai|global|glb|regional|datazone|zone|standard|std|provisioned|ptu|ptum|"
    r"paygo|payg|batch|eu|us|uk|apac|emea|eus|eus2|weu|neu|swc|"
    r"[a-z]*(?:east|west|north|south|central)[a-z]*\d?|v\d{1,3}|[abcxyz]"
)
_WORD = re.compile(r"[a-z0-9]+")
_NUMBER = re.compile(r"\d{1,3}")
_OTHER_MODEL = re.compile(
    r"audio|codex|deep|diarize|embeddings?|fine|finetuned?|ft|image|instruct|max|mini|nano|preview|pro|realtime|"
    r"research|search|transcribe|tts|tuned|turbo|vision"
)


@lru_cache(maxsize=1_000)
def infer_model(deployment_name: str) -> str | None:
    """The model that the name of a deployment tells, None if it tells none, several or one not known.

    Case and separators do not matter (`GPT41_mini`). Before the model anything may stand; behind it only
    words that cannot name another model: an environment, a region, a number. So `gpt-4o-audio` is not gpt-4o,
    and `gpt-5-1`, which may mean gpt-5.1, is nothing.
    """
    name = deployment_name.lower()
    if exact := model_data(name):
        return exact.name
    spelled = list(_spellings().finditer(name))
    models = {_by_squeezed_name()[_squeezed(match[0])] for match in spelled}
    if len(models) != 1 or any(map(_OTHER_MODEL.fullmatch, _WORD.findall(_spellings().sub("", name)))):
        return None
    last = spelled[-1]
    follows = _WORD.search(name, last.end())
    if follows is None or _HARMLESS.fullmatch(follows[0]):
        return models.pop()
    numbered = _NUMBER.fullmatch(follows[0]) and not last[0][-1].isdigit()
    return models.pop() if numbered else None


def model_behind(model: str, deployment: str) -> str:
    """The model that a deployment serves under the name `model`, as far as can be told: where both names are
    the same, whoever gave it need not have named a model."""
    return (infer_model(model) if model == deployment else None) or model


@cache
def _spellings() -> re.Pattern[str]:
    """Every model's name with its separators optional, the longest first."""
    names = sorted(model_table().by_name, key=len, reverse=True)
    any_of = "|".join(name.replace(".", r"\.?").replace("-", "[-_.]?") for name in names)
    return re.compile(f"(?<![a-z0-9])(?:{any_of})(?![a-z0-9])")


@cache
def _by_squeezed_name() -> Mapping[str, str]:
    return {_squeezed(name): model.name for name, model in model_table().by_name.items()}


def _squeezed(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name)
