"""What the emulator's models say: words, and values for a JSON schema. All of it follows from the seed."""

import hashlib
import random
from collections.abc import Mapping
from typing import Any

from smalt.emulator.refusals import invalid_request
from smalt.emulator.tokens import split

_SENTENCES = tuple(
    split(" " + sentence)
    for sentence in (
        "The short answer is yes, with two conditions.",
        "First, look at what the caller can observe.",
        "A smaller step is easier to check and to undo.",
        "In practice the difference is a few percent.",
        "That depends on how often the data changes.",
        "Three causes are likely; the second is the most common.",
        "Start with the simplest case and measure it.",
        "It helps to write the expected result down before trying.",
        "The same rule holds for the other direction.",
        "If it fails, the message names the part that is missing.",
        "Keep the old value until the new one is confirmed.",
        "Most of the time goes into waiting, not into work.",
        "There is one exception, and it is documented.",
        "Compare both numbers over a full day before deciding.",
        "The order matters here, so do not swap the steps.",
        "A table makes the choice clear at a glance.",
    )
)
WORDS = ("amber", "basin", "cobalt", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper")
_DEPTH = 5  # below it only required properties are filled in, so that recursive schemas end


def dice(*parts: object) -> random.Random:
    """Dice that always fall the same way for the same parts."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))  # noqa: S311  # repeatable on purpose


def prose(roll: random.Random, prompt_tokens: int) -> list[str]:
    """The tokens of a few sentences; a longer prompt gets a longer answer, up to some 250 tokens."""
    wanted = roll.randint(12, 40) + min(prompt_tokens // 4, 200)
    tokens: list[str] = []
    while len(tokens) < wanted:
        tokens += roll.choice(_SENTENCES)
    tokens[0] = tokens[0].lstrip()
    return tokens


def fitting(schema: Mapping[str, Any], roll: random.Random) -> Any:
    """A value that fits a JSON schema of the subset function calling and structured outputs allow.

    Raises `Refusal` if it is no schema.
    """
    try:
        return _Filler(schema, roll).fill(schema, _DEPTH)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise invalid_request(f"Invalid schema: {error}", code="invalid_function_parameters") from error


class _Filler:
    def __init__(self, root: Mapping[str, Any], roll: random.Random) -> None:
        self._root = root
        self._roll = roll

    def fill(self, schema: Mapping[str, Any], depth: int) -> Any:
        if "$ref" in schema:
            return self.fill(self._resolve(schema["$ref"]), depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._roll.choice(schema["enum"])
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            return self.fill(choices[0 if depth > 0 else -1], depth - 1)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        return self._of_kind(kind if isinstance(kind, str) else kind[0], schema, depth)

    def _of_kind(self, kind: str, schema: Mapping[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                low = schema.get("minItems", 1 if depth > 0 else 0)
                size = min(max(low, 2), schema.get("maxItems", 2)) if depth > 0 else low
                return [self.fill(schema.get("items", {}), depth - 1) for _ in range(size)]
            case "integer":
                low = schema.get("minimum", 0)
                return self._roll.randint(low, max(low, schema.get("maximum", low + 100)))
            case "number":
                low = schema.get("minimum", 0)
                return round(self._roll.uniform(low, schema.get("maximum", low + 100)), 2)
            case "boolean":
                return self._roll.random() < 0.5
            case "null":
                return None
            case _:
                word = self._roll.choice(WORDS).ljust(schema.get("minLength", 0), "-")
                return word[: schema.get("maxLength")]

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        return {
            name: self.fill(value, depth - 1)
            for name, value in schema.get("properties", {}).items()
            if depth > 0 or name in required
        }

    def _resolve(self, ref: str) -> Mapping[str, Any]:
        target: Any = self._root
        for step in ref.removeprefix("#").strip("/").split("/"):
            target = target[step] if step else target
        found: Mapping[str, Any] = target
        return found
