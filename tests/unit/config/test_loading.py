"""From files and environment to settings in one go."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import smalt.config
from smalt.config import Settings, from_data, load
from smalt.errors import ConfigurationError

EAST = """\
resources:
  east:
    endpoint: https://contoso-east.openai.azure.com
    api_keys: ["${KEY}"]
    deployments: {d: {model: gpt-4o}}
"""


def refusal(path: Path | None, cwd: Path, overlay: str | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(path, env={"KEY": "k"}, overlay=overlay, cwd=cwd)
    return caught.value.problems


def test_the_file_in_the_working_directory_is_found(loaded: Callable[..., Settings]) -> None:
    """`smalt.yaml` needs no mention, and goes before the environment."""
    settings = loaded(EAST, KEY="k", AZURE_OPENAI_ENDPOINT="https://other.openai.azure.com")
    assert list(settings.resources) == ["east"]


def test_a_file_may_have_any_name_and_place(tmp_path: Path) -> None:
    """Messages name it relative to the working directory."""
    (tmp_path / "conf").mkdir()
    file = tmp_path / "conf" / "fleet.yaml"
    file.write_text(EAST.replace("endpoint", "endpoit"))
    expected = ("conf/fleet.yaml:3:5: resources.east.endpoit: unknown key; did you mean 'endpoint'?",)
    assert refusal(Path("conf/fleet.yaml"), tmp_path) == expected
    assert refusal(file, tmp_path) == expected
    assert refusal(file, tmp_path / "elsewhere")[0].startswith(str(file))


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    """The environment does not stand in for it."""
    assert refusal(Path("fleet.yaml"), tmp_path) == ("fleet.yaml: no such file",)


def test_a_directory_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    """Container mounts make one when the file is missing."""
    (tmp_path / "smalt.yaml").mkdir()
    assert refusal(None, tmp_path) == ("smalt.yaml: is a directory, expected a file",)


def test_dotenv_beside_the_file_is_read(tmp_path: Path) -> None:
    """Beside the file, wherever the working directory is; the environment wins."""
    (tmp_path / "smalt.yaml").write_text(EAST)
    (tmp_path / ".env").write_text("KEY=from-file\n")
    for env, key in (({}, "from-file"), ({"KEY": "from-process"}, "from-process")):
        settings = load(tmp_path / "smalt.yaml", env=env, cwd=tmp_path / "elsewhere")
        assert settings.resources["east"].api_keys[0].get_secret_value() == key


def test_a_bad_dotenv_is_named(tmp_path: Path) -> None:
    """With its line."""
    (tmp_path / "smalt.yaml").write_text(EAST)
    (tmp_path / ".env").write_text("KEY\n")
    assert refusal(None, tmp_path) == (".env:1:1: expected KEY=VALUE",)


def test_a_key_may_stand_in_a_file_of_its_own(loaded: Callable[..., Settings], tmp_path: Path) -> None:
    """Named in the configuration, or by the variable it takes the key from."""
    (tmp_path / "key").write_text("s3cret\n")
    settings = loaded(EAST, KEY="file:key")
    assert settings.resources["east"].api_keys[0].get_secret_value() == f"file:{tmp_path}/key"


def test_an_overlay_is_laid_over_the_file(tmp_path: Path) -> None:
    """Mappings are merged, variables filled afterwards."""
    (tmp_path / "smalt.yaml").write_text(EAST.replace("KEY", "ONLY_IN_DEVELOPMENT"))
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").write_text('resources: {east: {api_keys: ["${KEY}"]}}')
    settings = load(env={"KEY": "k"}, overlay="prod", cwd=tmp_path)
    assert settings.resources["east"].api_keys[0].get_secret_value() == "k"
    assert settings.resources["east"].base_url == "https://contoso-east.openai.azure.com"


def test_problems_of_an_overlay_name_its_file(tmp_path: Path) -> None:
    """Each problem stands where its setting was written."""
    (tmp_path / "smalt.yaml").write_text(EAST + "retry: {base_s: x}")
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").write_text("retry: {cap_s: y}")
    assert refusal(None, tmp_path, "prod") == (
        "environments/prod.yaml:1:9: retry.cap_s: expected a number of seconds, 0 or more, got 'y'",
        "smalt.yaml:6:9: retry.base_s: expected a number of seconds, 0 or more, got 'x'",
    )


def test_a_missing_overlay_is_told(tmp_path: Path) -> None:
    """So is an overlay without a file to lie over."""
    assert refusal(None, tmp_path, "prod") == ("smalt.yaml: no such file to lay --env prod over",)
    (tmp_path / "smalt.yaml").write_text(EAST)
    assert refusal(None, tmp_path, "prod") == ("environments/prod.yaml: no such file",)


def test_secrets_appear_in_no_error(tmp_path: Path) -> None:
    """Whatever else is wrong."""
    (tmp_path / "smalt.yaml").write_text(
        EAST.replace("gpt-4o", "'${KEY}'").replace("https://", "${KEY}:")
        + "gateway: {keys: ['${KEY}'], listen: '${KEY}'}"
    )
    with pytest.raises(ConfigurationError) as caught:
        load(env={"KEY": "s3cret value"}, cwd=tmp_path)
    assert len(caught.value.problems) == 4
    assert "s3cret" not in str(caught.value)


def test_importing_the_package_is_light() -> None:
    """Pydantic and the YAML parser are imported only when a configuration is loaded."""
    code = "import sys, smalt.config as c; c.freeze; print({'pydantic', 'ruamel.yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_package_exports_what_it_lists() -> None:
    """And nothing that is not there."""
    assert all(getattr(smalt.config, name) for name in smalt.config.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = smalt.config.nothing


def test_a_program_gives_plain_data() -> None:
    """Data shaped like the file gets the file's checks and sentences, and refers to no file."""
    resource = {"endpoint": "https://contoso.openai.azure.com", "api_keys": ["k"], "deployments": {"d": {}}}
    with pytest.raises(ConfigurationError) as caught:
        from_data({"resources": {"east": resource}})
    assert caught.value.problems == (
        "resources.east.deployments.d.model: model is required: the name callers ask for",
    )

    resource["deployments"] = {"d": {"model": "gpt-4o"}}
    assert list(from_data({"resources": {"east": resource}}).resources) == ["east"]


