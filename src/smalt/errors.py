"""The whole error tree. Everything smalt raises on purpose is a `SmaltError`.

SmaltError
├── MissingExtra                 an optional part is not installed
├── ConfigurationError           something is wrong before any call
│   ├── InvalidEndpoint
│   ├── InvalidDeployment
│   └── MissingAuth
├── RequestError                 the caller asked wrongly; another attempt cannot help
│   ├── InvalidRequest
│   ├── InvalidGatewayKey
│   ├── PermissionDenied
│   ├── ModelNotAvailableError
│   ├── UnsupportedOperation
│   └── PayloadTooLarge
└── UpstreamError                the other side failed
    ├── DeploymentNotFound
    ├── UpstreamAuthFailed
    │   └── Unauthorized
    ├── RateLimited
    ├── QueueFull
    ├── NoUpstreamAvailable
    ├── UpstreamTimeout
    └── StreamInterrupted

Each class says, for programs: `code`, `http_status` (None: raised before any call), `status` (the gRPC
name), `retryable`; and for people: a message and `resolution`, the steps that mend it. Instances hold
primitives only, so that they can be logged and pickled.
"""

from collections.abc import Sequence
from typing import ClassVar


class SmaltError(Exception):
    """Root of everything smalt raises."""

    code: ClassVar[str] = "smalt_error"
    type: ClassVar[str] = "smalt_error"  # OpenAI's coarser word for the same thing
    http_status: ClassVar[int | None] = None
    status: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False
    resolution: tuple[str, ...] = ()

    def __init__(self, message: str, *, resolution: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        if resolution is not None:
            self.resolution = tuple(resolution)


class MissingExtra(SmaltError):
    """An optional part of smalt is used but not installed."""

    code = "missing_extra"
    status = "FAILED_PRECONDITION"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part of smalt: pip install 'smalt[{extra}]'")
        self.args = (what, extra)  # what pickle gives back to the constructor

    def __str__(self) -> str:
        return self.message


class ConfigurationError(SmaltError):
    """The configuration cannot be used. `problems` holds every fault found, one line each."""

    code = "invalid_configuration"
    type = "invalid_request_error"
    status = "INVALID_ARGUMENT"

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__("\n".join([message, *problems]) if problems else message)
        self.problems = tuple(problems)


class InvalidEndpoint(ConfigurationError):
    """The endpoint is missing or not a usable URL."""

    code = "invalid_endpoint"
    resolution = ("Use the resource's endpoint, for example https://contoso.openai.azure.com.",)


class InvalidDeployment(ConfigurationError):
    """The deployment name is missing or malformed."""

    code = "invalid_deployment"
    resolution = ("Use the deployment's exact, case-sensitive name as the Azure portal shows it.",)


class MissingAuth(ConfigurationError):
    """Neither a key nor a token is configured."""

    code = "missing_auth"
    resolution = ("Set AZURE_OPENAI_API_KEY, or api_keys of the resource in smalt.yaml.",)


class RequestError(SmaltError):
    """The caller asked wrongly; another attempt cannot help."""

    type = "invalid_request_error"
    http_status = 400
    status = "INVALID_ARGUMENT"


class InvalidRequest(RequestError):
    """The request cannot be read or holds a refused value."""

    code = "invalid_request_error"


class InvalidGatewayKey(RequestError):
    """The gateway was called without a key, or with one it does not know."""

    code = "invalid_gateway_key"
    type = "authentication_error"
    http_status = 401
    status = "UNAUTHENTICATED"
    resolution = ("Send a gateway key in Authorization: Bearer, api-key or X-API-Key.",)


class PermissionDenied(RequestError):
    """The key is known but not allowed to do this."""

    code = "permission_denied"
    type = "permission_error"
    http_status = 403
    status = "PERMISSION_DENIED"


class ModelNotAvailableError(RequestError):
    """No upstream is configured for the model."""

    code = "model_not_found"
    http_status = 404
    status = "NOT_FOUND"
    resolution = ("Ask for a configured model (GET /v1/models), or add a deployment of it to smalt.yaml.",)


class UnsupportedOperation(RequestError):
    """The path or method is not one smalt serves."""

    code = "unsupported_operation"


class PayloadTooLarge(RequestError):
    """The request body exceeds the limit."""

    code = "payload_too_large"
    http_status = 413


class UpstreamError(SmaltError):
    """The other side failed.

    `causes`: one line per failed attempt. `retry_after_s`: when another try may succeed, None if unknown.
    """

    type = "api_error"
    http_status: ClassVar[int | None] = 503
    status = "UNAVAILABLE"

    def __init__(
        self,
        message: str,
        *,
        causes: Sequence[str] = (),
        retry_after_s: float | None = None,
        resolution: Sequence[str] | None = None,
    ) -> None:
        super().__init__(message, resolution=resolution)
        self.causes = tuple(causes)
        self.retry_after_s = retry_after_s


class DeploymentNotFound(UpstreamError):
    """No configured resource has the deployment."""

    code = "DeploymentNotFound"
    type = "invalid_request_error"
    http_status = 404
    status = "NOT_FOUND"
    resolution = (
        "Compare the deployment names in smalt.yaml with the Azure portal: exact and case-sensitive.",
        "A deployment created less than 5 minutes ago may not answer yet.",
    )


class UpstreamAuthFailed(UpstreamError):
    """Every upstream refused smalt's own credential: not the caller's fault."""

    code = "upstream_auth_failed"
    http_status = 502
    resolution = ("Check the api_keys of the resources named above: the key must belong to that resource.",)


class Unauthorized(UpstreamAuthFailed):
    """The same, told by the library: there the credential is the caller's own."""

    code = "unauthorized"
    type = "authentication_error"
    http_status = 401
    status = "UNAUTHENTICATED"


class RateLimited(UpstreamError):
    """Every upstream of the model is out of quota."""

    code = "rate_limit_exceeded"
    type = "rate_limit_error"
    http_status = 429
    status = "RESOURCE_EXHAUSTED"
    retryable = True
    resolution = ("Wait for retry-after, add a deployment in another region, or raise the quota.",)


class QueueFull(UpstreamError):
    """Too many calls wait for a free upstream."""

    code = "queue_full"
    type = "rate_limit_error"
    http_status = 429
    status = "RESOURCE_EXHAUSTED"
    retryable = True
    resolution = ("Send fewer calls at a time, or add a deployment.",)


class NoUpstreamAvailable(UpstreamError):
    """Every upstream of the model failed or is cooling down."""

    code = "no_upstream_available"
    retryable = True
    resolution = ("Try again after retry-after; the causes above name each upstream.",)


class UpstreamTimeout(UpstreamError):
    """No answer in time. The request was sent, so it may have been billed: not repeated silently."""

    code = "timeout"
    type = "timeout_error"
    http_status = 504
    status = "DEADLINE_EXCEEDED"
    resolution = ("Raise timeouts in smalt.yaml, stream the answer, or set retry.after_timeout: true.",)


class StreamInterrupted(UpstreamError):
    """A stream broke after content had reached the caller; it is never silently repeated.

    `partial`: the text received so far, up to 1 MiB; empty where it is not kept (the gateway).
    """

    code = "stream_interrupted"
    http_status = None
    status = "ABORTED"
    resolution = ("Ask again, or continue from the text received so far.",)

    def __init__(self, message: str, *, partial: str = "") -> None:
        super().__init__(message)
        self.partial = partial
