"""Write src/smalt/wire/models.json from litellm's cost map and tools/model_facts.toml.

    pip download --no-deps litellm
    python tools/generate_models.py litellm-*.whl --as-of 2026-11-21

Run by hand; the result is committed. Only the rows `azure/…` are read, out of the wheel, which is not
imported. The same wheel, facts and day give the same file. A price that breaks a rule of the facts, and a
fact that no longer fits, stop the tool: look at Azure's pricing page, then correct or distrust it there.
"""

import argparse
import json
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FACTS = ROOT / "tools" / "model_facts.toml"
MODELS = ROOT / "src" / "smalt" / "wire" / "models.json"

COST_MAP = "litellm/model_prices_and_context_window_backup.json"
NOTICE = "Derived from litellm's cost map, Copyright (c) 2023 Berri AI, MIT License; see the file NOTICE."
COLUMNS = {  # ours, in USD per 1M tokens -> litellm's, in USD per token
    "input_usd": "input_cost_per_token",
    "cached_usd": "cache_read_input_token_cost",
    "cache_write_usd": "cache_creation_input_token_cost",
    "output_usd": "output_cost_per_token",
}
TIERS = {"": "default", "_batches": "batch", "_flex": "flex", "_priority": "priority"}
PRICE = re.compile(
    rf"({'|'.join(COLUMNS.values())})(?:_above_(\d+)k_tokens)?({'|'.join(filter(None, TIERS))})?"
)
ZONES = ("us", "eu", "apac")
APIS = {
    "chat": "chat.completions",
    "completion": "completions",
    "embedding": "embeddings",
    "responses": "responses",
    "image_generation": "images",
    "audio_transcription": "audio.transcriptions",
    "audio_speech": "audio.speech",
    "realtime": "realtime",
    "video_generation": "videos",
}
TEXT_MODES = ("chat", "completion", "embedding", "responses")
ENDPOINTS = {"/v1/chat/completions": "chat.completions", "/v1/responses": "responses"}
ABILITIES = {
    "reasoning": "supports_reasoning",
    "streaming": "supports_native_streaming",
    "structured_outputs": "supports_response_schema",
    "tools": "supports_function_calling",
    "vision": "supports_vision",
}
LINES = {  # of a model in the file, by key
    "name": "name",
    "list_price": "money",
    "zone_factors": "money",
    "priority_factor": "money",
    "long_context": "money",
    "apis": "use",
    "context_tokens": "use",
    "output_tokens": "use",
    "abilities": "use",
    "refuses": "use",
}
VERSION = re.compile(r"(.+)-(\d{4}-\d{2}-\d{2}|\d{4})")

Row = Mapping[str, Any]


class Fault(Exception):
    """Why no file is written."""


def read_wheel(path: Path) -> tuple[str, dict[str, Row]]:
    """litellm's version and its Azure rows, without the prefix `azure/`."""
    with zipfile.ZipFile(path) as wheel:
        rows = json.loads(wheel.read(COST_MAP), parse_float=Decimal)
    azure = {name.removeprefix("azure/"): row for name, row in rows.items() if name.startswith("azure/")}
    return path.name.split("-")[1], azure


def build(rows: Mapping[str, Row], facts: Row, *, version: str, as_of: str) -> dict[str, Any]:
    """The content of models.json. Raises Fault."""
    merged = merge_versions(
        {name: row for name, row in rows.items() if "/" not in name and name not in facts["skip"]}
    )
    complaints: list[str] = []
    models = {}
    for name, (row, versions) in sorted(merged.items()):
        zone_rows = {zone: row_of_zone(rows, zone, name, versions) for zone in ZONES}
        models[name] = {
            **prices(name, row, zone_rows, facts, complaints),
            **model(name, row, facts),
            "versions": sorted({*versions, *facts["versions"].get(name, ())}) or None,
        }
    complaints += unfit_facts(facts, rows, models, complaints)
    distrusted = tuple(facts["distrust"])
    if faults := [line for line in complaints if not line.startswith(distrusted)]:
        raise Fault("\n".join(faults))
    return {
        "as_of": as_of,
        "source": f"litellm {version}, corrected by tools/model_facts.toml",
        "notice": NOTICE,
        "factors": facts["factors"],
        "zones": facts["zones"],
        "models": [
            {"name": name} | {key: value for key, value in fields.items() if value is not None}
            for name, fields in models.items()
        ],
    }


