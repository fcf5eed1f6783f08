"""What every part of the file has in common."""

from smalt.config.schema import Resource


def test_what_is_empty_is_absent() -> None:
    """`region:` and `api_version: "${VERSION:-}"` leave the default."""
    resource = Resource.model_validate({"region": None, "api_version": ""})
    assert (resource.region, resource.api_version) == (None, "2024-10-21")


def test_empty_secrets_are_left_out() -> None:
    """A second key that is not set is no second key."""
    resource = Resource.model_validate({"api_keys": [" a ", ""]})
    assert [key.get_secret_value() for key in resource.api_keys] == ["a"]
