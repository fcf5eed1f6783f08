"""Settings as data, in few words."""

from collections.abc import Mapping
from typing import Any

from smalt.config import from_data
from smalt.config.schema import Settings


def resource(deployments: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """A deployment is its model, or all its fields."""
    written = {name: {"model": d} if isinstance(d, str) else d for name, d in deployments.items()}
    endpoint = f"https://{fields.get('region', 'contoso')}.openai.azure.com"
    return {"endpoint": endpoint, "api_keys": ["k"], "deployments": written, **fields}


def settings(resources: Mapping[str, Any], **sections: Any) -> Settings:
    """Checked; raises ConfigurationError."""
    return from_data({"resources": resources, **sections})


def standard(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "sku": "Standard", **fields}
