"""The whole error tree. Everything smalt raises on purpose is a `SmaltError`.

SmaltError
├── MissingExtra                 an optional part is not installed
├── ConfigurationError           something is wrong before any call
│   ├── InvalidEndpoint
│   ├── InvalidDeployment
│   └── MissingAuth
├── RoundsExceeded               a run of an agent did not come to its end
├── RequestError                 the caller asked wrongly; another attempt cannot help
│   ├── InvalidRequest
│   ├── ContentFiltered
│   ├── ContextTooLong
│   ├── InvalidGatewayKey
│   ├── PermissionDenied
│   ├── PolicyDenied
│   ├── ModelNotAvailableError
│   ├── NotFound
│   ├── UnsupportedOperation
│   ├── PayloadTooLarge
│   └── BudgetExceeded
└── UpstreamError                the other side failed
    ├── DeploymentNotFound
    ├── UpstreamAuthFailed
    │   └── Unauthorized
    ├── RateLimited
    ├── QueueFull
    ├── ServiceUnavailable
    ├── Overloaded
    ├── NoUpstreamAvailable
    ├── UpstreamTimeout
    └── StreamInterrupted

Each class says, for programs: `code`, `http_status` (None: raised before any call), `status` (the gRPC
name), `retryable`; and for people: a message, the cause (the first line of the docstring) and `resolution`,
the steps that mend it. docs/reference/errors.md is made of them. Some are never raised: they name what Azure
answered itself. Instances hold primitives only, so that they can be logged and pickled.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

PAGE: Final = "docs/reference/errors.md"  # what bodies of errors link to, a heading for each code


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

    @classmethod
    def cause(cls) -> str:
        """What this kind of error means, in a sentence; empty where Python drops docstrings (-OO)."""
        return (cls.__doc__ or "").partition("\n")[0]


class MissingExtra(SmaltError):
    """An optional part of smalt is used but not installed."""

    code = "missing_extra"
    status = "FAILED_PRECONDITION"

    def __init__(self, what: str, extra: str = "", package: str = "") -> None:
        """`package`: what to install where that is none of smalt's extras."""
        needed = f"{package}: pip install {package}"
        part = f"an optional part of smalt: pip install 'smalt[{extra}]'"
        super().__init__(f"{what} needs {needed if package else part}")
        self.args = (what, extra, package)  # what pickle gives back to the constructor

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
    resolution = (
        "Use the resource's endpoint as the Azure portal shows it, for example https://contoso.openai.azure.com.",
        "It must begin with https://; http is for this machine only, or with allow_http: true.",
    )


class InvalidDeployment(ConfigurationError):
    """The deployment name is missing or malformed."""

    code = "invalid_deployment"
    resolution = (
        "Use the deployment's exact, case-sensitive name as the Azure portal shows it.",
        "See there that its state is Succeeded.",
    )


class MissingAuth(ConfigurationError):
    """Neither a key nor a token is configured."""

    code = "missing_auth"
    resolution = ("Set AZURE_OPENAI_API_KEY, pass api_key, or give the resource api_keys in smalt.yaml.",)


class RoundsExceeded(SmaltError):
    """An agent went on calling tools until its run had made all the requests it may."""

    code = "rounds_exceeded"
    status = "RESOURCE_EXHAUSTED"
    resolution = (
        "See what the tools answer: a model repeats a call whose answer does not help it.",
        "Raise max_rounds of the agent in smalt.yaml if it needs so many.",
    )


class RequestError(SmaltError):
    """The caller asked wrongly; another attempt cannot help."""

    type = "invalid_request_error"
    http_status = 400
    status = "INVALID_ARGUMENT"


class InvalidRequest(RequestError):
    """The request cannot be read or holds a refused value."""

    code = "invalid_request_error"
    resolution: tuple[str, ...] = (
        "Mend the parameter the message names: its value, its spelling, or that this model takes it.",
        "Every message needs a role and content; tools need a JSON schema.",
    )


class ContentFiltered(RequestError):
    """The content filter blocked the prompt; Azure bills it all the same."""

    code = "content_filter"
    resolution = (
        "Change the prompt: the same one is blocked again, everywhere.",
        "innererror in the answer's body names the category; Azure lets you adjust the deployment's filter.",
    )


class ContextTooLong(RequestError):
    """The prompt, with the answer it asks for, is longer than the model's window."""

    code = "context_length_exceeded"
    resolution = (
        "Shorten the messages or lower max_tokens.",
        "Give the model a fallback with a larger window in smalt.yaml.",
    )


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
    resolution = (
        "At the gateway: ask for a model this key may use, or have the key's models extended.",
        "At Azure: check the role (Cognitive Services OpenAI User), the tenant and the network rules.",
        "See that the resource takes keys at all: key access can be disabled.",
    )


