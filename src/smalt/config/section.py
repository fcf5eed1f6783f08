"""What every part of `smalt.yaml` has in common, and how secrets stand in it."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr, model_validator


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _without_empty(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    return tuple(key for key in keys if key.get_secret_value())


Secret = Annotated[SecretStr, BeforeValidator(_stripped)]
Secrets = Annotated[tuple[Secret, ...], AfterValidator(_without_empty)]


class Section(BaseModel):
    """What every part of the file has in common."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, data: object) -> object:
        """`region:` and `region: "${REGION:-}"` leave the default."""
        if not isinstance(data, dict):
            return data
        return {k: v for k, v in data.items() if k not in cls.model_fields or v not in (None, "")}
