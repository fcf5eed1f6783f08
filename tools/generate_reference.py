"""Write what follows from the schema: the configuration reference, smalt.schema.json and .env.example.

`--check` writes nothing and fails, naming each file that is out of date.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smalt.config import json_schema
from smalt.config.environment import VARIABLES

ROOT = Path(__file__).parent.parent
INTRODUCTION = """\
# Configuration

This page is generated from the schema by `tools/generate_reference.py`.

smalt reads `smalt.yaml` in the working directory, or the file named by `--config`. The smallest useful one:

```yaml
resources:
  east:
    endpoint: https://contoso-east.openai.azure.com
    api_keys: ["${AZURE_OPENAI_API_KEY}"]
    deployments:
      gpt-4o-prod: {model: gpt-4o}
```

Routes follow from the deployments: provisioned ones are used first, the rest share the load. The name
`azure/<deployment>` reaches every resource that has this deployment, else the resource named `default`.

- `${VAR}` and `${VAR:-default}` in a value are filled from the environment; an empty variable counts as
  missing. `$$` is a dollar sign. A `.env` file beside `smalt.yaml` is read too; the environment wins.
- A key may stand in a file of its own: `file:/run/secrets/key`.
- `--env prod` lays `environments/prod.yaml`, beside the file, over it: mappings are merged, lists replaced.
- An empty value means the default.
- Every mistake is reported at once, with file, line and column.

What is *not built yet* has its place but does nothing in this version: only its default is accepted.
`smalt.schema.json` helps editors: put
`# yaml-language-server: $schema=./smalt.schema.json` at the top of the file.
"""
WITHOUT_FILE = """\
## Without a file

Where there is no `smalt.yaml`, these variables make one resource, `default`. An empty variable counts as
unset; where several mean the same, the first wins. `.env.example` lists them to be copied.

| variable | meaning |
|---|---|
"""


def configuration_page() -> str:
    schema = json_schema()
    parts = [INTRODUCTION]
    for title, section, built in _sections(schema, "", schema):
        rows = "".join(_row(key, field, built=built) for key, field in section["properties"].items())
        head = "| key | type | default | meaning | status |\n|---|---|---|---|---|\n"
        parts.append(f"## {title or 'Top level'}\n\n{section['description']}\n\n{head}{rows}")
    variables = "".join(f"| `{variable.name}` | {variable.meaning} |\n" for variable in VARIABLES)
    return "\n".join([*parts, WITHOUT_FILE + variables])


def _sections(
    section: dict[str, Any], path: str, schema: dict[str, Any], *, built: bool = True
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every part of the file that has keys of its own, outer ones first, and whether it is built."""
    yield f"`{path}`" if path else "", section, built
    for key, field in section["properties"].items():
        name, suffix = _reference(field)
        if name:
            inner = f"{path}.{key}{suffix}".removeprefix(".")
            yield from _sections(schema["$defs"][name], inner, schema, built=built and _is_built(field))


def _is_built(field: dict[str, Any]) -> bool:
    return field.get("x-built") is not False


def _reference(field: dict[str, Any]) -> tuple[str, str]:
    """The section a field leads to, and what stands between: nothing, a name or a list item."""
    for part in (field, *field.get("anyOf", ())):
        for inner, suffix in (
            (part, ""),
            (part.get("additionalProperties"), ".<name>"),
            (part.get("items"), "[]"),
        ):
            if isinstance(inner, dict) and "$ref" in inner:
                return inner["$ref"].rpartition("/")[2], suffix
    return "", ""


def _row(key: str, field: dict[str, Any], *, built: bool) -> str:
    status = "built" if built and _is_built(field) else "not built yet"
    return f"| `{key}` | {_type(field)} | {_default(field)} | {field['description']} | {status} |\n"


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "anyOf" in field:
        words = [
            _type(part) for part in field["anyOf"] if part.get("type") != "null" and "pattern" not in part
        ]
        return " or ".join(words)
    match field.get("type"):
        case "array":
            return f"list of {_type(field['items'])}" if field.get("items") else "list"
        case "object":
            return "mapping by name"
        case "string":
            return "secret" if field.get("format") == "password" else "text"
        case "integer":
            return "whole number"
        case "boolean":
            return "`true`, `false`"
        case other:
            return other or "mapping"


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return (
        ""
        if default in (None, "", [], {}) or isinstance(default, dict)
        else f"`{json.dumps(default).strip(chr(34))}`"
    )


def environment_example() -> str:
    head = "# What smalt reads from the environment where there is no smalt.yaml; copy to .env and fill in.\n"
    return head + "".join(
        f"\n# {variable.meaning}\n{'' if variable.example else '# '}{variable.name}={variable.example}\n"
        for variable in VARIABLES
    )


def files() -> dict[str, str]:
    """Everything generated, by path from the root."""
    return {
        "docs/reference/configuration.md": configuration_page(),
        "smalt.schema.json": json.dumps(json_schema(), indent=2) + "\n",
        ".env.example": environment_example(),
    }


def main(arguments: list[str]) -> int:
    stale = 0
    for name, text in files().items():
        path = ROOT / name
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"{name} is out of date; run python tools/generate_reference.py")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