class PolicyDenied(RequestError):
    """A rule of the gateway forbids the request, or what the model answered."""

    code = "policy_denied"
    type = "permission_error"
    http_status = 403
    status = "PERMISSION_DENIED"
    resolution = (
        "The message says what is forbidden; leave it out.",
        "Who runs the gateway can change the rule in smalt.yaml.",
    )


class ModelNotAvailableError(RequestError):
    """No upstream is configured for the model."""

    code = "model_not_found"
    http_status = 404
    status = "NOT_FOUND"
    resolution = ("Ask for a configured model (GET /v1/models), or add a deployment of it to smalt.yaml.",)


class NotFound(RequestError):
    """Azure does not know the path, the API version, or an id in the request."""

    code = "not_found"
    http_status = 404
    status = "NOT_FOUND"
    resolution = (
        "Check api_version: the operation may need a newer one, and old ones retire.",
        "Ids (responses, files) are known only to the resource that made them, and not forever.",
    )


class UnsupportedOperation(RequestError):
    """The path or method is not one smalt serves."""

    code = "unsupported_operation"
    resolution = (
        "Use chat completions, responses, completions or embeddings; send others to Azure directly.",
    )


class PayloadTooLarge(RequestError):
    """The request body exceeds the limit."""

    code = "payload_too_large"
    http_status = 413
    resolution = ("Send less at a time: fewer or smaller images, files or texts.",)


class BudgetExceeded(RequestError):
    """The request may take more tokens than a budget of one's own has left. It was not sent."""

    code = "budget_exceeded"
    type = "insufficient_quota"
    http_status = 429
    status = "RESOURCE_EXHAUSTED"
    resolution = ("Wait for the next period, raise the budget in smalt.yaml, or lower max_tokens.",)


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
        "Ask by the deployment's name, which need not be its model's; exact and case-sensitive.",
        "Compare the deployment names in smalt.yaml with the Azure portal.",
        "az cognitiveservices account deployment list --name RESOURCE --resource-group GROUP lists them.",
        "See that the endpoint is that of the resource, and region, which has the deployment.",
        "A deployment created less than 5 minutes ago may not answer yet.",
    )


class UpstreamAuthFailed(UpstreamError):
    """Every upstream refused smalt's own credential: not the caller's fault."""

    code = "upstream_auth_failed"
    http_status = 502
    resolution = (
        "Check the api_keys of the resources named above: the key must belong to that resource.",
        "Regenerate the key in the Azure portal (Keys and Endpoint) if it was rotated.",
        "See that the subscription is active, and that network rules let this machine in.",
    )


class Unauthorized(UpstreamAuthFailed):
    """Every upstream refused the credential; told by the library, where it is the caller's own."""

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
    resolution = (
        "Wait for retry-after, then try again.",
        "Send less: shorter prompts, a lower max_tokens (it counts in full), fewer calls at a time.",
        "Raise the deployment's tokens per minute in Azure, or add a deployment in another region.",
    )


class QueueFull(UpstreamError):
    """Too many calls wait for a free upstream."""

    code = "queue_full"
    type = "rate_limit_error"
    http_status = 429
    status = "RESOURCE_EXHAUSTED"
    retryable = True
    resolution = ("Send fewer calls at a time, or add a deployment.",)


class ServiceUnavailable(UpstreamError):
    """Every upstream that was asked answered that it cannot serve now."""

    code = "service_unavailable"
    retryable = True
    resolution = (
        "Try again after a moment; such faults mostly pass in minutes.",
        "See https://status.azure.com for an outage.",
        "Add a deployment in another region: it answers while this one cannot.",
    )


class Overloaded(UpstreamError):
    """The gateway carries as much as it may, or is being stopped. Nothing was sent."""

    code = "overloaded"
    retryable = True
    resolution = (
        "Try again after retry-after; another gateway may answer at once.",
        "Raise gateway.limits in smalt.yaml if the machine has room, or run more workers.",
    )


class NoUpstreamAvailable(UpstreamError):
    """Every upstream of the model failed or is cooling down."""

    code = "no_upstream_available"
    retryable = True
    resolution = (
        "Try again after retry-after; the causes name each upstream.",
        "Where a connection is refused, check the endpoint, DNS and the network from this machine.",
    )


class UpstreamTimeout(UpstreamError):
    """No answer in time; the request was sent and may have been billed, so it is not repeated silently."""

    code = "timeout"
    type = "timeout_error"
    http_status = 504
    status = "DEADLINE_EXCEEDED"
    resolution = (
        "Give it longer: the client's timeout, and timeouts in smalt.yaml.",
        "Stream the answer, or ask for less: a shorter prompt, a lower max_tokens.",
        "Set retry.after_timeout: true if a request may be billed twice.",
    )


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


def _tree(branch: type[SmaltError]) -> Iterator[type[SmaltError]]:
    yield branch
    for leaf in branch.__subclasses__():
        yield from _tree(leaf)


BY_CODE: Final[Mapping[str, type[SmaltError]]] = {
    error_class.code: error_class for error_class in _tree(SmaltError) if "code" in vars(error_class)
}
