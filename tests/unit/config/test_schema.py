"""The shape of the file as programs see it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from smalt.config import json_schema
from smalt.config.schema import Deployment, Gateway, GatewayKey, OwnPrice, Resource, Retry, Settings
from smalt.config.section import Section

CONTOSO = "https://contoso.openai.azure.com"


def sections(base: type[BaseModel] = Section) -> Iterator[type[BaseModel]]:
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


@pytest.mark.parametrize(
    ("written", "tokens"),
    [("120000", 120_000), ("120k", 120_000), ("1.5m", 1_500_000), ("1.5M", 1_500_000), (7, 7), ("0.5k", 500)],
)
def test_tokens_may_be_written_short(written: object, tokens: int) -> None:
    """k stands for a thousand, m for a million."""
    assert Deployment.model_validate({"model": "m", "quota_tpm": written}).quota_tpm == tokens


@pytest.mark.parametrize("written", ["0", "-1k", "0.5", "1g", "k", "1e3", "", " ", True, 0, "1.0001k", "٣"])
def test_tokens_are_whole_and_above_zero(written: object) -> None:
    """Anything else is refused, or absent if empty."""
    if written == "":
        assert Deployment.model_validate({"quota_tpm": written}).quota_tpm is None
        return
    with pytest.raises(ValidationError, match="expected a whole number of tokens above 0"):
        Deployment.model_validate({"quota_tpm": written})


@pytest.mark.parametrize("written", ["nan", "inf", "-1", "x", True, float("inf")])
def test_durations_are_finite_and_not_negative(written: object) -> None:
    """A backoff of 0 is allowed."""
    assert Retry.model_validate({"base_s": "0"}).base_s == 0
    with pytest.raises(ValidationError, match="expected a number of seconds, 0 or more"):
        Retry.model_validate({"base_s": written})


@pytest.mark.parametrize(("written", "size"), [({}, 0), ({"size": 0}, 0), ({"size": "500"}, 500)])
def test_a_cache_has_a_size_or_is_none(written: dict[str, object], size: int) -> None:
    """Without one nothing is kept."""
    assert Settings.model_validate({"cache": written}).cache.size == size


@pytest.mark.parametrize(
    ("written", "usd"),
    [("2.5", "2.5"), (2.5, "2.5"), (0.1, "0.1"), (3, "3"), ("0", "0"), ("0.000001", "0.000001")],
)
def test_prices_are_decimal(written: object, usd: str) -> None:
    """Text or number, and no float in between."""
    price = OwnPrice.model_validate({"input_usd": written, "output_usd": 1})
    assert price.input_usd == Decimal(usd)


@pytest.mark.parametrize("written", ["-1", "1e-6", "0.0000001", "nan", "2,5", "$2", True, 1e-7, "٣", [1]])
def test_other_prices_are_refused(written: object) -> None:
    """Nothing is rounded."""
    with pytest.raises(ValidationError, match="expected USD, 0 or more, with at most six decimals"):
        OwnPrice.model_validate({"input_usd": written, "output_usd": 1})


def test_an_empty_value_is_the_default() -> None:
    """`region:` and `region: ""` say nothing."""
    resource = Resource.model_validate({"endpoint": CONTOSO, "region": "", "api": None, "deployments": None})
    assert resource == Resource(endpoint=CONTOSO)


def test_empty_keys_are_left_out() -> None:
    """A second key that is not set does not count."""
    resource = Resource.model_validate({"api_keys": [" key\n", "", "  "]})
    assert [key.get_secret_value() for key in resource.api_keys] == ["key"]


def test_keys_never_print() -> None:
    """Neither in a repr, nor in a dump, nor in an error."""
    data = {"resources": {"east": {"api_keys": ["s3cret"]}}, "gateway": {"admin_key": "s3cret"}}
    settings = Settings.model_validate(data)
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"gateway": {"admin_key": ["s3cret"], "s": "s3cret"}})
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(caught.value)):
        assert "s3cret" not in text


def test_programs_build_the_same_objects() -> None:
    """Constructors and data lead to equal settings."""
    built = Settings(
        resources={
            "east": Resource(
                endpoint=CONTOSO,
                api_keys=(SecretStr("k"),),
                deployments={"d": Deployment(model="gpt-4o", quota_tpm=1000)},
            )
        },
        gateway=Gateway(keys=(GatewayKey(alias="ci", key=SecretStr("g")),)),
    )
    assert built == Settings.model_validate(
        {
            "resources": {
                "east": {
                    "endpoint": CONTOSO,
                    "api_keys": ["k"],
                    "deployments": {"d": {"model": "gpt-4o", "quota_tpm": "1k"}},
                }
            },
            "gateway": {"keys": [{"alias": "ci", "key": "g"}]},
        }
    )


def test_a_route_is_always_a_tuple_of_pools() -> None:
    """A single name is a pool of one."""
    settings = Settings.model_validate({"models": {"m": {"route": ["a/x", ["b/x", "c/x"]]}}})
    assert settings.models["m"].route == (("a/x",), ("b/x", "c/x"))


@pytest.mark.parametrize(
    ("listen", "address"), [("127.0.0.1:8000", ("127.0.0.1", 8000)), ("[::1]:0", ("::1", 0))]
)
def test_listen_is_host_and_port(listen: str, address: tuple[str, int]) -> None:
    """Brackets around an IPv6 address are not part of it."""
    assert Gateway(listen=listen).address == address


def test_every_key_is_described() -> None:
    """The reference page and the JSON schema have a text for each."""
    missing = [
        f"{section.__name__}.{name}"
        for section in sections()
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert not missing


def test_the_json_schema_knows_every_section_and_what_is_required() -> None:
    """Editors complete keys and mark what is unknown or missing."""
    schema: dict[str, Any] = json_schema()
    assert set(schema["$defs"]) == {section.__name__ for section in sections()} - {"Settings"}
    assert schema["$defs"]["Resource"]["required"] == ["endpoint", "deployments"]
    assert schema["$defs"]["Resource"]["additionalProperties"] is False
    assert schema["$defs"]["Gateway"]["properties"]["secrets"]["x-built"] is False
