"""Fleets before an emulator that serves TLS, with Entra ID, managed identities and a Key Vault."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.integration.emulator.identity.conftest import Azure, azure_world, shared_azure

from smalt.config import Settings

__all__ = ["azure_world", "shared_azure"]

Written = Callable[..., Settings]


@pytest.fixture
def settings_of(azure_world: Azure) -> Written:
    """Resources that serve gpt-4o, by name."""
    return partial(settings_at, azure_world)


def settings_at(azure: Azure, resources: dict[str, dict[str, Any]], **rest: Any) -> Settings:
    return Settings.model_validate(
        {
            "resources": {
                name: {
                    "endpoint": azure.handle.url(name),
                    "deployments": {"gpt-4o-prod": {"model": "gpt-4o"}},
                    **resource,
                }
                for name, resource in resources.items()
            },
            **rest,
        }
    )


def application(azure: Azure, principal: str = "app", **more: Any) -> dict[str, Any]:
    """An identity by client secret."""
    return {
        "kind": "client_secret",
        **azure.ids(principal),
        "client_secret": f"{principal}-secret",
        "authority": azure.authority,
        **more,
    }
