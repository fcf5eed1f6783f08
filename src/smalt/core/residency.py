"""Whether a deployment keeps its data within a residency zone.

A regional deployment processes prompts where its resource is, one of a data zone anywhere in that zone, every
other anywhere in the world. What is not known counts as outside. Source: Azure OpenAI, "Deployment types".
"""

from collections.abc import Collection
from typing import Final

from smalt.core.settings import UpstreamSpec

DATA_ZONES: Final = frozenset({"apac", "eu", "us"})
_REGIONAL = frozenset({"standard", "provisionedmanaged"})
_OF_A_DATA_ZONE = frozenset({"datazonestandard", "datazoneprovisionedmanaged"})


def inside(spec: UpstreamSpec, zone: str, regions: Collection[str]) -> bool:
    """Whether all that `spec` is sent stays in the zone of this name. `regions`: those of the zone; case and
    spaces do not matter."""
    return why_outside(spec, zone, regions) is None


def why_outside(spec: UpstreamSpec, zone: str, regions: Collection[str]) -> str | None:
    """The reason for people, None if it is inside."""
    if spec.sku is None or spec.region is None:
        return f"its {'SKU' if spec.sku is None else 'region'} is not known"
    sku = spec.sku.lower()
    if sku not in _REGIONAL | _OF_A_DATA_ZONE:
        return f"{spec.sku} is not known to stay in its region"
    if _plain(spec.region) not in map(_plain, regions):
        return f"{spec.region} is not in {zone}"
    if sku in _OF_A_DATA_ZONE and zone.lower() not in DATA_ZONES:
        return f"{spec.sku} may leave its region, and {zone} is no data zone of Azure"
    return None


def _plain(region: str) -> str:
    """Azure's name of a region (swedencentral), also if it is given by its display name (Sweden Central)."""
    return region.lower().replace(" ", "")
