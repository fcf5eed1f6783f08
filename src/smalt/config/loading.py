"""Read, fill and check in one go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smalt.config.check import check
from smalt.config.document import LITERAL, Document, Place, raise_problems
from smalt.config.environment import read_environment
from smalt.config.fill import fill_variables, read_secret_files, with_dotenv
from smalt.config.read import merge, read_file
from smalt.config.schema import Settings

FILE = "smalt.yaml"
PRODUCTION = frozenset({"prod", "production"})  # overlays that stand for it


def load(
    path: Path | None = None, *, env: Mapping[str, str], overlay: str | None = None, cwd: Path
) -> Settings:
    """Load a file, or `smalt.yaml` in `cwd` if there is one, or else what the environment says.

    `overlay`: prod lays `environments/prod.yaml`, beside the file, over it; under that name, and under
    `production`, no secret may stand in the files themselves. Raises ConfigurationError with every problem at
    once; InvalidEndpoint, InvalidDeployment or MissingAuth if all are of that kind.
    """
    return check(read(path, env=env, overlay=overlay, cwd=cwd))


def read(
    path: Path | None = None, *, env: Mapping[str, str], overlay: str | None = None, cwd: Path
) -> Document:
    """What `load` checks. Raises ConfigurationError if a file cannot be read at all."""
    file = cwd / (path or FILE)
    folder = file.parent
    if path is None and not file.exists():
        if overlay:
            raise_problems(FILE, [Place(FILE).problem("", f"no such file to lay --env {overlay} over")])
        document = read_environment(with_dotenv(env, cwd))
        read_secret_files(document, folder)
        return document
    document = read_file(file, _name(file, cwd))
    if overlay:
        document = merge(document, _read_overlay(overlay, folder, cwd))
    complete(document, folder, env)
    if overlay in PRODUCTION:
        for secret in document.literals:
            document.report(secret, f"{LITERAL}; --env {overlay} refuses it")
    return document


def sources(path: Path | None = None, *, overlay: str | None = None, cwd: Path) -> list[Path]:
    """The files that `load` reads, or would read if they were there."""
    file = cwd / (path or FILE)
    laid_over = [_overlay_file(overlay, file.parent)] if overlay else []
    return [file, *laid_over, file.parent / ".env"]


def complete(document: Document, folder: Path, env: Mapping[str, str]) -> None:
    """Fill in what a file in `folder` refers to."""
    fill_variables(document, with_dotenv(env, folder))
    read_secret_files(document, folder)


def from_data(data: Mapping[str, Any]) -> Settings:
    """Settings that a program gives as plain data, shaped like the file. Raises as `load` does."""
    return check(Document(data=dict(data)))


def json_schema() -> dict[str, Any]:
    """The JSON schema of `smalt.yaml`, for editors."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
    return schema | {"title": "smalt.yaml"}


def _read_overlay(overlay: str, folder: Path, cwd: Path) -> Document:
    file = _overlay_file(overlay, folder)
    return read_file(file, _name(file, cwd))


def _overlay_file(overlay: str, folder: Path) -> Path:
    return folder / "environments" / f"{overlay}.yaml"


def _name(file: Path, cwd: Path) -> str:
    return str(file.relative_to(cwd) if file.is_relative_to(cwd) else file)
