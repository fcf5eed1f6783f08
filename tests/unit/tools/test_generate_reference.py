"""The generated files follow the schema."""

import re
import subprocess
import sys
from pathlib import Path

import smalt

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "generate_reference.py"
FILES = (
    "docs/reference/configuration.md",
    "docs/reference/errors.md",
    "docs/reference/library.md",
    "docs/reference/metrics.md",
    "docs/reference/models.md",
    "smalt.schema.json",
    ".env.example",
)


def run(tool: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, tool, *arguments], capture_output=True, text=True, check=False)


def test_the_generated_files_are_current() -> None:
    """A change of the schema without them fails."""
    assert run(TOOL, "--check").stdout == ""


def test_stale_files_are_named_and_written(tmp_path: Path) -> None:
    """One line each; writing mends them."""
    tool = tmp_path / "tools" / "generate_reference.py"
    tool.parent.mkdir()
    tool.write_text(TOOL.read_text())
    checked = run(tool, "--check")
    assert checked.returncode == 1
    assert [line.partition(" ")[0] for line in checked.stdout.splitlines()] == list(FILES)
    assert run(tool).returncode == 0
    assert run(tool, "--check").returncode == 0
    assert (tmp_path / FILES[0]).read_text() == (ROOT / FILES[0]).read_text()


def test_the_library_page_names_what_can_be_imported() -> None:
    """All of it, and nothing private; errors by their table."""
    page = (ROOT / FILES[2]).read_text()
    named = set(re.findall(r"`smalt\.([A-Za-z]\w*)", page)) - {"yaml", "errors", "integrations"}
    assert named <= set(smalt.__all__)
    assert [name for name in smalt.__all__ if name not in named and f"`{name}`" not in page] == []
    assert re.findall(r"\*\*`[\w.]*\b_\w+|\*\*`\._\w+", page) == []


def test_what_is_not_built_is_marked() -> None:
    """In its own table and in the tables of everything beneath."""
    lines = (ROOT / FILES[0]).read_text().splitlines()
    status = {
        line.split("`")[1]: line.rstrip("| ").rpartition("| ")[2] for line in lines if line.startswith("| `")
    }
    assert status["endpoint"] == "built"
    assert {status[key] for key in ("secrets", "state_dir", "store")} == {"not built yet"}
