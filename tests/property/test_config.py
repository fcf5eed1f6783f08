"""Whatever the file holds, the answer is settings or a ConfigurationError."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smalt.config import Settings, freeze, from_data, load
from smalt.core.engine import Engine
from smalt.core.residency import inside
from smalt.errors import ConfigurationError

KEYS = sorted({*Settings.model_fields, "east", "endpoint", "api_keys", "deployments", "keys", "key", "alias"})
SCALARS = st.one_of(
    st.sampled_from(
        [
            "",
            "null",
            "-5",
            "1.5k",
            "true",
            "gpt-4o",
            "east/d",
            "${X}",
            "${",
            "file:x",
            "'",
            "*a",
            "&a x",
            "http://localhost",
        ]
    ),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
        ),
    ),
    max_leaves=8,
)
FILES = st.one_of(
    st.text(),
    st.binary(),
    VALUES,
    st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=5).map(
        lambda pairs: "".join(f"{key}: {value}\n" for key, value in pairs)
    ),
)


@settings(deadline=None)
@given(content=FILES)
def test_any_file_is_settings_or_a_configuration_error(content: str | bytes) -> None:
    """Never a traceback; and settings that pass the check can be frozen."""
    with TemporaryDirectory() as folder:
        raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        (Path(folder) / "smalt.yaml").write_bytes(raw)
        with suppress(ConfigurationError):
            freeze(load(env={"X": "x"}, cwd=Path(folder)))


def some(*elements: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(elements), min_size=1, max_size=3)


def served(*references: str, fallbacks: str = "") -> st.SearchStrategy[dict[str, Any]]:
    """A model's settings. `fallbacks`: one letter each."""
    return st.fixed_dictionaries(
        {},
        optional={
            "route": st.lists(some(*references), min_size=1, max_size=3),
            "residency": st.sampled_from(["eu", "us"]),
            "strategy": st.sampled_from(["weighted", "random"]),
            **({"fallbacks": some(*fallbacks)} if fallbacks else {}),
        },
    )


def deployment(model: str) -> st.SearchStrategy[dict[str, Any]]:
    sku = st.sampled_from(
        ["Standard", "Standard", "DataZoneStandard", "ProvisionedManaged", "GlobalStandard"]
    )
    return st.fixed_dictionaries({"model": st.just(model)}, optional={"sku": sku})


def resource(name: str, **fields: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "endpoint": st.just(f"https://{name}.openai.azure.com"),
            "api_keys": st.just(["k"]),
            "deployments": st.fixed_dictionaries({model: deployment(model) for model in "abc"}),
            **fields,
        }
    )


# Most of them are right, so that there is something to look at.
FLEETS = st.fixed_dictionaries(
    {
        "resources": st.fixed_dictionaries(
            {
                "east": resource("east", region=st.just("eastus")),
                "west": resource("west", region=st.sampled_from(["swedencentral", "westeurope"])),
                "default": resource("default", kind=st.sampled_from(["azure", "openai"])),
            }
        ),
        "models": st.fixed_dictionaries(
            {},
            optional={
                "a": served("east", "west/a", "default/a", fallbacks="bcab"),
                "b": served("west", "east/b", fallbacks="c"),
                "c": served("default", "east/c", "west/c"),
                "p*": st.fixed_dictionaries({"route": st.lists(some("east/a", "west/b"), min_size=1)}),
            },
        ),
        "agents": st.fixed_dictionaries({}, optional={"n": st.just({"model": "a", "needs": ["tools"]})}),
        "residency": st.just({"eu": ["swedencentral", "westeurope"], "us": ["East US"]}),
    }
)


@settings(deadline=None)
@given(data=FLEETS)
def test_any_fleet_is_refused_or_every_route_leads_somewhere(data: dict[str, Any]) -> None:
    """And what it leads to lies inside the fences of the name asked for and of the upstream's model."""
    try:
        checked = from_data(data)
    except ConfigurationError:
        return
    engine_settings = freeze(checked)
    Engine(engine_settings)
    for name in [*checked.models, *(spec.model for spec in engine_settings.upstreams.values())]:
        assert name in engine_settings.routes or "*" in name
    for name, route in engine_settings.routes.items():
        specs = [engine_settings.upstreams[upstream] for tier in route.tiers for upstream in tier]
        assert specs
        for spec in specs:
            for model in (name, route.model, spec.model):
                zone = checked.models[model].residency if model in checked.models else None
                assert zone is None or inside(spec, zone, checked.residency[zone])


@settings(deadline=None)
@given(line=st.text())
def test_any_dotenv_is_read_or_refused(line: str) -> None:
    """The same for the file of variables."""
    with TemporaryDirectory() as folder:
        (Path(folder) / ".env").write_text(line, encoding="utf-8", errors="surrogatepass")
        with suppress(ConfigurationError):
            load(env={}, cwd=Path(folder))
