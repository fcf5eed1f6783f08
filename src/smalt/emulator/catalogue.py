"""What the offline Azure knows of the world: its models, regions and api-versions."""

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["chat", "embeddings"]


@dataclass(frozen=True, slots=True)
class Model:
    """`window`: tokens of prompt and answer together; of an embeddings model: tokens of one item.

    `max_output`: tokens of one answer. `dimensions`: length of an embedding.
    """

    name: str
    version: str
    kind: Kind
    window: int
    max_output: int = 0
    dimensions: int = 0

    @property
    def served(self) -> str:
        """The name answers carry: never the deployment's; chat models with their version."""
        return f"{self.name}-{self.version}" if self.kind == "chat" else self.name

    @property
    def shortens(self) -> bool:
        """Whether a request may choose the length of its embeddings."""
        return self.name.startswith("text-embedding-3-")


MODELS = {
    model.name: model
    for model in (
        Model("gpt-4o", "2024-11-20", "chat", 128_000, 16_384),
        Model("gpt-4o-mini", "2024-07-18", "chat", 128_000, 16_384),
        Model("gpt-4-turbo", "2024-04-09", "chat", 128_000, 4_096),
        Model("gpt-4", "0613", "chat", 8_192, 8_192),
        Model("gpt-35-turbo", "0125", "chat", 16_385, 4_096),
        Model("gpt-4.1", "2025-04-14", "chat", 1_047_576, 32_768),
        Model("gpt-4.1-mini", "2025-04-14", "chat", 1_047_576, 32_768),
        Model("gpt-4.1-nano", "2025-04-14", "chat", 1_047_576, 32_768),
        Model("text-embedding-3-small", "1", "embeddings", 8_192, dimensions=1_536),
        Model("text-embedding-3-large", "1", "embeddings", 8_192, dimensions=3_072),
        Model("text-embedding-ada-002", "2", "embeddings", 8_192, dimensions=1_536),
    )
}

SKUS = ("Standard", "DataZoneStandard", "GlobalStandard")

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
    return {
        "object": "list",
        "data": [
            {
                "id": model.served,
                "object": "model",
                "status": "succeeded",
                "created_at": 1_700_000_000,
                "lifecycle_status": "generally-available",
                "capabilities": {
                    "fine_tune": False,
                    "inference": True,
                    "completion": False,
                    "chat_completion": model.kind == "chat",
                    "embeddings": model.kind == "embeddings",
                },
            }
            for model in MODELS.values()
        ],
    }
