"""What keeps data within a zone."""

import pytest

from smalt.core.residency import inside, why_outside
from smalt.core.settings import UpstreamSpec

REGIONS = ("swedencentral", "westeurope")


def deployment(sku: str | None, region: str | None = "swedencentral") -> UpstreamSpec:
    return UpstreamSpec("r/d", "gpt-4o", region, sku)


@pytest.mark.parametrize(
    ("zone", "sku", "is_inside"),
    [
        ("eu", "Standard", True),
        ("eu", "ProvisionedManaged", True),
        ("eu", "DataZoneStandard", True),
        ("eu", "DataZoneProvisionedManaged", True),
        ("EU", "DataZoneStandard", True),
        ("eu", "standard", True),
        ("nordic", "Standard", True),
        ("nordic", "ProvisionedManaged", True),
        ("nordic", "DataZoneStandard", False),
        ("nordic", "DataZoneProvisionedManaged", False),
        ("eu", "DataZoneBatch", False),
        ("eu", "GlobalStandard", False),
        ("eu", "GlobalProvisionedManaged", False),
        ("eu", "GlobalBatch", False),
        ("eu", "DeveloperTier", False),
        ("eu", "Standart", False),
        ("eu", None, False),
    ],
)
def test_the_deployment_type_decides_where_data_may_go(zone: str, sku: str | None, is_inside: bool) -> None:
    """Regional ones stay, those of a data zone stay in that zone, and nothing else is known to stay."""
    assert inside(deployment(sku), zone, REGIONS) is is_inside


@pytest.mark.parametrize("region", ["eastus", "swedensouth", "sweden", None])
@pytest.mark.parametrize("sku", ["Standard", "DataZoneStandard", "ProvisionedManaged"])
def test_other_regions_are_outside(sku: str, region: str | None) -> None:
    """An unknown one too."""
    assert not inside(deployment(sku, region), "eu", REGIONS)


@pytest.mark.parametrize("region", ["swedencentral", "Sweden Central", "SWEDENCENTRAL"])
@pytest.mark.parametrize("listed", ["swedencentral", "Sweden Central"])
def test_a_region_may_be_spelled_both_ways(region: str, listed: str) -> None:
    """By Azure's name or its display name."""
    assert inside(deployment("Standard", region), "eu", [listed])


@pytest.mark.parametrize(
    ("spec", "zone", "reason"),
    [
        (deployment("Standard"), "eu", None),
        (deployment(None), "eu", "its SKU is not known"),
        (deployment("Standard", None), "eu", "its region is not known"),
        (deployment("Standard", "eastus"), "eu", "eastus is not in eu"),
        (deployment("GlobalStandard"), "eu", "GlobalStandard is not known to stay in its region"),
        (
            deployment("DataZoneStandard"),
            "nordic",
            "DataZoneStandard may leave its region, and nordic is no data zone of Azure",
        ),
    ],
)
def test_the_reason_is_told(spec: UpstreamSpec, zone: str, reason: str | None) -> None:
    """Whoever is shut out learns why."""
    assert why_outside(spec, zone, REGIONS) == reason
