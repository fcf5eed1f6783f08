"""From a YAML file to plain data with positions. Values stay text: what they mean is the schema's business.

So `api_version: 2024-10-21` is no date, a key made of digits is no number, and nothing is lost on the way.
"""

import errno
import re
import stat
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from smalt.config.document import Document, KeyPath, Place, dotted, raise_problems

MAX_NODES = 50_000  # aliases of aliases grow without bound
_QUOTED = re.compile(r""" '(?!<[a-z ]+>')[^']{3,}'| "[^"]{3,}"|\n.*""", re.DOTALL)  # may be part of a secret
# How the parser's own words begin, and what they mean to somebody who does not know its terms.
_EXPLAINED = {
    r"found character '\t'": "a tab; indent with spaces",
    "found character": "a value cannot begin like this; put it in quotes",
    "mapping values are not allowed": "a second ': ' in one line; put the value in quotes",
    "could not find expected ':'": "a key here or above lacks its colon, or the space behind it",
    "found unexpected end of stream": "a quote is not closed",
    "expected <block end>, but found '<block mapping start>'": "not indented as the lines it belongs to",
    "expected <block end>, but found '?'": "a key that belongs to no mapping; look at the indentation above",
    "expected <block end>, but found '-'": "an item of a list among keys; look at the indentation",
    "expected <block end>": "what stands here belongs to no key; a quote above may not be closed",
    "expected ',' or ']'": "a list is not closed by ']', lacks a comma, or has a text to be quoted",
    "expected ',' or '}'": "a mapping is not closed by '}', lacks a comma, or has a text to be quoted",
    "expected the node content": "a value is missing",
    "found undefined alias": "'*' begins an alias; put a name that begins with it in quotes",
    "expected alphabetic or numeric character": "'*' and '&' have a meaning in YAML; put the name in quotes",
    "but found another document": "a second document after '---'; one file is one document",
}
HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair
NULL = "tag:yaml.org,2002:null"


def read_file(path: Path, name: str) -> Document:
    """Read one file; `name` is what messages call it."""
    return parse(read_text(path, name), name)


def read_text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        _refuse(name, "no such file")
    except IsADirectoryError:
        _refuse(name, "is a directory, expected a file")
    except UnicodeDecodeError:
        _refuse(name, "is not UTF-8 text")
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        _refuse(name, f"cannot be read: {getattr(error, 'strerror', None) or error}")


def is_file(path: Path) -> bool:
    """Raises OSError if that cannot be told."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except ValueError:  # a null character
        raise OSError(errno.EINVAL, "not a path") from None


def parse(text: str, name: str) -> Document:
    """Parse YAML. What is no YAML at all raises at once; duplicate keys join the document's problems."""
    yaml = YAML(pure=True)
    yaml.composer.warn_double_anchors = False  # the warning would quote the file
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else None
        _refuse(name, f"not valid YAML: {_explained(error.problem or 'unreadable')}", place)
    except (YAMLError, ArithmeticError, AssertionError, LookupError, ValueError):
        # the parser trips over "\UFFFFFFFF", %YAML 1.11 and their like
        _refuse(name, "not valid YAML: it holds a character or directive that YAML does not allow")
    except RecursionError:
        _refuse(name, "not valid YAML: nested too deeply")
    if root is None:
        _refuse(name, "the file is empty")
    if not isinstance(root, MappingNode):
        _refuse(name, "expected a mapping at the top, such as 'resources:'", _place(name, root))
    document = Document(name)
    document.data = _plain(root, (), document)
    return document


def _explained(problem: str) -> str:
    """In plain words, or the parser's without what it quotes."""
    known = (text for start, text in _EXPLAINED.items() if problem.startswith(start))
    return next(known, None) or _QUOTED.sub("", problem)


def merge(base: Document, over: Document) -> Document:
    """`over` laid over `base`: mappings are merged deeply, anything else is replaced."""
    return Document(
        base.name,
        data=_merged(base.data, over.data),
        places=base.places | over.places,
        problems=base.problems + over.problems,
    )


def _merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: _merged(base.get(key), value) for key, value in over.items()}


def _plain(node: Node, path: KeyPath, document: Document) -> Any:
    document.places.setdefault(path, _place(document.name, node))
    if len(document.places) > MAX_NODES or len(path) > 100:
        _refuse(document.name, "too large, or an alias that holds itself", document.places[path])
    if isinstance(node, ScalarNode):
        _refuse_halves(node, document)
        return None if str(node.tag) == NULL else str(node.value)
    if not isinstance(node, MappingNode):
        return [_plain(item, (*path, index), document) for index, item in enumerate(node.value)]
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value) if isinstance(key_node, ScalarNode) else None
        _refuse_halves(key_node, document)
        if key is None or key in data:
            place = _place(document.name, key_node)
            what = "expected text as a key" if key is None else "duplicate key"
            document.problems.append(place.problem(dotted((*path, key or "?")), what))
            continue
        document.places[*path, key] = _place(document.name, key_node)
        data[key] = _plain(value_node, (*path, key), document)
    return data


def _refuse_halves(node: Node, document: Document) -> None:
    if isinstance(node, ScalarNode) and HALF.search(str(node.value)):
        message = r"'\ud800' to '\udfff' are no characters; write the character itself"
        _refuse(document.name, message, _place(document.name, node))


def _place(name: str, node: Node) -> Place:
    return Place(name, node.start_mark.line + 1, node.start_mark.column + 1)


def _refuse(name: str, message: str, place: Place | None = None) -> NoReturn:
    raise_problems(name, [(place or Place(name)).problem("", message)])
