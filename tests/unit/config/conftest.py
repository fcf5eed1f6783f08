"""Ways to configure smalt from a text."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from smalt.config import Settings, load
from smalt.errors import ConfigurationError

Load = Callable[..., Settings]
Problems = Callable[..., list[str]]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """Load a text as `smalt.yaml`."""

    def from_text(text: str, **env: str) -> Settings:
        (tmp_path / "smalt.yaml").write_text(text, encoding="utf-8")
        return load(env=env, cwd=tmp_path)

    return from_text


@pytest.fixture
def problems(loaded: Load) -> Problems:
    """The problems of a text as `smalt.yaml`; without the file's name."""

    def of_text(text: str, **env: str) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            loaded(text, **env)
        return [line.removeprefix("smalt.yaml:") for line in caught.value.problems]

    return of_text


@pytest.fixture
def environment_problems(tmp_path: Path) -> Callable[[Mapping[str, str]], ConfigurationError]:
    """What is wrong with an environment where there is no file."""

    def of(env: Mapping[str, str]) -> ConfigurationError:
        with pytest.raises(ConfigurationError) as caught:
            load(env=env, cwd=tmp_path)
        return caught.value

    return of
