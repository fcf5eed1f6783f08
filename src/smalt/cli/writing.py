"""Files that commands write."""

from pathlib import Path

from smalt.errors import ConfigurationError


def write_text(path: Path, text: str) -> None:
    """Raises ConfigurationError."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
