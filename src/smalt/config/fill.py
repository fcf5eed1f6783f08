"""Fill in what the file only refers to: `${VAR}`, `.env` and secrets in files."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from smalt.config.document import ConfigProblem, Document, KeyPath, Place, is_secret, raise_problems
from smalt.config.read import HALF, is_file, read_text
from smalt.config.references import fault_of, reference

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_PASSWORD = re.compile(r"(?:^|//)[^/@\s:]*:[^/@\s]+@")
_LINE = re.compile(
    r"""(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*
    (?:'(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<bare>[^'"\s#](?:[^\n]*?))?)
    \s*(?:(?<!\S)\#.*)?""",
    re.VERBOSE,
)
READ_AGAIN = frozenset({"api_keys", "client_secret"})
UNSET = "the environment variable"  # how the message about one begins
FILES = frozenset({"ca_file", "certificate_file", "key_file"})  # paths, relative to the file they stand in
NO_SECRET = frozenset(
    {"", "none", "empty", "unused", "no-key", "not-needed"}
)  # for servers that ask for no key
_ESCAPES = {r"\n": "\n", r"\r": "\r", r"\t": "\t"}


def with_dotenv(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment, completed by `.env` in the folder. An empty variable counts as unset."""
    path = folder / ".env"
    try:
        there = is_file(path)
    except OSError as error:
        raise_problems(".env", [Place(".env").problem("", f"cannot be read: {error.strerror}")])
    found = parse_dotenv(read_text(path, ".env"), ".env") if there else {}
    return found | {name: value for name, value in env.items() if value}


def parse_dotenv(text: str, name: str) -> dict[str, str]:
    """KEY=VALUE lines; quotes, comments and a leading `export` as a shell has them."""
    found: dict[str, str] = {}
    problems: list[ConfigProblem] = []
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        if not (match := _LINE.fullmatch(content)):
            problems.append(Place(name, number, 1).problem("", "expected KEY=VALUE"))
            continue
        value = match["single"] or match["bare"] or ""
        if match["double"]:
            value = re.sub(r"\\.", lambda m: _ESCAPES.get(m[0], m[0][1]), match["double"])
        found[match["name"]] = value
    if problems:
        raise_problems(name, problems)
    return found


def fill_variables(document: Document, env: Mapping[str, str]) -> None:
    """Replace `${VAR}`, `${VAR:-default}` and `$$` in all values and in the names of deployments; an empty
    variable counts as missing."""

    def fill(text: str, path: KeyPath) -> str:
        if "${" in _VARIABLE.sub("", text):
            document.report(path, "expected ${NAME} or ${NAME:-default}; write $$ for a dollar sign")
        if _is_literal(text, path):
            document.literals.append(path)
        elif "$" in text:
            document.written[path] = text
        return _VARIABLE.sub(lambda match: _value(match, path, document, env), text)

    document.data = _change(document.data, (), fill)
    resources = document.data.get("resources")
    for resource_name, resource in resources.items() if isinstance(resources, dict) else ():
        if isinstance(resource, dict) and isinstance(resource.get("deployments"), dict):
            path = ("resources", resource_name, "deployments")
            resource["deployments"] = _renamed(document, path, resource["deployments"], fill)


def _value(match: re.Match[str], path: KeyPath, document: Document, env: Mapping[str, str]) -> str:
    name = match["name"]
    if name is None:
        return "$"
    found: str | None = env.get(name) or match["default"]
    if found is None:
        document.report(path, f"{UNSET} {name} is not set")
    elif HALF.search(found):  # how Python reads bytes that are no text
        document.report(path, f"expected UTF-8 text in the environment variable {name}")
        return ""
    return found or ""


def _is_literal(text: str, path: KeyPath) -> bool:
    """Whether a secret, or a part of it, stands here itself; a default of a variable does."""
    rest = _VARIABLE.sub(lambda match: match["default"] or "", text).strip().removeprefix("Bearer").strip()
    if path == ("network", "proxy"):
        return _PASSWORD.search(rest) is not None
    return is_secret(path) and rest.lower() not in NO_SECRET and reference(rest) is None


def _renamed(
    document: Document, path: KeyPath, named: dict[str, Any], fill: Callable[[str, KeyPath], str]
) -> dict[str, Any]:
    """The same under filled names; what is known of the places goes along."""
    notes: tuple[dict[KeyPath, Any], ...] = (document.places, document.written)
    found: dict[str, Any] = {}
    for written, value in named.items():
        old = (*path, written)
        name = fill(written, old)
        if name in found:
            document.report(old, f"two deployments here are called '{name}'")
        if name != written:
            for known in notes:
                for place in [place for place in known if place[: len(old)] == old]:
                    known[(*path, name, *place[len(old) :])] = known.pop(place)
        found[name] = value
    return found


def read_secret_files(document: Document, folder: Path) -> None:
    """Replace `file:/path` by the content of the file where a secret stands; relative to the folder. What is
    read again when it was refused keeps the absolute path."""

    def content(text: str, path: KeyPath) -> str:
        if path and path[-1] in FILES:
            return _found(folder / text, path, document) if text else text
        if not (text.startswith("file:") and is_secret(path)):
            return text
        document.written.setdefault(path, text)
        file = folder / text.removeprefix("file:")
        secret = _secret_in(file, path, document)
        return f"file:{file.absolute()}" if secret and READ_AGAIN.intersection(path) else secret

    document.data = _change(document.data, (), content)


def _found(file: Path, path: KeyPath, document: Document) -> str:
    try:
        if not is_file(file):
            document.report(path, "no such file; a relative path begins at the folder of smalt.yaml")
    except OSError as error:
        document.report(path, f"the file cannot be read: {error.strerror}")
    return str(file)


def _secret_in(file: Path, path: KeyPath, document: Document) -> str:
    """Empty, and reported, if there is none."""
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        document.report(path, f"the secret file cannot be read: {reason}")
        return ""
    fault = "the secret file is empty" if not secret else fault_of(secret)
    if fault is not None:
        document.report(path, fault)
    return secret


def _change(value: Any, path: KeyPath, change: Callable[[str, KeyPath], str]) -> Any:
    """The same data with every text changed."""
    if isinstance(value, dict):
        return {key: _change(item, (*path, key), change) for key, item in value.items()}
    if isinstance(value, list):
        return [_change(item, (*path, index), change) for index, item in enumerate(value)]
    return change(value, path) if isinstance(value, str) else value
