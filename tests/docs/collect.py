"""Finds the code examples of Markdown files and takes their command lines apart.

An HTML comment right above a fence steers what happens to it:

    <!-- run: gateway -->        a gateway is running; OPENAI_BASE_URL and OPENAI_API_KEY lead to it
    <!-- run: library -->        an emulator is running; smalt.yaml in the working directory points at it,
                                 its control plane stands for 127.0.0.1:8100
    <!-- run: fleet -->          the smalt.yaml alone, before an emulator of its own
    <!-- run: emulator -->       an emulator is running; its control plane stands for 127.0.0.1:8100
    <!-- run: tests -->          the block is a file of tests
    <!-- in: tests/a.py -->      its lines stand in that file, in this order, and are run there
    <!-- not run: the reason --> neither run nor checked
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.DOTALL | re.MULTILINE,
)
_DIRECTIVE = re.compile(r"<!-- *(not run|run|in): *(\S.*?) *-->")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_SEPARATORS = "();<>|&\n"


@dataclass(frozen=True, slots=True)
class Example:
    """A fenced block. `world`: what must be running for it. `source`: the file it is
    taken from, if so. `reason`: why it is not run, if so."""

    file: str
    line: int
    language: str
    code: str
    world: str = "plain"
    source: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def examples(file: str, text: str) -> Iterator[Example]:
    """Every fenced block of `text`; `line` is that of its fence."""
    for match in _FENCE.finditer(text):
        indent = len(match["indent"])
        code = "".join(line[indent:] or "\n" for line in match["code"].splitlines(keepends=True))
        before = text[: match.start()]
        directive = _DIRECTIVE.fullmatch(before.rstrip().rpartition("\n")[2].strip())
        verb, what = directive.groups() if directive else ("run", "plain")
        yield Example(
            file,
            before.count("\n") + 1,
            match["language"],
            code,
            world=what if verb == "run" else "plain",
            source=what if verb == "in" else None,
            reason=what if verb == "not run" else None,
        )


def script(example: Example) -> str:
    """What a person would type: of a console block only the lines after a `$`."""
    if example.language != "console":
        return example.code
    typed = re.findall(r"^\$ ((?:.*\\\n)*.*)", example.code, re.MULTILINE)
    return "\n".join([*typed, ""])


def commands(shell: str) -> Iterator[list[str]]:
    """Each simple command as a list of words, without the variables set before it and `uv run`."""
    text = _COMMENT.sub("", shell.replace("\\\n", " "))
    lexer = shlex.shlex(text, posix=True, punctuation_chars=_SEPARATORS)
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in [*lexer, "\n"]:
        if word.strip(_SEPARATORS):
            words.append(word)
            continue
        while words and (re.match(r"\w+=", words[0]) or words[:2] == ["uv", "run"]):
            del words[: 2 if words[0] == "uv" else 1]
        if words:
            yield words
        words = []


def smalt_arguments(command: list[str]) -> list[str] | None:
    """The arguments if `command` calls smalt in one of its spellings, else None."""
    match command:
        case [program, "-m", "smalt", *arguments] if Path(program).name.startswith("python"):
            return arguments
        case [program, *arguments] if Path(program).name == "smalt":
            return arguments
        case _:
            return None


def make_targets(makefile: str) -> set[str]:
    """The targets a person may call."""
    return set(re.findall(r"^([a-z]\w*):(?!=)", makefile, re.MULTILINE))
