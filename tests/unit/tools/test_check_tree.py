"""The rules about the tree, each on a tree of two or three files."""

from pathlib import Path

import pytest
from tools.check_tree import FILE_LINES, FUNCTION_LINES, problems

LONG_FUNCTION = "def long() -> None:\n" + "    pass\n" * FUNCTION_LINES


def problems_of(root: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return list(problems([Path(name) for name in files], root))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"src/smalt/core/pool.py": ""},
            ["src/smalt/core/pool.py: has no tests/unit/core/test_pool.py"],
        ),
        ({"src/smalt/core/pool.py": "", "tests/unit/core/test_pool.py": ""}, []),
        ({"src/smalt/core/__init__.py": "", "src/smalt/cli/chat.py": ""}, []),
        ({"a.py": "\n" * FILE_LINES}, []),
        ({"a.py": "\n" * (FILE_LINES + 1)}, ["a.py: 501 lines; at most 500"]),
        ({"a.py": LONG_FUNCTION}, ["a.py:1: long has 61 lines; at most 60"]),
        ({"a.sh": "cd " + "/home" + "/me/here"}, ["a.sh: names a path of one machine"]),
        ({"a.md": "https://example.com/home/, ./root/, a/Users/"}, []),
        (
            {"docs/a.md": "[b](b.md#top) [r](../a.md)"},
            ["docs/a.md: link to b.md", "docs/a.md: link to ../a.md"],
        ),
        ({"docs/a.md": "[b](b.md#top) [up](../docs/b.md) [here](#here)", "docs/b.md": ""}, []),
        ({"a.md": "[web](https://example.com) [mail](mailto:a@example.com)"}, []),
        ({"a.md": "`[x](nowhere)`\n```\n[x](nowhere)\n```\n"}, []),
    ],
)
def test_rules(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    """A broken rule is one line that names the file; a kept rule is silent."""
    found = problems_of(tmp_path, files)
    assert [line.removesuffix(", which is not there") for line in found] == expected


def test_a_binary_file_is_passed_over(tmp_path: Path) -> None:
    """An image in the tree has no lines and no links."""
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\xff")
    assert list(problems([Path("logo.png")], tmp_path)) == []
