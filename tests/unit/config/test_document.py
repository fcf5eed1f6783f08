"""Problems: where they are, what they are called, how they are raised."""

import pytest

from smalt.config.document import (
    SECRETS,
    ConfigProblem,
    Document,
    KeyPath,
    Place,
    dotted,
    is_secret,
    raise_problems,
)
from smalt.config.identity import Identity
from smalt.config.schema import Gateway, GatewayKey, Resource
from smalt.errors import ConfigurationError, InvalidEndpoint, MissingAuth


def test_a_problem_reads_as_one_line() -> None:
    """File, line and column come first, as editors and terminals expect."""
    problem = ConfigProblem("smalt.yaml", 12, 5, "resources.east.endpoit", "unknown key")
    assert str(problem) == "smalt.yaml:12:5: resources.east.endpoit: unknown key"


def test_a_problem_without_position_is_named_by_its_path() -> None:
    """Settings built by programs have no file."""
    assert str(ConfigProblem("", 0, 0, "retry", "unknown key")) == "retry: unknown key"


def test_a_problem_takes_the_nearest_known_place() -> None:
    """What is missing is reported where it should stand."""
    document = Document("smalt.yaml", places={("resources", "east"): Place("smalt.yaml", 2, 3)})
    document.report(("resources", "east", "endpoint"), "missing")
    assert [str(p) for p in document.problems] == ["smalt.yaml:2:3: resources.east.endpoint: missing"]


def test_a_setting_is_reported_once() -> None:
    """What follows from a known problem at, above or beneath a path is not reported as well."""
    document = Document()
    document.report(("gateway", "keys", 0), "first")
    document.report(("gateway", "keys", 0), "same")
    document.report(("gateway", "keys"), "above")
    document.report(("gateway", "keys", 0, "alias"), "beneath")
    document.report(("gateway", "keys", 1), "beside")
    assert [p.message for p in document.problems] == ["first", "beside"]


def test_problems_of_one_kind_raise_that_kind() -> None:
    """A program can catch the exact error."""
    document = Document("smalt.yaml")
    document.report(("a",), "wrong", InvalidEndpoint)
    with pytest.raises(InvalidEndpoint) as caught:
        document.stop_if_faulty()
    assert caught.value.problems == ("smalt.yaml: a: wrong",)
    assert str(caught.value) == "smalt.yaml cannot be used:\nsmalt.yaml: a: wrong"


def test_problems_of_several_kinds_raise_their_root() -> None:
    """A mixture is a configuration error."""
    document = Document()
    document.report(("a",), "wrong", InvalidEndpoint)
    document.report(("b",), "wrong", MissingAuth)
    with pytest.raises(ConfigurationError) as caught:
        document.stop_if_faulty()
    assert type(caught.value) is ConfigurationError


def test_problems_come_in_the_order_of_the_file() -> None:
    """Whichever step finds them, they are read from top to bottom."""
    document = Document("f", places={("a",): Place("f", 2, 1), ("b",): Place("f", 1, 1)})
    document.report(("a",), "second")
    document.report(("b",), "first")
    with pytest.raises(ConfigurationError) as caught:
        document.stop_if_faulty()
    assert caught.value.problems == ("f:1:1: b: first", "f:2:1: a: second")


def test_what_was_read_does_not_trail_along() -> None:
    """A traceback shows no other error, whose text may quote the file."""
    try:
        raise ValueError("s3cret")
    except ValueError:
        with pytest.raises(ConfigurationError) as caught:
            raise_problems("f", [])
    assert caught.value.__suppress_context__


def test_paths_are_dotted() -> None:
    """List items stand in brackets."""
    assert dotted(("models", "gpt-4o", "route", 0)) == "models.gpt-4o.route[0]"


def test_every_secret_field_is_known_as_one() -> None:
    """The fields that are never shown are exactly those the schema keeps secret."""
    fields = {
        name
        for section in (Resource, Identity, Gateway, GatewayKey)
        for name, field in section.model_fields.items()
        if "Secret" in str(field)
    }
    assert fields == SECRETS
    assert is_secret(("resources", "east", "api_keys", 0))
    assert not is_secret(("resources", "east", "endpoint"))
    assert not is_secret(())
    assert not is_secret(("quotas", "token"))


@pytest.mark.parametrize(
    ("path", "lost"),
    [
        (("resources",), True),
        (("resources", "east"), True),
        (("resources", "east", "deployments"), True),
        (("resources", "east", "deployments", "d"), True),
        (("resources", "east", "deployments", "d", "sku"), False),
        (("resources", "east", "endpoint"), False),
        (("models", "gpt-4o"), False),
    ],
)
def test_deployments_that_are_lost(path: KeyPath, lost: bool) -> None:
    """What refers to one may be right."""
    document = Document()
    document.mark_faulty(path)
    assert document.lost_deployments() is lost
