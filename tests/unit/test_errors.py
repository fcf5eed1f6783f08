import pickle

import pytest

from smalt import errors
from smalt.errors import BY_CODE, ConfigurationError, MissingExtra, RequestError, SmaltError, UpstreamError


def tree(root: type[SmaltError] = SmaltError) -> list[type[SmaltError]]:
    return [root] + [leaf for branch in root.__subclasses__() for leaf in tree(branch)]


def make(error_class: type[SmaltError]) -> SmaltError:
    return MissingExtra("the gateway", "gateway") if error_class is MissingExtra else error_class("it broke")


# code: HTTP status, gRPC name, and whether a new call may succeed
PROMISES = {
    "smalt_error": (None, "INTERNAL", False),
    "missing_extra": (None, "FAILED_PRECONDITION", False),
    "invalid_configuration": (None, "INVALID_ARGUMENT", False),
    "invalid_endpoint": (None, "INVALID_ARGUMENT", False),
    "invalid_deployment": (None, "INVALID_ARGUMENT", False),
    "missing_auth": (None, "INVALID_ARGUMENT", False),
    "rounds_exceeded": (None, "RESOURCE_EXHAUSTED", False),
    "invalid_request_error": (400, "INVALID_ARGUMENT", False),
    "content_filter": (400, "INVALID_ARGUMENT", False),
    "context_length_exceeded": (400, "INVALID_ARGUMENT", False),
    "invalid_gateway_key": (401, "UNAUTHENTICATED", False),
    "permission_denied": (403, "PERMISSION_DENIED", False),
    "policy_denied": (403, "PERMISSION_DENIED", False),
    "model_not_found": (404, "NOT_FOUND", False),
    "not_found": (404, "NOT_FOUND", False),
    "unsupported_operation": (400, "INVALID_ARGUMENT", False),
    "payload_too_large": (413, "INVALID_ARGUMENT", False),
    "budget_exceeded": (429, "RESOURCE_EXHAUSTED", False),
    "DeploymentNotFound": (404, "NOT_FOUND", False),
    "upstream_auth_failed": (502, "UNAVAILABLE", False),
    "unauthorized": (401, "UNAUTHENTICATED", False),
    "rate_limit_exceeded": (429, "RESOURCE_EXHAUSTED", True),
    "queue_full": (429, "RESOURCE_EXHAUSTED", True),
    "service_unavailable": (503, "UNAVAILABLE", True),
    "overloaded": (503, "UNAVAILABLE", True),
    "no_upstream_available": (503, "UNAVAILABLE", True),
    "timeout": (504, "DEADLINE_EXCEEDED", False),
    "stream_interrupted": (None, "ABORTED", False),
}
CODED = [error_class for error_class in tree() if "code" in vars(error_class)]


def test_the_drawing_is_the_tree() -> None:
    """The drawing at the top of the file names every class, in the tree's own order."""
    drawing = next(part for part in (errors.__doc__ or "").split("\n\n") if "──" in part)
    drawn = [line.lstrip("│├└─ ").split()[0] for line in drawing.splitlines()]
    assert drawn == [error_class.__name__ for error_class in tree()]


def test_codes_are_unique() -> None:
    """No two kinds of error share a code."""
    codes = [error_class.code for error_class in CODED]
    assert len(set(codes)) == len(codes)


def test_errors_are_found_by_their_codes() -> None:
    """All that have one."""
    assert list(BY_CODE.values()) == CODED


@pytest.mark.parametrize("error_class", CODED)
def test_every_error_tells_its_cause(error_class: type[SmaltError]) -> None:
    """In one short sentence; a caller's or upstream's fault comes with steps that mend it."""
    assert error_class.cause().endswith((".", "`."))
    assert len(error_class.cause()) <= 110
    roots = (MissingExtra, ConfigurationError, SmaltError)
    assert error_class.resolution or error_class in roots


def test_every_code_makes_its_promise() -> None:
    """HTTP status, gRPC name and whether to try again belong to the code; the table leaves none out."""
    assert {error.code: (error.http_status, error.status, error.retryable) for error in CODED} == PROMISES


@pytest.mark.parametrize("error_class", tree())
def test_every_error_speaks(error_class: type[SmaltError]) -> None:
    """The text of an error is its message."""
    error = make(error_class)
    assert str(error) == error.message
    assert error.message


def test_a_missing_part_is_one_line_with_the_command() -> None:
    """The message says what to install."""
    assert str(MissingExtra("The gateway", "gateway")) == (
        "The gateway needs an optional part of smalt: pip install 'smalt[gateway]'"
    )


def test_a_missing_package_of_others_is_named() -> None:
    """Where what is missing is none of smalt's extras; the error survives pickling."""
    error = pickle.loads(pickle.dumps(MissingExtra("The kernel", package="semantic-kernel")))  # noqa: S301  our own
    assert str(error) == "The kernel needs semantic-kernel: pip install semantic-kernel"


def test_own_steps_replace_the_usual_ones() -> None:
    """An error may bring steps that fit better, even none."""
    assert RequestError("x", resolution=["a", "b"]).resolution == ("a", "b")
    assert list(errors.RateLimited("x", resolution=[]).resolution) == []


def test_a_configuration_error_lists_every_problem() -> None:
    """One line for each fault found."""
    error = ConfigurationError("2 problems", problems=["a", "b"])
    assert str(error) == "2 problems\na\nb"
    assert error.problems == ("a", "b")


def test_an_upstream_error_keeps_its_causes() -> None:
    """Causes and the time of a next try are kept as plain values."""
    error = UpstreamError("x", causes=["a"], retry_after_s=1.5)
    assert (error.causes, error.retry_after_s) == (("a",), 1.5)
    assert (UpstreamError("x").causes, UpstreamError("x").retry_after_s) == ((), None)


@pytest.mark.parametrize(
    "error",
    [
        RequestError("x", resolution=["a"]),
        ConfigurationError("x", problems=["a", "b"]),
        errors.RateLimited("x", causes=["a"], retry_after_s=2.0),
        MissingExtra("The gateway", "gateway"),
    ],
)
def test_errors_survive_pickling(error: SmaltError) -> None:
    """An error that crosses a process is the same on the other side."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert type(copy) is type(error)
    assert (copy.args, vars(copy)) == (error.args, vars(error))
