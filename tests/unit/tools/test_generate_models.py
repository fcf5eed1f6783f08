"""models.json is made from litellm's table and the facts, and refuses what fits neither."""

import json
import tomllib
import zipfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tools import generate_models
from tools.generate_models import COST_MAP, Fault, build, main, render

FACTS: dict[str, Any] = {
    "factors": {"us": "1.1", "eu": "1.1", "apac": "1.2", "batch": "0.5", "flex": "0.5"},
    "zones": {"eu": ["swedencentral"]},
    "skip": {},
    "correct": {},
    "distrust": {},
    "versions": {},
    "apis": {},
    "abilities": [],
    "refuses": {},
    "rpm_per_1k_tpm": {},
    "throughput": {},
}


def row(**fields: Any) -> dict[str, Any]:
    """1 USD per 1M input tokens, 4 per 1M output tokens."""
    prices = {"input_cost_per_token": Decimal("1e-6"), "output_cost_per_token": Decimal("4e-6")}
    return {"mode": "chat", **prices, **fields}


def built(rows: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """The models by name, without their names."""
    models = build(rows, FACTS | facts, version="1", as_of="2026-01-01")["models"]
    return {model.pop("name"): model for model in models}


def test_prices_are_per_million_and_exact() -> None:
    """Decimal text, whatever the digits."""
    assert built({"m": row(input_cost_per_token=Decimal("7.5e-8"))})["m"] == {
        "list_price": {"input_usd": "0.075", "output_usd": "4"},
        "apis": ["chat.completions"],
    }


def test_a_version_that_does_not_differ_is_its_model() -> None:
    """What one of the rows leaves out the other tells."""
    rows = {"m": row(), "m-2026-01-02": row(deprecation_date="2027-01-02")}
    model = built(rows, versions={"m": ["0613"]})["m"]
    assert model["versions"] == ["0613", "2026-01-02"]
    assert model["retires"] == "2027-01-02"


def test_a_version_that_differs_is_a_model() -> None:
    """By price, limit or retirement."""
    rows = {"m": row(), "m-2026-01-02": row(output_cost_per_token=Decimal("5e-6"))}
    assert set(built(rows)) == {"m", "m-2026-01-02"}


def test_rows_of_zones_resolutions_and_other_makers_are_no_models() -> None:
    """What is skipped needs a reason in the facts."""
    rows = {"m": row(), "us/m": {}, "hd/1024-x-1024/dall-e-3": row(), "mistral": row()}
    assert set(built(rows, skip={"mistral": "not Azure OpenAI's"})) == {"m"}


def test_factors_are_read_off_the_prices() -> None:
    """Priority, unusual zones and long prompts."""
    model = {
        **row(),
        "input_cost_per_token_priority": Decimal("1.75e-6"),
        "output_cost_per_token_priority": Decimal("7e-6"),
        "input_cost_per_token_above_272k_tokens": Decimal("2e-6"),
        "output_cost_per_token_above_272k_tokens": Decimal("6e-6"),
        "output_cost_per_token_batches": Decimal("2e-6"),
    }
    zone = {"input_cost_per_token": Decimal("1.2e-6"), "output_cost_per_token": Decimal("4.8e-6")}
    fields = built({"m": model, "eu/m": zone})["m"]
    assert fields["priority_factor"] == "1.75"
    assert fields["zone_factors"] == {"eu": "1.2"}
    assert fields["long_context"] == {"over_tokens": 272_000, "input_factor": "2", "output_factor": "1.5"}


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (
            {"m": row(output_cost_per_token_batches=Decimal("3e-6"))},
            "m global batch output_usd: 3 is stated, 2 by the rules",
        ),
        (
            {"m": row(), "us/m": row(input_cost_per_token=Decimal("1.1e-6"))},
            "m us default output_usd: 4 is stated, 4.4 by the rules",
        ),
        (
            {"m": row(), "us/m": {"cache_read_input_token_cost": Decimal("1e-7")}},
            "m us default cached_usd: 0.1 is stated, and no rule leads to it",
        ),
    ],
)
def test_a_price_that_breaks_a_rule_stops_the_tool(rows: dict[str, Any], fault: str) -> None:
    """Unless the facts say why it is not trusted."""
    with pytest.raises(Fault) as caught:
        built(rows)
    assert str(caught.value) == fault
    assert built(rows, distrust={fault.partition(":")[0]: "a reason"})


def test_prices_rounded_to_a_tenth_of_a_cent_break_no_rule() -> None:
    """The exact figure is kept."""
    rows = {
        "m": row(cache_read_input_token_cost=Decimal("0.275e-6")),
        "us/m": {
            "input_cost_per_token": Decimal("1.1e-6"),
            "cache_read_input_token_cost": Decimal("0.303e-6"),
        },
    }
    assert built(rows)["m"]["list_price"]["cached_usd"] == "0.275"


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"throughput": {"n": [1, 1, 0]}}, "throughput: there is no model n"),
        ({"abilities": [{"have": [], "models": ["n"]}]}, "abilities: there is no model n"),
        ({"refuses": {"max_tokens": ["n"]}}, "refuses: there is no model of the family n"),
        ({"skip": {"n": "why"}}, "skip: there is no row n"),
        ({"distrust": {"m us": "why"}}, "distrust: the table no longer states m us"),
    ],
)
def test_facts_about_nothing_stop_the_tool(facts: dict[str, Any], fault: str) -> None:
    """They are left over and mislead."""
    with pytest.raises(Fault, match=fault):
        built({"m": row()}, **facts)


