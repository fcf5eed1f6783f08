"""`smalt config`: what is in effect, and changes to the file."""

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from smalt.config import json_schema
from smalt.config.change import changed
from smalt.config.check import check
from smalt.config.document import ConfigProblem, Document, KeyPath, dotted, meant
from smalt.config.effective import Effective, effective
from smalt.config.fill import UNSET
from smalt.config.keys import key_path, kind_at
from smalt.config.loading import FILE, complete, read
from smalt.config.read import parse
from smalt.config.yaml_text import flow, yaml_text
from smalt.errors import ConfigurationError

if sys.platform != "win32":
    import fcntl

BOM = "\ufeff"
HEAD = "# In effect. Beside a value stands where it comes from; without that, it is the default.\n"


def print_schema() -> None:
    print(json.dumps(json_schema(), indent=2))


def show(path: Path | None, overlay: str | None, *, as_json: bool) -> None:
    """Raises ConfigurationError with every problem."""
    view = _view(path, overlay, whole=as_json)
    if as_json:
        origins = {
            dotted(key): {"where": origin.where, "written": origin.written}
            for key, origin in view.origins.items()
        }
        print(json.dumps(view.data | {"origins": origins}, indent=2))
    else:
        beside = {key: str(origin) for key, origin in view.origins.items()}
        print(HEAD + yaml_text(view.data, beside=beside), end="")


def get(key: str, path: Path | None, overlay: str | None, *, as_json: bool) -> None:
    """Raises ConfigurationError with every problem, or if there is no such key."""
    at = key_path(key)
    value: Any = _view(path, overlay, whole=True).data
    for depth, step in enumerate(at):
        names = dict(enumerate(value)) if isinstance(value, list) else value
        if not isinstance(names, dict) or step not in names:
            hint = meant(str(step), map(str, names)) if isinstance(value, dict) else ""
            raise ConfigurationError(f"{dotted(at[: depth + 1])} is not set{hint}")
        value = names[step]
    print(value if isinstance(value, str) and not as_json else json.dumps(value))


def change(key: str, text: str, path: Path | None) -> None:
    """Raises ConfigurationError if it is no key, the value is a secret, or would be wrong; the file stays as
    it was then."""
    name = str(path or FILE)
    file = (Path.cwd() / name).resolve()  # a link stays one
    at = key_path(key)
    with _locked(file.parent):
        written = _text(file, name)
        before = written.removeprefix(BOM)
        after, document, new = _changed(before, at, text, name, file.parent)
        _replace(file, written.removesuffix(before) + after)
    for line in _told(document, at, text, new):
        print(line)


def _changed(
    before: str, at: KeyPath, text: str, name: str, folder: Path
) -> tuple[str, Document, list[ConfigProblem]]:
    """What the file will hold, checked, and the problems that are new. Raises ConfigurationError."""
    known = {(problem.path, problem.message) for problem in _checked(before, name, folder).problems}
    after = changed(before, at, _value(text, at))
    document = _checked(after, name, folder)
    _refuse_secrets(document, at)
    new = [problem for problem in document.problems if (problem.path, problem.message) not in known]
    if wrong := [str(problem) for problem in new if not problem.message.startswith(UNSET)]:
        raise ConfigurationError(f"{name} is left as it was; with that it would be wrong:", problems=wrong)
    return after, document, new


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One change at a time: each reads what the last one wrote. The folder is locked, as the file is
    replaced; where folders cannot be locked (Windows, some network drives) nothing is."""
    if sys.platform == "win32":
        yield
        return
    handle = None
    with suppress(OSError):  # what is wrong with the folder is told by reading the file
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _view(path: Path | None, overlay: str | None, *, whole: bool) -> Effective:
    document = read(path, env=os.environ, overlay=overlay, cwd=Path.cwd())
    return effective(check(document), document, whole=whole)


def _text(file: Path, name: str) -> str:
    """As it is, line ends and byte order mark included."""
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigurationError(
            f"{name}: no such file; make one: smalt init --output {shlex.quote(name)}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} is not UTF-8 text") from None
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror}") from None


def _checked(text: str, name: str, folder: Path) -> Document:
    """With its problems; what is no YAML raises."""
    document = parse(text, name)
    complete(document, folder, os.environ)
    with suppress(ConfigurationError):  # the document has them
        check(document)
    return document


def _value(text: str, path: KeyPath) -> Any:
    """Text where the schema wants text; a list or mapping in brackets; numbers, true and false."""
    if kind_at(path) in (str, SecretStr) or (": " in text and text[:1] not in ("{", "[")):
        return text
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        raise ConfigurationError(f"the value for {dotted(path)} is not valid YAML") from None
    return value if isinstance(value, bool | int | float | list | dict) else text


def _refuse_secrets(document: Document, path: KeyPath) -> None:
    for literal in document.literals:
        if literal[: len(path)] == path:
            raise ConfigurationError(
                f"{dotted(literal)} is a secret and does not belong in a file: put it into a variable and "
                "set '${NAME}' (in single quotes), or into the keyring (smalt secrets set NAME) and set "
                "keyring:NAME"
            )


def _told(document: Document, path: KeyPath, text: str, new: list[ConfigProblem]) -> Iterator[str]:
    yield str(document.problem(path, f"is now {text if kind_at(path) is str else flow(_value(text, path))}"))
    for problem in new:
        yield f"still missing: {problem}"


def _replace(file: Path, text: str) -> None:
    """At once, or not at all; owner and mode stay."""
    try:
        state = file.stat()
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(text.encode())
                out.flush()
                os.fsync(out.fileno())
            Path(name).chmod(state.st_mode & 0o7777)
            with suppress(PermissionError):
                os.chown(name, state.st_uid, state.st_gid)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from None