def merge_versions(rows: Mapping[str, Row]) -> dict[str, tuple[Row, list[str]]]:
    """Rows that differ in nothing but what one of them leaves out are one model: its row and its versions.

    A version that contradicts its model, or has none, stays a model of its own.
    """
    merged: dict[str, tuple[Row, list[str]]] = {name: (row, []) for name, row in rows.items()}
    for name, row in rows.items():
        match = VERSION.fullmatch(name)
        if match is None or match[1] not in merged:
            continue
        base, versions = merged[match[1]]
        if all(base[key] == value for key, value in row.items() if key in base and _matters(key)):
            merged[match[1]] = ({**row, **base}, [*versions, match[2]])
            del merged[name]
    return merged


def _matters(key: str) -> bool:
    return bool(PRICE.fullmatch(key)) or key in ("max_input_tokens", "max_output_tokens", "deprecation_date")


def row_of_zone(rows: Mapping[str, Row], zone: str, name: str, versions: Iterable[str]) -> Row:
    names = [name, *(f"{name}-{version}" for version in versions)]
    return next((rows[f"{zone}/{name}"] for name in names if f"{zone}/{name}" in rows), {})


def prices(
    name: str, row: Row, zone_rows: Mapping[str, Row], facts: Row, complaints: list[str]
) -> dict[str, Any]:
    """What a token costs, if all tokens cost the same: audio and images are priced apart.

    `complaints` takes what the table states otherwise than these fields say it.
    """
    corrected = facts["correct"].get(name, {}).get("list_price")
    text_only = row["mode"] in TEXT_MODES and not any("audio" in key and "cost" in key for key in row)
    usd = {column: usd_per_1m(row[key]) for column, key in COLUMNS.items() if key in row}
    if corrected is False or not text_only or not usd:
        return {}
    usd = {column: Decimal(price) for column, price in corrected.items()} if corrected else usd
    fields: dict[str, Any] = {"list_price": {column: text(price) for column, price in usd.items()}}
    rules = {key: Decimal(factor) for key, factor in facts["factors"].items()} | {"default": Decimal(1)}
    for zone, zone_row in zone_rows.items():
        if COLUMNS["input_usd"] in zone_row:
            rules[zone] = usd_per_1m(zone_row[COLUMNS["input_usd"]]) / usd["input_usd"]
    if differing := {
        zone: text(rules[zone]) for zone in ZONES if rules[zone] != Decimal(facts["factors"][zone])
    }:
        fields["zone_factors"] = differing
    if (key := f"{COLUMNS['input_usd']}_priority") in row:
        rules["priority"] = usd_per_1m(row[key]) / usd["input_usd"]
        fields["priority_factor"] = text(rules["priority"])
    if rule := long_context(row, usd):
        fields["long_context"] = rule
    stated = {"global": row if not corrected else {}, **zone_rows}
    for zone, zone_row in stated.items():
        complaints += contradictions(f"{name} {zone}", zone_row, usd, rules | {"global": Decimal(1)}, rule)
    return fields


def long_context(row: Row, usd: Mapping[str, Decimal]) -> dict[str, Any] | None:
    """From which prompt on the whole request costs how many times as much."""
    for key, value in row.items():
        match = PRICE.fullmatch(key)
        if match and match[2] and match[1] == COLUMNS["input_usd"] and not match[3]:
            output = usd_per_1m(row[key.replace("input", "output")]) / usd["output_usd"]
            return {
                "over_tokens": int(match[2]) * 1_000,
                "input_factor": text(usd_per_1m(value) / usd["input_usd"]),
                "output_factor": text(output),
            }
    return None


def contradictions(
    where: str, row: Row, usd: Mapping[str, Decimal], rules: Mapping[str, Decimal], long: Row | None
) -> Iterator[str]:
    """Stated prices that differ from base price times rules by more than rounding to a tenth of a cent."""
    zone = where.rpartition(" ")[2]
    columns = {theirs: ours for ours, theirs in COLUMNS.items()}
    for key, value in row.items():
        match = PRICE.fullmatch(key)
        if match is None:
            continue
        column, tier = columns[match[1]], TIERS[match[3] or ""]
        place = f"{where} {tier}{' long' if match[2] else ''} {column}"
        if column not in usd or tier not in rules or (match[2] and long is None):
            if value:
                yield f"{place}: {text(usd_per_1m(value))} is stated, and no rule leads to it"
            continue
        expected = usd[column] * rules[zone] * rules[tier]
        if match[2] and long:
            expected *= Decimal(long["output_factor" if column == "output_usd" else "input_factor"])
        rounded = expected.quantize(Decimal("0.001"), ROUND_HALF_UP)
        if usd_per_1m(value) not in (expected, rounded):
            yield f"{place}: {text(usd_per_1m(value))} is stated, {text(expected)} by the rules"


