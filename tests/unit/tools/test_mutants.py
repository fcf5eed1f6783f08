"""Which small faults are put into a module, each on one line of code."""

import ast

import pytest
from tools.mutants import mutants


def faulty(source: str) -> list[str]:
    return [mutant.source for mutant in mutants(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a < b", ["x = a <= b", "x = a >= b"]),
        ("x = a is None", ["x = a is not None"]),
        ("x = a < b < c", ["x = a <= b < c", "x = a >= b < c", "x = a < b <= c", "x = a < b >= c"]),
        ("x = a and b", ["x = b", "x = a"]),
        ("x = a or b or c", ["x = b or c", "x = a or c", "x = a or b"]),
        ("x = not a", ["x = a"]),
        ("x = -a", ["x = a"]),
        ("x = a + b", ["x = a - b"]),
        ("x = a ** b", ["x = a * b"]),
        ("x = 5", ["x = 6", "x = 4"]),
        ("x = True", ["x = False"]),
        ("x = min(a, b)", ["x = max(a, b)"]),
        ("x = a if b else c", ["x = a if True else c", "x = a if False else c"]),
        ("if True:\n    x", ["if False:\n    x"] * 2),
        ("x = [a for a in b if c]", ["x = [a for a in b if True]", "x = [a for a in b if False]"]),
        ("x = {a, b}", ["x = {b}", "x = {a}"]),
        ("x = {a: b, c: d}", ["x = {c: d}", "x = {a: b}"]),
        ("x = (F.A, F.B)", ["x = (F.B, F.B)", "x = (F.A, F.A)"]),
        ("x += a", ["x -= a", "pass"]),
        ("x.y = a", ["pass"]),
        ("f(a)", ["pass"]),
        ("raise a", ["pass"]),
    ],
)
def test_every_kind_of_fault(source: str, expected: list[str]) -> None:
    """One fault at a time, each in a module of its own."""
    assert faulty(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A text."""',
        "x = 'a text'",
        "x: int | None",
        "def f(a: Literal[1]) -> Literal[2]:\n    return a",
        "@dataclass(frozen=True)\nclass A(B, metaclass=C):\n    pass",
        "x = a",
        "x = F.A",
    ],
)
def test_what_is_left_alone(source: str) -> None:
    """Texts, annotations, decorators, and what has no other value."""
    assert faulty(source) == []


def test_a_mutant_says_where_and_what() -> None:
    """The line is that of the source; only the changed part is shown."""
    (first, *_) = mutants("x = y\n\nz = f(a, b < c)")
    assert (first.line, first.change) == (3, "b < c  ->  b <= c")


def test_faults_do_not_add_up() -> None:
    """Each mutant differs from the source in one place: the source is whole again before the next."""
    source = "def f(a):\n    a.b = 1\n    if a and a.c < 2:\n        raise E\n    return min(a.b + 1, 3)"
    lines = ast.unparse(ast.parse(source)).splitlines()
    for mutant in mutants(source):
        changed = [line for line in mutant.source.splitlines() if line not in lines]
        assert len(changed) == 1