def test_corrections_replace_and_take_away() -> None:
    """A fact wins over the table."""
    correct = {
        "m": {"list_price": {"input_usd": "9", "output_usd": "0"}, "context_tokens": 5, "why": "…"},
        "n": {"list_price": False, "why": "…"},
    }
    models = built({"m": row(max_input_tokens=4), "n": row()}, correct=correct)
    assert models["m"]["list_price"] == {"input_usd": "9", "output_usd": "0"}
    assert models["m"]["context_tokens"] == 5
    assert "list_price" not in models["n"]


def test_tokens_that_do_not_all_cost_the_same_have_no_price() -> None:
    """Audio is billed apart, and its tokens cannot be told from text by then."""
    rows = {"m": row(input_cost_per_audio_token=Decimal("1e-5")), "n": row(mode="realtime")}
    assert not [fields for fields in built(rows).values() if "list_price" in fields]


def test_abilities_are_told_only_where_all_are_known() -> None:
    """By the facts, or by a table that answers for all five."""
    flags = {flag: flag != "supports_vision" for flag in generate_models.ABILITIES.values()}
    rows = {"m": row(**flags), "n": row(supports_vision=True), "o": row()}
    models = built(rows, abilities=[{"have": ["tools"], "models": ["o"]}])
    assert models["m"]["abilities"] == ["reasoning", "streaming", "structured_outputs", "tools"]
    assert "abilities" not in models["n"]
    assert models["o"]["abilities"] == ["tools"]


def test_a_family_refuses_as_a_whole() -> None:
    """The name and what goes on behind it, not whatever begins alike."""
    models = built({name: row() for name in ("m-1", "m-1.5", "m-1-mini", "m-10")}, refuses={"p": ["m-1"]})
    assert [name for name, fields in models.items() if fields.get("refuses") == ["p"]] == [
        "m-1",
        "m-1-mini",
        "m-1.5",
    ]


def wheel(folder: Path, rows: Mapping[str, Any]) -> str:
    path = folder / "litellm-9.8.7-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(COST_MAP, json.dumps(rows))
    return str(path)


def test_the_file_is_written_from_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same, and a fault leaves it as it was."""
    table = {"azure/m": row() | {"input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06}, "gpt": {}}
    facts, models = tmp_path / "facts.toml", tmp_path / "models.json"
    monkeypatch.setattr(generate_models, "FACTS", facts)
    monkeypatch.setattr(generate_models, "MODELS", models)
    facts.write_text("".join(f"{key} = {'[]' if key == 'abilities' else '{}'}\n" for key in FACTS))
    facts.write_text(facts.read_text().replace("factors = {}", 'factors = {us = "1", eu = "1", apac = "1"}'))
    arguments = [wheel(tmp_path, table), "--as-of", "2026-01-02"]
    assert main(arguments) == 0
    first = models.read_text()
    assert json.loads(first)["as_of"] == "2026-01-02"
    assert json.loads(first)["source"].startswith("litellm 9.8.7,")
    assert [model["name"] for model in json.loads(first)["models"]] == ["m"]
    assert main(arguments) == 0
    assert models.read_text() == first
    facts.write_text(facts.read_text().replace("skip = {}", 'skip = {n = "why"}'))
    assert main(arguments) == 1
    assert models.read_text() == first


def test_the_committed_file_is_what_the_tool_writes() -> None:
    """Nobody edits it by hand: its layout is the tool's."""
    text = generate_models.MODELS.read_text("utf-8")
    assert render(json.loads(text)) == text


def test_the_committed_file_follows_the_committed_facts() -> None:
    """A fact that is changed without running the tool shows."""
    facts = tomllib.loads(generate_models.FACTS.read_text("utf-8"))
    data = json.loads(generate_models.MODELS.read_text("utf-8"))
    models = {model["name"]: model for model in data["models"]}
    assert (data["factors"], data["zones"]) == (facts["factors"], facts["zones"])
    for name, fields in facts["correct"].items():
        for key, value in fields.items():
            assert key == "why" or models[name].get(key, False) == value
    for name, numbers in facts["throughput"].items():
        assert list(models[name]["throughput"].values()) == numbers
    for rate, names in facts["rpm_per_1k_tpm"].items():
        assert {models[name]["rpm_per_1k_tpm"] for name in names} == {rate}
    for param, families in facts["refuses"].items():
        refusing = {name for name, fields in models.items() if param in fields.get("refuses", ())}
        assert refusing == {name for name in models if generate_models.of_any(families, name)}
    for group in facts["abilities"]:
        assert all(models[name]["abilities"] == group["have"] for name in group["models"])
