"""Small faults put into a module, one at a time: whether a test notices each of them says what the tests see.

Annotations, decorators and texts are left alone: they are for readers and type checkers, and how a message is
worded is not worth a test. What is changed: comparisons, boundaries, arithmetic, numbers, truth values,
conditions, the parts of `and` and `or`, min and max, constants of an enumeration, entries of tables, and
statements that are left out.
"""

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
CONDITIONS = {"test", "ifs", "guard"}
LEFT_ALONE = {"annotation", "returns", "decorator_list", "bases", "keywords"}

Change = tuple[ast.AST, str]  # what a node becomes, and in words
Put = Callable[[ast.AST], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one fault. `change` says what was changed on `line`."""

    line: int
    change: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    tree = ast.parse(source)
    constants = enumerations(tree)
    for node, field, put in places(tree):
        for other, change in changes(node, field, constants):
            if ast.unparse(other) != ast.unparse(node):
                put(other)
                yield Mutant(getattr(node, "lineno", 0), change, ast.unparse(tree))
        put(node)


def places(node: ast.AST) -> Iterator[tuple[ast.AST, str, Put]]:
    """Every node below this one, the field it stands in, and how to put another there."""
    for field, value in ast.iter_fields(node):
        if field in LEFT_ALONE and not isinstance(node, ast.Call):
            continue
        if isinstance(value, ast.AST):
            yield value, field, partial(setattr, node, field)
            yield from places(value)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield item, field, partial(value.__setitem__, index)
                    yield from places(item)


def enumerations(tree: ast.AST) -> dict[str, list[str]]:
    """The constants that the module names, by the name they hang on: `Fate.FREE`."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if attr.isupper():
                if attr not in found[name]:
                    found[name].append(attr)
            case _:
                pass
    return found


def changes(node: ast.AST, field: str, constants: dict[str, list[str]]) -> Iterator[Change]:
    if field in CONDITIONS:
        yield from (into(node, ast.Constant(fixed)) for fixed in (True, False))
    yield from operators(node)
    yield from values(node, constants)
    yield from statements(node)


def into(node: ast.AST, other: ast.AST) -> Change:
    return other, f"{ast.unparse(node)}  ->  {ast.unparse(other)}"


def operators(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=rights):
            for index, op in enumerate(ops):
                for other in COMPARISONS[type(op)]:
                    yield into(node, ast.Compare(left, [*ops[:index], other(), *ops[index + 1 :]], rights))
        case ast.BoolOp(op=both, values=parts):
            for index in range(len(parts)):
                rest = parts[:index] + parts[index + 1 :]
                yield into(node, rest[0] if len(rest) == 1 else ast.BoolOp(both, rest))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield into(node, operand)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in ARITHMETIC:
            yield into(node, ast.BinOp(left, ARITHMETIC[type(sign)](), right))
        case ast.AugAssign(target=target, op=sign, value=value) if type(sign) in ARITHMETIC:
            yield into(node, ast.AugAssign(target, ARITHMETIC[type(sign)](), value))
        case _:
            pass


def values(node: ast.AST, constants: dict[str, list[str]]) -> Iterator[Change]:
    match node:
        case ast.Constant(value=bool(value)):
            yield into(node, ast.Constant(not value))
        case ast.Constant(value=int(value) | float(value)):
            yield from (into(node, ast.Constant(value + step)) for step in (1, -1))
        case ast.Name(id=name) if name in FUNCTIONS:
            yield into(node, ast.Name(FUNCTIONS[name]))
        case ast.Attribute(value=ast.Name(id=name), attr=attr) if attr in constants.get(name, ()):
            members = constants[name]
            other = members[(members.index(attr) + 1) % len(members)]
            yield into(node, ast.Attribute(ast.Name(name), other))
        case ast.Set(elts=elements):
            for index, element in enumerate(elements):
                yield ast.Set(elements[:index] + elements[index + 1 :]), f"without {ast.unparse(element)}"
        case ast.Dict(keys=keys, values=entries):
            for index, key in enumerate(keys):
                rest = ast.Dict(keys[:index] + keys[index + 1 :], entries[:index] + entries[index + 1 :])
                yield rest, f"without {ast.unparse(key or entries[index])}"
        case _:
            pass


def statements(node: ast.AST) -> Iterator[Change]:
    """A statement left out, where the rest runs without it: names must stay assigned."""
    match node:
        case ast.Assign(targets=[ast.Name()]):
            pass
        case (
            ast.Assign()
            | ast.AugAssign()
            | ast.Expr(value=ast.Call())
            | ast.Raise()
            | ast.Return(value=None)
            | ast.Break()
            | ast.Continue()
        ):
            yield into(node, ast.Pass())
        case _:
            pass
