"""Rules about the tree itself: mirrored tests, sizes, paths of one machine, links that lead somewhere."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
MIRRORED = ("core", "wire", "config", "dispatch", "auth", "observe")
FILE_LINES = 500
FUNCTION_LINES = 60

MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|Users)/")
CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(\s*<?([^)\s>#]+)")


def problems(files: list[Path], root: Path) -> Iterator[str]:
    """One line per broken rule. `files`: all files of the project, relative to `root`."""
    for file in files:
        yield from unmirrored(file, root)
        try:
            text = (root / file).read_text()
        except UnicodeDecodeError:  # an image or the like
            continue
        if MACHINE_PATH.search(text):
            yield f"{file}: names a path of one machine"
        if file.suffix == ".py":
            yield from too_long(file, text)
        elif file.suffix == ".md":
            yield from dead_links(file, text, root)


def unmirrored(file: Path, root: Path) -> Iterator[str]:
    """The layers of MIRRORED are tested file by file."""
    match file.parts:
        case ("src", "smalt", layer, *_) if layer in MIRRORED and file.suffix == ".py":
            test = Path("tests/unit", *file.parts[2:-1], f"test_{file.name}")
            if file.name != "__init__.py" and not (root / test).exists():
                yield f"{file}: has no {test}"
        case _:
            pass


def too_long(file: Path, text: str) -> Iterator[str]:
    if (lines := text.count("\n")) > FILE_LINES:
        yield f"{file}: {lines} lines; at most {FILE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{file}:{node.lineno}: {node.name} has {lines} lines; at most {FUNCTION_LINES}"


def dead_links(file: Path, text: str, root: Path) -> Iterator[str]:
    """Links to files; the web is not asked."""
    for target in LINK.findall(CODE.sub("", text)):
        if "://" not in target and not target.startswith("mailto:"):
            base = root if target.startswith("/") else (root / file).parent
            if not (base / target.lstrip("/")).exists():
                yield f"{file}: link to {target}, which is not there"


def project_files() -> list[Path]:
    """What git tracks, and what it would."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


if __name__ == "__main__":
    found = list(problems(project_files(), ROOT))
    print("\n".join(found))
    sys.exit(bool(found))
