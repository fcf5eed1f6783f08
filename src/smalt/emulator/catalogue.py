"""What the offline Azure knows of the world: its models, regions and api-versions."""

from dataclasses import dataclass
from typing import Any, Literal

from smalt.emulator.rates import PROVISIONED_SKUS

Api = Literal["chat", "completions", "embeddings", "responses"]

_PROVISIONED_WINDOW = 128_000


@dataclass(frozen=True, slots=True)
class Model:
    """`window`: tokens of prompt and answer together; of an embeddings model: tokens of one item.

    `max_output`: tokens of one answer. `dimensions`: length of an embedding. `efforts`: the values of
    reasoning_effort it takes, of a reasoning model; `effort`: the one it uses unasked. `sees`: takes images.
    `structured`: keeps to a schema. `predicts`: takes predicted outputs. `caches`: prompts cost less when
    repeated.
    """

    name: str
    version: str
    apis: tuple[Api, ...]
    window: int
    max_output: int = 0
    dimensions: int = 0
    efforts: tuple[str, ...] = ()
    effort: str = "medium"
    streams: bool = True
    sees: bool = True
    structured: bool = True
    predicts: bool = False
    caches: bool = True

    @property
    def served(self) -> str:
        """The name answers carry: never the deployment's; language models with their version."""
        return self.name if self.dimensions else f"{self.name}-{self.version}"

    def window_on(self, sku: str) -> int:
        """Provisioned deployments of the 4.1 family take far shorter prompts than the others."""
        shorter = sku in PROVISIONED_SKUS and self.name.startswith("gpt-4.1")
        return min(self.window, _PROVISIONED_WINDOW) if shorter else self.window

    @property
    def shortens(self) -> bool:
        """Whether a request may choose the length of its embeddings."""
        return self.name.startswith("text-embedding-3-")

    @property
    def reasons(self) -> bool:
        return bool(self.efforts)

    @property
    def o_series(self) -> bool:
        return self.name.startswith("o")

    @property
    def modern(self) -> bool:
        """Of the gpt-5 family and later: verbosity, custom tools, a limit of input alone."""
        return self.reasons and not self.o_series

    @property
    def max_input(self) -> int:
        return self.window - self.max_output if self.modern else self.window

    @property
    def writes_cache(self) -> bool:
        """Since gpt-5.6 what is put into the prompt cache is told, and billed above input."""
        return self.modern and self.name.split("-")[1] >= "5.6"


_BOTH: tuple[Api, ...] = ("chat", "responses")
_RESPONSES: tuple[Api, ...] = ("responses",)
_LOW = ("low", "medium", "high")
_MINIMAL = ("minimal", *_LOW)
_NONE = ("none", *_LOW)
_XHIGH = (*_NONE, "xhigh")
_MAX = (*_XHIGH, "max")


def _old(name: str, version: str, window: int, max_output: int, *, sees: bool = False) -> Model:
    return Model(name, version, ("chat",), window, max_output, sees=sees, structured=False, caches=False)


def _o_series(
    name: str, version: str, apis: tuple[Api, ...] = _BOTH, *, streams: bool = True, sees: bool = True
) -> Model:
    return Model(name, version, apis, 200_000, 100_000, efforts=_LOW, streams=streams, sees=sees)


def _gpt_5(name: str, version: str, efforts: tuple[str, ...], *, apis: tuple[Api, ...] = _BOTH) -> Model:
    window = 400_000 if name < "gpt-5.4" else 1_050_000
    # with 5.1 a model stopped to reason unless it is asked to; those that cannot but reason still do
    effort = "none" if "none" in efforts else efforts[-1] if len(efforts) == 1 else "medium"
    return Model(
        name,
        version,
        apis,
        window,
        128_000,
        efforts=efforts,
        effort=effort,
        streams=not name.endswith("-pro"),
    )


