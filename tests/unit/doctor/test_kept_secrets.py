"""Keys that are kept elsewhere, and cannot be had."""

import pytest

from smalt.config.identity import Identity
from smalt.config.network import Network
from smalt.doctor.kept_secrets import NotKept, read_key


def test_a_key_itself_is_kept_nowhere() -> None:
    """It is what the settings say."""
    assert read_key("the-key", Identity(), Network()) == "the-key"


def test_the_name_of_a_secret_is_one_word_to_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is called."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    with pytest.raises(NotKept) as caught:
        read_key("keyring:$(x)", Identity(), Network())
    assert caught.value.diagnosis.mend == ("smalt secrets set '$(x)'",)
