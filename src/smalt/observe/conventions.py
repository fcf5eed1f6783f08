"""Names of OpenTelemetry's semantic conventions for generative AI, as of 2026; they are still in development.

Source: opentelemetry-semantic-conventions 0.66b2, `gen_ai`; boundaries: GenAI metrics, "client metrics".
"""

from collections.abc import Mapping
from typing import Final

from smalt.config.schema import Resource
from smalt.types import Operation

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
FIRST_CHUNK_S: Final = "gen_ai.response.time_to_first_chunk"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  no secret
ERROR_TYPE: Final = "error.type"
HTTP_STATUS: Final = "http.response.status_code"

TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105  no secret
OPERATION_DURATION: Final = "gen_ai.client.operation.duration"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"

TOKEN_BOUNDS: Final = tuple(4**power for power in range(14))  # 1 to 67,108,864
DURATION_BOUNDS_S: Final = tuple(round(0.01 * 2**power, 2) for power in range(14))  # 0.01 to 81.92

AZURE: Final = "azure.ai.openai"
OPENAI: Final = "openai"

OPERATION_NAMES: Final = {
    Operation.CHAT: "chat",
    Operation.RESPONSES: "chat",  # has no name of its own
    Operation.COMPLETIONS: "text_completion",
    Operation.EMBEDDINGS: "embeddings",
}


def providers(resources: Mapping[str, Resource]) -> dict[str, str]:
    """By upstream."""
    return {
        f"{name}/{deployment}": OPENAI if resource.kind == "openai" else AZURE
        for name, resource in resources.items()
        for deployment in resource.deployments
    }
