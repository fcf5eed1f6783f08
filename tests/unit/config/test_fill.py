"""Variables, `.env` and secrets in files."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from smalt.config.fill import fill_variables, parse_dotenv, read_secret_files, with_dotenv
from smalt.config.read import parse
from smalt.errors import ConfigurationError


def filled(value: str, **env: str) -> object:
    document = parse(f"a: '{value}'", "smalt.yaml")
    fill_variables(document, env)
    assert not document.problems
    return document.data["a"]


def fill_problems(value: str, env: Mapping[str, str]) -> list[str]:
    document = parse(f"a: ['{value}']", "smalt.yaml")
    fill_variables(document, env)
    return [str(problem) for problem in document.problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${X}", "x"),
        ("-${X}-${X}-", "-x-x-"),
        ("${UNSET:-default}", "default"),
        ("${UNSET:-}", ""),
        ("${EMPTY:-default}", "default"),
        ("${X:-default}", "x"),
        ("$$", "$"),
        ("$${X}", "${X}"),
        ("$$${X}", "$x"),
        ("$X", "$X"),
        ("costs 5$", "costs 5$"),
    ],
)
def test_variables_are_filled(written: str, meant: str) -> None:
    """`${VAR}` and `${VAR:-default}`; `$$` is a dollar sign."""
    assert filled(written, X="x", EMPTY="") == meant


def test_a_value_is_filled_after_parsing() -> None:
    """A secret may hold what means something in YAML, or looks like a variable."""
    assert filled("${KEY}", KEY="a: [b #c ${X} $$") == "a: [b #c ${X} $$"


@pytest.mark.parametrize("env", [{}, {"MISSING": ""}])
def test_a_missing_variable_is_a_problem_with_its_position(env: dict[str, str]) -> None:
    """Unset and empty are the same."""
    assert fill_problems("${MISSING}", env) == [
        "smalt.yaml:1:5: a[0]: the environment variable MISSING is not set"
    ]


@pytest.mark.parametrize("written", ["${", "${}", "${X", "${1X}", "${X:+y}", "${X-y}"])
def test_what_is_nearly_a_variable_is_a_problem(written: str) -> None:
    """It is never passed on as it stands."""
    assert fill_problems(written, {"X": "x"}) == [
        "smalt.yaml:1:5: a[0]: expected ${NAME} or ${NAME:-default}; write $$ for a dollar sign"
    ]


def deployments(written: str, **env: str) -> tuple[object, list[str]]:
    document = parse(f"resources:\n  east:\n    deployments:\n      {written}", "smalt.yaml")
    fill_variables(document, env)
    return document.data["resources"]["east"]["deployments"], [str(found) for found in document.problems]


def test_req_1_30_a_deployment_for_each_environment() -> None:
    """Its name may hold variables, and its order stays."""
    written = "gpt-4o-${ENV}: {model: gpt-4o}\n      b: {}\n      ${UNSET:-c}$$: {model: '${ENV}'}"
    told, problems = deployments(written, ENV="prod")
    assert told == {"gpt-4o-prod": {"model": "gpt-4o"}, "b": {}, "c$": {"model": "prod"}}
    assert list(told) == ["gpt-4o-prod", "b", "c$"]
    assert problems == []


def test_faults_of_a_deployment_named_by_a_variable_keep_their_place() -> None:
    """Of the name itself, and of what stands under it."""
    assert deployments("gpt-4o-${ENV}: {}")[1] == [
        "smalt.yaml:4:7: resources.east.deployments.gpt-4o-${ENV}: the environment variable ENV is not set"
    ]
    assert deployments("a-prod: {}\n      a-${ENV}: {}", ENV="prod")[1] == [
        "smalt.yaml:5:7: resources.east.deployments.a-${ENV}: two deployments here are called 'a-prod'"
    ]
    document = parse("resources: {east: {deployments: {'a-${ENV}':\n  {model: '${ENV}'}}}}", "smalt.yaml")
    fill_variables(document, {"ENV": "prod"})
    path = ("resources", "east", "deployments", "a-prod", "model")
    assert (document.places[path].line, document.written[path]) == (2, "${ENV}")


@pytest.mark.parametrize(
    "text", ["a: 1", "resources: [a]", "resources: {a: b}", "resources: {a: {deployments: b}}"]
)
def test_another_shape_is_left_to_later_checks(text: str) -> None:
    """Where there are no deployments there is nothing to name."""
    document = parse(text, "smalt.yaml")
    before = document.data
    fill_variables(document, {})
    assert document.data == before
    assert not document.problems


def test_other_keys_are_not_filled() -> None:
    """Only values and the names of deployments are."""
    document = parse("'${X}': 1", "smalt.yaml")
    fill_variables(document, {"X": "x"})
    assert document.data == {"${X}": "1"}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("KEY=value", "value"),
        ("export KEY=value", "value"),
        ("  KEY = value  ", "value"),
        ("KEY=value # comment", "value"),
        ("KEY=val#ue", "val#ue"),
        ("KEY=a b", "a b"),
        ("KEY=a=b==", "a=b=="),
        ("KEY=", ""),
        ("KEY= # comment", ""),
        ("KEY='single # $X \\n'", "single # $X \\n"),
        ('KEY="double # \\"x\\"\\n\\$" # comment', 'double # "x"\n$'),
        ("KEY=it's", "it's"),
        ("KEY=value\r", "value"),
    ],
)
def test_dotenv_lines(line: str, value: str) -> None:
    """Quotes, comments and `export` as in a shell."""
    assert parse_dotenv(f"# comment\n\n{line}\n", ".env") == {"KEY": value}


@pytest.mark.parametrize("line", ["KEY", "=value", "KEY='open", '"KEY"=x', "1KEY=x", "KEY='a' b"])
def test_a_bad_dotenv_line_is_a_problem_without_its_text(line: str) -> None:
    """The line may hold a secret."""
    with pytest.raises(ConfigurationError) as caught:
        parse_dotenv(f"A=1\n{line}\n", ".env")
    assert caught.value.problems == (".env:2:1: expected KEY=VALUE",)


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    """An empty variable counts as unset, so that it does not win."""
    (tmp_path / ".env").write_text("A=file\nB=file\nC=file\n")
    env = with_dotenv({"A": "process", "B": ""}, tmp_path)
    assert env == {"A": "process", "B": "file", "C": "file"}


def test_a_folder_called_dotenv_is_no_dotenv_file(tmp_path: Path) -> None:
    """Some people keep their virtual environment there."""
    (tmp_path / ".env").mkdir()
    assert with_dotenv({"A": "1"}, tmp_path) == {"A": "1"}


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    """Relative to the configuration's folder; the line end is not part of it. What is read again when it was
    refused stays where it is."""
    (tmp_path / "key").write_text("s3cret\n")
    document = parse(
        "api_keys: ['file:key', 'file:/nowhere']\nother: file:key\nadmin_key: file:key", "smalt.yaml"
    )
    read_secret_files(document, tmp_path)
    assert document.data == {
        "admin_key": "s3cret",
        "api_keys": [f"file:{tmp_path}/key", ""],
        "other": "file:key",
    }
    assert [str(problem) for problem in document.problems] == [
        "smalt.yaml:1:24: api_keys[1]: the secret file cannot be read: No such file or directory"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b" \n", "the secret file is empty"), (b"\xff", "the secret file cannot be read: not a text file")],
)
def test_an_unusable_secret_file_is_a_problem(content: bytes, message: str, tmp_path: Path) -> None:
    """Rather than an empty or broken key."""
    (tmp_path / "key").write_bytes(content)
    document = parse("admin_key: file:key", "smalt.yaml")
    read_secret_files(document, tmp_path)
    assert [problem.message for problem in document.problems] == [message]


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("s3cret", True),
        ("${KEY}", False),
        ("sk-${KEY}", True),
        ("${KEY:-s3cret}", True),
        ("${KEY:-}", False),
        ("s3$$cret", True),
        ("Bearer ${KEY}", False),
        ("Bearer s3cret", True),
        ("file:/run/${KEY}", False),
        ("keyring:east", False),
        ("https://contoso.vault.azure.net/secrets/key", False),
        ("none", False),
        ("", False),
    ],
)
def test_a_secret_that_stands_in_the_file_is_noted(text: str, literal: bool) -> None:
    """Whole, in part, or as the default of a variable; not the word for a server that asks for no key."""
    document = parse(f"gateway: {{admin_key: '{text}'}}\nagents: {{a: {{model: '{text}'}}}}", "smalt.yaml")
    fill_variables(document, {"KEY": "s3cret"})
    assert document.literals == ([("gateway", "admin_key")] if literal else [])


def test_a_literal_secret_is_not_kept_as_it_was_written() -> None:
    """Messages show what is written where variables stand."""
    document = parse("gateway: {admin_key: 's3$$cret', listen: '${HERE}'}", "smalt.yaml")
    fill_variables(document, {"HERE": "127.0.0.1:80"})
    assert document.written == {("gateway", "listen"): "${HERE}"}


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """It would fail the first request, or the start; a blank names none."""
    (tmp_path / "app.pem").touch()
    document = parse(
        "{a: {certificate_file: app.pem}, b: {certificate_file: nowhere}, ca_file: ''}", "smalt.yaml"
    )
    read_secret_files(document, tmp_path)
    assert document.data["a"] == {"certificate_file": str(tmp_path / "app.pem")}
    assert document.data["ca_file"] == ""
    assert [str(problem) for problem in document.problems] == [
        (
            "smalt.yaml:1:38: b.certificate_file: no such file; a relative path begins at the folder of "
            "smalt.yaml"
        )
    ]


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("http://proxy:3128", False),
        ("http://user:s3cret@proxy:3128", True),
        ("user:s3cret@proxy:3128", True),
        ("http://user:${PASSWORD}@proxy:3128", False),
        ("${PROXY}", False),
    ],
)
def test_the_password_of_a_proxy_is_a_secret(text: str, literal: bool) -> None:
    """The rest of its address is none."""
    document = parse(f"network: {{proxy: '{text}'}}", "smalt.yaml")
    fill_variables(document, {"PASSWORD": "s3cret", "PROXY": "http://user:s3cret@proxy"})
    assert document.literals == ([("network", "proxy")] if literal else [])


@pytest.mark.parametrize(("name", "reason"), [("a\0b", "not a path"), ("a" * 5000, "File name too long")])
def test_a_path_that_cannot_be_looked_at(name: str, reason: str, tmp_path: Path) -> None:
    """A problem as any other."""
    document = parse("{ca_file: x}", "smalt.yaml")
    document.data["ca_file"] = name
    read_secret_files(document, tmp_path)
    assert [str(problem) for problem in document.problems] == [
        f"smalt.yaml:1:2: ca_file: the file cannot be read: {reason}"
    ]
    with pytest.raises(ConfigurationError, match=f"\\.env: cannot be read: {reason}"):
        with_dotenv({}, tmp_path / name)


def test_a_variable_that_is_no_text() -> None:
    """Python keeps its bytes as half characters, at which the check of the settings would never end."""
    assert fill_problems("${X}", {"X": "a\udcff"}) == [
        "smalt.yaml:1:5: a[0]: expected UTF-8 text in the environment variable X"
    ]
