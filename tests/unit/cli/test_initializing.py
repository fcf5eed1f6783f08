"""`smalt init`: what it writes."""

import json
from pathlib import Path

import pytest

from smalt.cli import initializing
from smalt.config import load
from smalt.errors import ConfigurationError

KEY = "s3cret"
ENVIRONMENT = {
    "AZURE_OPENAI_ENDPOINT": "https://contoso.openai.azure.com",
    "AZURE_OPENAI_API_KEY": KEY,
    "AZURE_OPENAI_API_VERSION": "2025-04-01-preview",
    "AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME": "prod",
    "AZURE_OPENAI_DEPLOYMENT": "gpt-4.1",
    "SMALT_GATEWAY_KEY": f"gateway-{KEY}",
    "SMALT_LISTEN": "127.0.0.1:9000",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; its own environment."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "env",
    [
        ENVIRONMENT,
        {"AZURE_API_BASE": "https://c.openai.azure.com", "AZURE_API_KEY": KEY},
        {"AZURE_OPENAI_ENDPOINT": "https://c.openai.azure.com", "SMALT_AUTH": "entra"},
        {"AZURE_OPENAI_ENDPOINT": "https://c.openai.azure.com", "AZURE_OPENAI_AD_TOKEN": f"Bearer {KEY}"},
    ],
)
def test_the_file_does_what_the_environment_did(env: dict[str, str], folder: Path) -> None:
    """The same settings; secrets stay in the environment."""
    before = load(env=env, cwd=folder)
    text = initializing.render(initializing.from_environment(env))
    assert KEY not in text
    (folder / "smalt.yaml").write_text(text)
    assert load(env=env, cwd=folder).model_dump() == before.model_dump()


def test_the_whole_file() -> None:
    """Short, with comments, in the order people read."""
    text = initializing.render(initializing.from_environment(ENVIRONMENT))
    assert text.partition("\n\n")[2] == (
        "# Azure OpenAI accounts: where they are, who we are to them, what each deployment serves.\n"
        "resources:\n"
        "  # The name `default` makes azure/NAME reach every deployment there, listed or not.\n"
        "  default:\n"
        "    endpoint: https://contoso.openai.azure.com\n"
        '    api_version: "2025-04-01-preview"\n'
        '    api_keys: ["${AZURE_OPENAI_API_KEY}"]\n'
        "    deployments:\n"
        "      prod: {model: gpt-4o}\n"
        "      gpt-4.1: {model: gpt-4.1}\n"
        "# What smalt serve offers, and to whom.\n"
        "gateway:\n"
        '  keys: [{alias: env, key: "${SMALT_GATEWAY_KEY}"}]\n'
        '  listen: "127.0.0.1:9000"\n'
    )


def test_a_template_where_nothing_is_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its blanks are named, as `smalt check` names them."""
    initializing.run(Path("smalt.yaml"), None, force=False, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "file": "smalt.yaml",
        "problems": [
            (
                "smalt.yaml:8:5: resources.east.endpoint: endpoint is required, for example "
                "https://contoso.openai.azure.com"
            ),
            (
                "smalt.yaml:9:16: resources.east.api_keys[0]: the environment variable AZURE_OPENAI_API_KEY "
                "is not set"
            ),
            (
                "smalt.yaml:11:5: resources.east.deployments: deployment ID is required: "
                "name at least one deployment"
            ),
        ],
    }
    assert "# As the Azure portal shows it: " in (folder / "smalt.yaml").read_text()


def test_people_are_told_what_to_do_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The blanks, or the next command with the file's name."""
    initializing.run(Path("smalt.yaml"), None, force=False, as_json=False)
    first, *_blanks, last = capsys.readouterr().out.splitlines()
    assert (first, last) == ("smalt.yaml is written. Still missing:", "Then: smalt check")
    (folder / ".env").write_text(
        f"AZURE_OPENAI_ENDPOINT=https://c.openai.azure.com\nAZURE_OPENAI_API_KEY={KEY}\n"
    )
    initializing.run(Path("other.yaml"), None, force=False, as_json=False)
    assert capsys.readouterr().out == (
        "other.yaml is written. Next: smalt check --config other.yaml, and smalt serve --config other.yaml\n"
    )