@pytest.mark.parametrize("overlay", ["prod", "production"])
def test_req_3_5_a_literal_key_is_refused_in_production(overlay: str, tmp_path: Path) -> None:
    """In the file and in the overlay; by any other name it may stand there."""
    (tmp_path / "smalt.yaml").write_text(EAST.replace("${KEY}", "s3cret"))
    (tmp_path / "environments").mkdir()
    for name in (overlay, "test"):
        (tmp_path / "environments" / f"{name}.yaml").write_text("gateway:\n  admin_key: s3cret-too\n")
    what = "the secret itself stands in the file; put ${NAME} or file:/path in its place"
    assert refusal(None, tmp_path, overlay) == (
        f"environments/{overlay}.yaml:2:3: gateway.admin_key: {what}; --env {overlay} refuses it",
        f"smalt.yaml:4:16: resources.east.api_keys[0]: {what}; --env {overlay} refuses it",
    )
    load(env={}, overlay="test", cwd=tmp_path)
    load(env={}, cwd=tmp_path)


def test_production_takes_secrets_from_elsewhere(tmp_path: Path) -> None:
    """Variables and files."""
    (tmp_path / "smalt.yaml").write_text(EAST)
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "prod.yaml").write_text("gateway: {admin_key: 'file:key'}")
    (tmp_path / "key").write_text("a-key-in-a-file")
    assert load(env={"KEY": "k"}, overlay="prod", cwd=tmp_path).gateway.admin_key
