"""The config.yaml of a LiteLLM proxy, made into settings."""

from smalt.config.litellm.convert import Converted, convert
from smalt.config.litellm.report import Remark

__all__ = ["Converted", "Remark", "convert"]
