"""How examples are found and read; pure."""

import pytest
from tests.docs.collect import Example, commands, examples, make_targets, script, smalt_arguments

PAGE = """# Title

```python
a = 1
```

<!-- run: gateway -->
```bash
curl x
```

<!-- in: tests/other.py -->
```python
c = 3
```

1. Item:
   <!-- not run: needs a real Azure resource -->

   ```python
   if a:

       b = 2
   ```

````text
```python
not an example
```
````
"""


def test_examples_carry_place_language_code_and_directive() -> None:
    """Blocks in lists are unindented; blocks quoted in a longer fence are text."""
    assert list(examples("a.md", PAGE)) == [
        Example("a.md", 3, "python", "a = 1\n"),
        Example("a.md", 8, "bash", "curl x\n", world="gateway"),
        Example("a.md", 13, "python", "c = 3\n", source="tests/other.py"),
        Example("a.md", 20, "python", "if a:\n\n    b = 2\n", reason="needs a real Azure resource"),
        Example("a.md", 26, "text", "```python\nnot an example\n```\n"),
    ]


@pytest.mark.parametrize("comment", ["<!-- not run: -->", "<!-- not run -->", "<!-- some note -->"])
def test_a_block_is_not_skipped_without_a_reason(comment: str) -> None:
    """Only the whole directive with a reason takes an example out."""
    (example,) = examples("a.md", f"{comment}\n```python\na\n```\n")
    assert example.reason is None


def test_a_directive_counts_for_the_next_block_only() -> None:
    """Text between comment and fence breaks the bond."""
    (example,) = examples("a.md", "<!-- not run: why -->\nBut:\n```python\na\n```\n")
    assert example.reason is None


def test_a_console_block_is_what_follows_the_dollar() -> None:
    """Output is not part of the script; continued lines are."""
    block = Example("a.md", 1, "console", "$ smalt demo\nall good\n$ curl \\\n  -s x\nok\n")
    assert script(block) == "smalt demo\ncurl \\\n  -s x\n"


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        ("make demo   # the tour\nmake run\n", [["make", "demo"], ["make", "run"]]),
        ("a 'b c' && d | e > f &", [["a", "b c"], ["d"], ["e"], ["f"]]),
        ("KEY=1 OTHER=2 uv run smalt serve", [["smalt", "serve"]]),
        ("export KEY=1\n\n\n", [["export", "KEY=1"]]),
        ("curl -d '{\n \"a\": 1}' \\\n  x", [["curl", "-d", '{\n "a": 1}', "x"]]),
        ("curl http://127.0.0.1:8000/#part", [["curl", "http://127.0.0.1:8000/#part"]]),
    ],
)
def test_commands(shell: str, expected: list[list[str]]) -> None:
    """A script falls apart into words, one list for each simple command."""
    assert list(commands(shell)) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["smalt", "serve"], ["serve"]),
        ([".venv/bin/smalt"], []),
        (["python", "-m", "smalt", "demo"], ["demo"]),
        (["pip", "install", "smalt"], None),
        (["python3", "-m", "venv", "smalt"], None),
    ],
)
def test_smalt_arguments(command: list[str], expected: list[str] | None) -> None:
    """Every spelling of a call of smalt is known; nothing else is taken for one."""
    assert smalt_arguments(command) == expected


def test_make_targets() -> None:
    """Variables and files are no targets."""
    assert make_targets("A := 1\ndemo: x ## text\nargs := 1\n.venv/bin/uv:\ntest:\n") == {"demo", "test"}
