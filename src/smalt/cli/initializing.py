"""`smalt init`: a first smalt.yaml."""

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from smalt.cli.writing import write_text
from smalt.config import load
from smalt.config.document import KeyPath
from smalt.config.environment import VARIABLES, read_environment
from smalt.config.fill import with_dotenv
from smalt.config.freeze import DEFAULT_RESOURCE
from smalt.config.litellm import Remark, convert
from smalt.config.read import read_file
from smalt.config.yaml_text import yaml_text
from smalt.errors import ConfigurationError

HEAD = """\
# Settings of smalt. What they add up to: smalt check. Where each value comes from: smalt config show.
# A ${NAME} is filled from the environment, or from a file .env beside this one: no secret stands here.

"""
MEANINGS = {
    "resources": "Azure OpenAI accounts: where they are, who we are to them, what each deployment serves.",
    "models": "Where the default is not wanted: provisioned deployments first, the rest share the load.",
    "agents": "Named defaults, asked for as the model agent/NAME.",
    "gateway": "What smalt serve offers, and to whom.",
}
KEY = "${AZURE_OPENAI_API_KEY}"
ENDPOINT_BLANK = "As the Azure portal shows it: https://NAME.openai.azure.com"
DEPLOYMENTS_BLANK = "By exact name, with the model it serves; for example  gpt-4o-prod: {model: gpt-4o}"
ANY_DEPLOYMENT = "The name `default` makes azure/NAME reach every deployment there, listed or not."


def run(output: Path, litellm: Path | None, *, force: bool, as_json: bool) -> None:
    """`litellm`: the config.yaml to go by, in place of the environment. Raises ConfigurationError if that or
    the environment cannot be used, or the file not be written."""
    refuse_existing(output, force=force)
    remarks: list[Remark] = []
    if litellm is None:
        data = from_environment(with_dotenv(os.environ, output.parent))
    else:
        document = read_file(litellm, str(litellm))
        document.stop_if_faulty()
        converted = convert(document)
        data, remarks = converted.data, converted.remarks
    write_text(output, render(data))
    problems = problems_of(output)
    if as_json:
        told = [asdict(remark) for remark in remarks]
        print(
            json.dumps({"file": str(output), "problems": problems} | ({"remarks": told} if litellm else {}))
        )
    else:
        print("\n".join([*remark_lines(str(litellm), remarks), *next_steps(output, problems)]))


def remark_lines(file: str, remarks: Sequence[Remark]) -> Iterator[str]:
    """One for each key of another tool's file, then their numbers."""
    for remark in remarks:
        what = "taken over" if remark.taken else "left out"
        yield f"{file}:{remark.line}: {what}: {remark.key}: {remark.text}"
    if remarks:
        taken = sum(remark.taken for remark in remarks)
        yield f"{taken} keys are taken over, {len(remarks) - taken} left out."


def from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """The file that does what the environment alone would; secrets by the names of their variables. What it
    does not say is blank."""
    by_name = {
        v.name: f"${{{v.name}}}" if v.secret else env[v.name].replace("$", "$$")
        for v in VARIABLES
        if env.get(v.name, "").strip()
    }
    document = read_environment(by_name)
    document.title = "The environment"
    document.stop_if_faulty()
    found = document.data["resources"][DEFAULT_RESOURCE]
    deployments = found.pop("deployments")
    name = DEFAULT_RESOURCE if found or deployments else "east"
    found.setdefault("endpoint", None)
    if not {"api_keys", "identity"} & found.keys():
        found["api_keys"] = [KEY]
    order = ("endpoint", "api_version", "api_keys", "identity")
    resource = {key: found[key] for key in order if key in found} | {"deployments": deployments or None}
    gateway = document.data["gateway"]
    return {"resources": {name: resource}} | ({"gateway": gateway} if gateway else {})


def render(data: Mapping[str, Any], above: Mapping[KeyPath, str] | None = None) -> str:
    """Settings as a smalt.yaml with comments; what is None is a blank, and says what belongs there.

    `above`: more comments, by path; they stand above the key.
    """
    comments: dict[KeyPath, str] = {(key,): text for key, text in MEANINGS.items() if key in data}
    for name, resource in data.get("resources", {}).items():
        path: KeyPath = ("resources", name)
        if name == DEFAULT_RESOURCE:
            comments[path] = ANY_DEPLOYMENT
        if not resource.get("endpoint"):
            comments[*path, "endpoint"] = ENDPOINT_BLANK
        if not resource.get("deployments") and name != DEFAULT_RESOURCE:
            comments[*path, "deployments"] = DEPLOYMENTS_BLANK
    return HEAD + yaml_text(data, comments | dict(above or {}))


def refuse_existing(output: Path, *, force: bool) -> None:
    if output.exists() and not force:
        raise ConfigurationError(
            f"{output} is there already; write elsewhere with --output, or over it with --force"
        )


def problems_of(output: Path) -> list[str]:
    """What is still to be done to the file."""
    try:
        load(output, env=os.environ, cwd=Path.cwd())
    except ConfigurationError as error:
        return list(error.problems or [error.message])
    return []


def next_steps(output: Path, problems: list[str]) -> list[str]:
    option = "" if output == Path("smalt.yaml") else f" --config {shlex.quote(str(output))}"
    if problems:
        return [f"{output} is written. Still missing:", *problems, f"Then: smalt check{option}"]
    return [f"{output} is written. Next: smalt check{option}, and smalt serve{option}"]
