"""The whole file: models, then how they are routed, then the rest.

Source: LiteLLM, "Proxy config.yaml", "Router - Load Balancing" and "Fallbacks".
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from smalt.config.document import Document, KeyPath
from smalt.config.litellm.models import Member, Models, filled
from smalt.config.litellm.report import Remark, Report
from smalt.config.words import OTHER_VALUES

_ROUTERS: Final = ("router_settings", "litellm_settings")  # both may say the same; the first wins
# By their key: where it goes, and what is added to the number (retries are not attempts; as many failures as
# are allowed open no breaker).
_NUMBERS: Final = {
    "num_retries": ("retry", "max_attempts", 1),
    "timeout": ("timeouts", "total_s", 0),
    "request_timeout": ("timeouts", "total_s", 0),
    "stream_timeout": ("timeouts", "stream_first_byte_s", 0),
    "cooldown_time": ("breaker", "open_s", 0),
    "allowed_fails": ("breaker", "failures", 1),
}


@dataclass(frozen=True, slots=True)
class Converted:
    """`data`: shaped like smalt.yaml. `remarks`: one on each key, in the order of the file."""

    data: dict[str, Any]
    remarks: list[Remark]


def convert(document: Document) -> Converted:
    """Of the document of a config.yaml. Nothing raises: what is not understood has its remark."""
    report = Report(document)
    source = document.data
    entra = _text(source, "litellm_settings", "enable_azure_ad_token_refresh").lower() == "true"
    models = Models(report, entra=entra)
    if entra:
        report.take(
            ("litellm_settings", "enable_azure_ad_token_refresh"), "identity: default, where there is no key"
        )
    entries = source.get("model_list")
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        models.add(("model_list", index), entry)
    data: dict[str, Any] = {"resources": models.finished()}
    routed = {name: _routed(members) for name, members in models.groups.items()}
    _strategies(source, report, models, routed)
    _fallbacks(source, report, routed)
    for name, defaults in models.defaults.items():
        if defaults:
            routed[name]["defaults"] = {key: _number(text) for key, text in sorted(defaults.items())}
    if written := {name: served for name, served in routed.items() if served}:
        data["models"] = written
    data |= _numbers(source, report)
    if admin := _admin_key(source, report):
        data["gateway"] = {"admin_key": admin}
    if _text(source, "litellm_settings", "drop_params").lower() == "true":
        report.take(
            ("litellm_settings", "drop_params"),
            "adapt, the default: what a model is known to refuse is not sent",
        )
    return Converted(data, report.remarks())


def _routed(members: Iterable[Member]) -> dict[str, Any]:
    """A route, where the default is not the same: by order, and with servers that serve only where named."""
    tiers: dict[float, list[str]] = {}
    named_only = False
    for member in sorted(members, key=lambda member: member.order):
        tiers.setdefault(member.order, []).append(member.upstream)
        named_only |= member.named_only
    if len(tiers) == 1 and not named_only:
        return {}
    return {"route": [tier[0] if len(tier) == 1 else tier for tier in tiers.values()]}


def _strategies(source: Mapping[str, Any], report: Report, models: Models, routed: dict[str, Any]) -> None:
    path = ("router_settings", "routing_strategy")
    written = _text(source, *path)
    ours = OTHER_VALUES.get(written, "")
    if written and not ours:
        report.leave(
            path, "smalt has least_loaded (the default), round_robin, weighted, random, least_latency"
        )
    elif written:
        report.take(path, f"strategy: {'weighted, where there are weights' if ours == 'weighted' else ours}")
    for name, members in models.groups.items():
        weighted = any(
            "weight" in models.resources[resource]["deployments"][deployment]
            for resource, _, deployment in (member.upstream.partition("/") for member in members)
        )
        picked = "weighted" if ours == "" else ours
        if len(members) > 1 and picked != "least_loaded" and (weighted or picked != "weighted"):
            routed[name]["strategy"] = picked


def _fallbacks(source: Mapping[str, Any], report: Report, routed: dict[str, Any]) -> None:
    for section in _ROUTERS:
        held = source.get(section)
        for key in ("fallbacks", "context_window_fallbacks"):
            pairs = held.get(key) if isinstance(held, dict) else None
            for index, pair in enumerate(pairs if isinstance(pairs, list) else ()):
                for model, names in pair.items() if isinstance(pair, dict) else ():
                    _fall_back((section, key, index, model), names, report, routed)


def _fall_back(path: tuple[str, str, int, str], names: Any, report: Report, routed: dict[str, Any]) -> None:
    """Of one model; without those that are not there, or would lead in a circle."""
    model = path[-1]
    if model not in routed:
        report.leave(path, f"{model} is not among the models that were taken over")
        return
    known = routed[model].get("fallbacks", [])
    lost = []
    for name in map(str, names if isinstance(names, list) else [names]):
        if name not in routed or _leads_to(name, model, routed):
            lost.append(name)
        elif name not in known:
            known = [*known, name]
    why = f"{', '.join(lost)}: not taken over, or it falls back to {model} itself"
    if not known:
        report.leave(path, why)
        return
    routed[model]["fallbacks"] = known
    where = f"models.{model}.fallbacks"
    if path[1] == "context_window_fallbacks":
        where += ", used whenever no upstream of the model itself can serve"
    report.take(path, f"{where}; without {why}" if lost else where)


def _leads_to(name: str, model: str, routed: Mapping[str, Any]) -> bool:
    """Whether the fallbacks of `name` end at `model`: smalt refuses to go in circles."""
    return name == model or any(_leads_to(n, model, routed) for n in routed[name].get("fallbacks", ()))


def _numbers(source: Mapping[str, Any], report: Report) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section in _ROUTERS:
        for key, (ours, name, more) in _NUMBERS.items():
            text = _text(source, section, key)
            if not text or (section == "router_settings" and key == "request_timeout"):
                continue
            path: KeyPath = (section, key)
            number = _number(text)
            if isinstance(number, str) or number + more <= 0:
                report.leave(path, "expected a number above 0")
                continue
            if name in found.get(ours, {}):
                report.leave(path, f"{ours}.{name} is set already, by {_ROUTERS[0]} or a key above")
            else:
                found.setdefault(ours, {})[name] = number + more
                report.take(path, f"{ours}.{name}")
    return found


def _admin_key(source: Mapping[str, Any], report: Report) -> str:
    path = ("general_settings", "master_key")
    text = _text(source, *path)
    if not text:
        return ""
    where = "gateway.admin_key; callers have keys of their own: gateway.keys"
    key = filled(text)
    if not key.startswith("${"):
        key = "${SMALT_ADMIN_KEY}"
        where += "; the secret stood in the file and is not copied: set SMALT_ADMIN_KEY"
    report.take(path, where)
    return key


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _text(source: Mapping[str, Any], section: str, key: str) -> str:
    """A single value, empty if it is none."""
    held = source.get(section)
    value = held.get(key) if isinstance(held, dict) else None
    return value if isinstance(value, str) else ""