def test_a_file_is_not_overwritten(folder: Path) -> None:
    """Unless that is wanted."""
    (folder / "smalt.yaml").write_text("mine")
    with pytest.raises(
        ConfigurationError, match=r"smalt\.yaml is there already; write elsewhere with --output"
    ):
        initializing.run(Path("smalt.yaml"), None, force=False, as_json=False)
    assert (folder / "smalt.yaml").read_text() == "mine"
    initializing.run(Path("smalt.yaml"), None, force=True, as_json=False)
    assert (folder / "smalt.yaml").read_text().startswith("# Settings of smalt.")


@pytest.mark.usefixtures("folder")
def test_a_place_that_cannot_be_written() -> None:
    """One line with the machine's reason."""
    with pytest.raises(ConfigurationError, match=r"nowhere/smalt\.yaml cannot be written: No such file"):
        initializing.run(Path("nowhere/smalt.yaml"), None, force=False, as_json=False)


def test_an_environment_that_contradicts_itself() -> None:
    """Nothing is written by guess."""
    with pytest.raises(ConfigurationError, match=r"The environment cannot be used:\n.*already serves gpt-4o"):
        initializing.from_environment(
            {"AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME": "d", "AZURE_OPENAI_GPT41_DEPLOYMENT_NAME": "d"}
        )


def test_a_dollar_sign_is_no_variable() -> None:
    """Values are written so that they are read as they were."""
    data = initializing.from_environment({"AZURE_OPENAI_DEPLOYMENT": "a$b"})
    assert data["resources"]["default"]["deployments"] == {"a$$b": {"model": "a$$b"}}


LITELLM = """\
model_list:
  - model_name: gpt-4o
    litellm_params: {model: azure/prod, api_base: "https://c.openai.azure.com", api_key: sk-secret}
litellm_settings: {cache: true}
"""


def test_a_proxy_of_litellm_is_taken_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each of its keys, then what is still missing."""
    (folder / "config.yaml").write_text(LITELLM)
    initializing.run(Path("smalt.yaml"), Path("config.yaml"), force=False, as_json=False)
    where = "resources.c.deployments.prod"
    assert capsys.readouterr().out.splitlines() == [
        f"config.yaml:2: taken over: model_list[0].model_name: {where}.model",
        "config.yaml:3: taken over: model_list[0].litellm_params.api_base: resources.c.endpoint",
        (
            "config.yaml:3: taken over: model_list[0].litellm_params.api_key: resources.c.api_keys; the "
            "secret stood in the file and is not copied: set C_API_KEY"
        ),
        f"config.yaml:3: taken over: model_list[0].litellm_params.model: {where}",
        (
            "config.yaml:4: left out: litellm_settings.cache: answers are kept by the library if cache.size "
            "is set; the gateway keeps none yet"
        ),
        "4 keys are taken over, 1 left out.",
        "smalt.yaml is written. Still missing:",
        "smalt.yaml:8:16: resources.c.api_keys[0]: the environment variable C_API_KEY is not set",
        "Then: smalt check",
    ]
    assert "sk-secret" not in (folder / "smalt.yaml").read_text()


def test_scripts_get_the_remarks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line, key, whether it was taken over, and where or why not."""
    (folder / "config.yaml").write_text(LITELLM)
    initializing.run(Path("smalt.yaml"), Path("config.yaml"), force=False, as_json=True)
    remarks = json.loads(capsys.readouterr().out)["remarks"]
    assert [(remark["line"], remark["taken"]) for remark in remarks] == [
        (2, True),
        (3, True),
        (3, True),
        (3, True),
        (4, False),
    ]


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2"])
def test_a_proxys_file_that_cannot_be_read(text: str, folder: Path) -> None:
    """Nothing is written."""
    (folder / "config.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"config\.yaml cannot be used"):
        initializing.run(Path("smalt.yaml"), Path("config.yaml"), force=False, as_json=False)
    assert not (folder / "smalt.yaml").exists()