def model(name: str, row: Row, facts: Row) -> dict[str, Any]:
    """Everything but prices and versions."""
    apis = [ENDPOINTS[path] for path in row.get("supported_endpoints", ()) if path in ENDPOINTS]
    rates = [rate for rate, names in facts["rpm_per_1k_tpm"].items() if name in names]
    fields = {
        "apis": facts["apis"].get(name) or apis or [APIS[row["mode"]]],
        "context_tokens": row.get("max_input_tokens"),
        "output_tokens": None if row["mode"] == "embedding" else row.get("max_output_tokens"),
        "abilities": abilities(name, row, facts),
        "refuses": [param for param, families in facts["refuses"].items() if of_any(families, name)] or None,
        "rpm_per_1k_tpm": rates[0] if rates else None,
        "throughput": throughput(facts["throughput"].get(name)),
        "retires": row.get("deprecation_date"),
    }
    corrected = facts["correct"].get(name, {})
    return fields | {key: value for key, value in corrected.items() if key in fields}


def throughput(numbers: Iterable[float] | None) -> dict[str, float] | None:
    return (
        dict(zip(("input_tpm", "output_weight", "cached_weight"), numbers, strict=True)) if numbers else None
    )


def abilities(name: str, row: Row, facts: Row) -> list[str] | None:
    """None if neither the facts nor the table answer for all of them."""
    for group in facts["abilities"]:
        if name in group["models"]:
            return list(group["have"])
    if row["mode"] in TEXT_MODES and all(key in row for key in ABILITIES.values()):
        return [ability for ability, key in ABILITIES.items() if row[key]]
    return None


def of_any(families: Iterable[str], name: str) -> bool:
    """To the family gpt-5 belong gpt-5-mini and gpt-5.1, but no gpt-50."""
    return any(re.fullmatch(re.escape(family) + r"([-.].*)?", name) for family in families)


def unfit_facts(facts: Row, rows: Mapping[str, Row], models: Row, complaints: Iterable[str]) -> Iterator[str]:
    """Facts about what is not there, or not any longer."""
    named = [
        *(("correct", name) for name in facts["correct"]),
        *(("versions", name) for name in facts["versions"]),
        *(("apis", name) for name in facts["apis"]),
        *(("abilities", name) for group in facts["abilities"] for name in group["models"]),
        *(("rpm_per_1k_tpm", name) for names in facts["rpm_per_1k_tpm"].values() for name in names),
        *(("throughput", name) for name in facts["throughput"]),
    ]
    yield from (f"{section}: there is no model {name}" for section, name in named if name not in models)
    yield from (
        f"refuses: there is no model of the family {family}"
        for families in facts["refuses"].values()
        for family in families
        if not any(of_any([family], name) for name in models)
    )
    yield from (f"skip: there is no row {name}" for name in facts["skip"] if name not in rows)
    for place in facts["distrust"]:
        if not any(complaint.startswith(place) for complaint in complaints):
            yield f"distrust: the table no longer states {place}"


def usd_per_1m(usd_per_token: Decimal | int) -> Decimal:
    return Decimal(usd_per_token) * 1_000_000


def text(number: Decimal) -> str:
    return format(number.normalize(), "f")


def render(data: Mapping[str, Any]) -> str:
    """A few lines for each model: what it costs, what it can, what else is known."""
    parts = [f'"{key}": {_line(value)}' for key, value in data.items() if key not in ("zones", "models")]
    zones = ",\n    ".join(f'"{zone}": {_line(regions)}' for zone, regions in data["zones"].items())
    models = ",\n    ".join(_model_lines(fields) for fields in data["models"])
    parts += [f'"zones": {{\n    {zones}\n  }}', f'"models": [\n    {models}\n  ]']
    return "{\n  " + ",\n  ".join(parts) + "\n}\n"


def _model_lines(fields: Mapping[str, Any]) -> str:
    groups: dict[str, dict[str, Any]] = {}
    for key, value in fields.items():
        groups.setdefault(LINES.get(key, "rest"), {})[key] = value
    return "{" + ",\n     ".join(_line(group)[1:-1] for group in groups.values()) + "}"


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Write src/smalt/wire/models.json.")
    parser.add_argument("wheel", type=Path, help="a wheel of litellm")
    parser.add_argument("--as-of", type=date.fromisoformat, required=True, help="the day it was downloaded")
    options = parser.parse_args(arguments)
    version, rows = read_wheel(options.wheel)
    facts = tomllib.loads(FACTS.read_text("utf-8"))
    try:
        data = build(rows, facts, version=version, as_of=options.as_of.isoformat())
    except Fault as fault:
        print(fault, file=sys.stderr)
        return 1
    MODELS.write_text(render(data), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