# of several versions of a model the first is what a deployment gets that names none
ALL_MODELS = (
    Model("gpt-4o", "2024-11-20", _BOTH, 128_000, 16_384, predicts=True),
    Model("gpt-4o", "2024-08-06", _BOTH, 128_000, 16_384, predicts=True),
    Model("gpt-4o", "2024-05-13", _BOTH, 128_000, 4_096, structured=False, caches=False),
    Model("gpt-4o-mini", "2024-07-18", _BOTH, 128_000, 16_384, predicts=True),
    _old("gpt-4-turbo", "2024-04-09", 128_000, 4_096, sees=True),
    _old("gpt-4", "0613", 8_192, 8_192),
    _old("gpt-35-turbo", "0125", 16_385, 4_096),
    Model("gpt-35-turbo-instruct", "0914", ("completions",), 4_097, 4_096, caches=False),
    Model("gpt-4.1", "2025-04-14", _BOTH, 1_047_576, 32_768, predicts=True),
    Model("gpt-4.1-mini", "2025-04-14", _BOTH, 1_047_576, 32_768, predicts=True),
    Model("gpt-4.1-nano", "2025-04-14", _BOTH, 1_047_576, 32_768, predicts=True),
    _o_series("o1", "2024-12-17", streams=False),
    _o_series("o3-mini", "2025-01-31", sees=False),
    _o_series("o3", "2025-04-16"),
    _o_series("o4-mini", "2025-04-16"),
    _o_series("o3-pro", "2025-06-10", _RESPONSES, streams=False),
    _gpt_5("gpt-5", "2025-08-07", _MINIMAL),
    _gpt_5("gpt-5-mini", "2025-08-07", _MINIMAL),
    _gpt_5("gpt-5-nano", "2025-08-07", _MINIMAL),
    _gpt_5("gpt-5-codex", "2025-09-15", _LOW, apis=_RESPONSES),
    _gpt_5("gpt-5-pro", "2025-10-06", ("high",), apis=_RESPONSES),
    _gpt_5("gpt-5.1", "2025-11-13", _NONE),
    _gpt_5("gpt-5.1-codex", "2025-11-13", _NONE, apis=_RESPONSES),
    _gpt_5("gpt-5.1-codex-max", "2025-12-04", _XHIGH, apis=_RESPONSES),
    _gpt_5("gpt-5.2", "2025-12-11", _XHIGH),
    _gpt_5("gpt-5.4", "2026-03-05", _XHIGH),
    _gpt_5("gpt-5.5", "2026-04-24", _XHIGH),
    _gpt_5("gpt-5.6-sol", "2026-07-09", _MAX),
    _gpt_5("gpt-5.6-terra", "2026-07-09", _MAX),
    _gpt_5("gpt-5.6-luna", "2026-07-09", _MAX),
    _gpt_5("gpt-6-sol", "2026-09-22", _MAX),
    _gpt_5("gpt-6.1-sol", "2026-09-29", _MAX[1:]),
    Model("text-embedding-3-small", "1", ("embeddings",), 8_192, dimensions=1_536),
    Model("text-embedding-3-large", "1", ("embeddings",), 8_192, dimensions=3_072),
    Model("text-embedding-ada-002", "2", ("embeddings",), 8_192, dimensions=1_536),
)
MODELS = dict(reversed({model.name: model for model in reversed(ALL_MODELS)}.items()))
_BY_VERSION = {(model.name, model.version): model for model in ALL_MODELS}


def model_of(name: str, version: str = "") -> Model:
    """`version`: empty for the one a deployment gets that names none. Raises `KeyError`."""
    return _BY_VERSION[name, version] if version else MODELS[name]


def versions_of(name: str) -> list[str]:
    return [version for known, version in _BY_VERSION if known == name]


SKUS = ("Standard", "DataZoneStandard", "GlobalStandard", *PROVISIONED_SKUS)

REGIONS = {
    "australiaeast": "Australia East",
    "brazilsouth": "Brazil South",
    "canadacentral": "Canada Central",
    "canadaeast": "Canada East",
    "centralus": "Central US",
    "eastus": "East US",
    "eastus2": "East US 2",
    "francecentral": "France Central",
    "germanywestcentral": "Germany West Central",
    "italynorth": "Italy North",
    "japaneast": "Japan East",
    "koreacentral": "Korea Central",
    "northcentralus": "North Central US",
    "norwayeast": "Norway East",
    "polandcentral": "Poland Central",
    "southafricanorth": "South Africa North",
    "southcentralus": "South Central US",
    "southindia": "South India",
    "spaincentral": "Spain Central",
    "swedencentral": "Sweden Central",
    "switzerlandnorth": "Switzerland North",
    "uaenorth": "UAE North",
    "uksouth": "UK South",
    "westeurope": "West Europe",
    "westus": "West US",
    "westus3": "West US 3",
}

CLASSIC_VERSIONS = frozenset(
    {
        "2022-12-01",
        "2023-05-15",
        "2023-12-01-preview",
        "2024-02-01",
        "2024-02-15-preview",
        "2024-05-01-preview",
        "2024-06-01",
        "2024-07-01-preview",
        "2024-08-01-preview",
        "2024-09-01-preview",
        "2024-10-21",
        "2024-12-01-preview",
        "2025-01-01-preview",
        "2025-02-01-preview",
        "2025-03-01-preview",
        "2025-04-01-preview",
    }
)
V1_VERSIONS = frozenset({"", "v1", "preview", "latest"})  # none is fine there


def listing() -> dict[str, Any]:
    """The answer of `GET models`: what a resource could deploy, not what it has deployed."""
    return {"object": "list", "data": [_listed(model) for model in ALL_MODELS]}


def listed(served: str) -> dict[str, Any] | None:
    """The answer of `GET models/{served}`."""
    return next((_listed(model) for model in ALL_MODELS if model.served == served), None)


def _listed(model: Model) -> dict[str, Any]:
    return {
        "id": model.served,
        "object": "model",
        "status": "succeeded",
        "created_at": 1_700_000_000,
        "lifecycle_status": "generally-available",
        "capabilities": {
            "fine_tune": False,
            "inference": True,
            "completion": "completions" in model.apis,
            "chat_completion": "chat" in model.apis,
            "embeddings": "embeddings" in model.apis,
        },
    }
