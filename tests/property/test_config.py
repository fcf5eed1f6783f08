"""Whatever the file holds, the answer is settings or a ConfigurationError."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from smalt.config import Settings, freeze, load
from smalt.errors import ConfigurationError

KEYS = sorted(
    {*Settings.model_fields, "east", "endpoint", "api_keys", "deployments", "route", "keys", "key", "alias"}
)
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


@settings(deadline=None)
@given(line=st.text())
def test_any_dotenv_is_read_or_refused(line: str) -> None:
    """The same for the file of variables."""
    with TemporaryDirectory() as folder:
        (Path(folder) / ".env").write_text(line, encoding="utf-8", errors="surrogatepass")
        with suppress(ConfigurationError):
            load(env={}, cwd=Path(folder))
