"""Other people's SDKs against the emulator, unmodified: `make interop`.

Each folder beside this file has the locked environment of one SDK and its ordinary calls. The environments
are made in .venv-interop. Names given as arguments choose folders.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from smalt.emulator.testing import Handle, running

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BIN = ROOT / ".venv/bin"
OVER_TLS = {"semantic_kernel"}  # it refuses an endpoint that is not https
SHOWN = ("langchain-openai", "semantic-kernel", "agent-framework-openai", "pydantic-ai-slim", "openai")
CALLS_S = 120
OTHERS = ("AZURE_", "OPENAI_", "SSL_CERT_FILE", "VIRTUAL_ENV", "PYTHON", "LANGCHAIN_", "LANGSMITH_")


def environment(name: str) -> Path:
    """The Python of an environment, made as its lock file says."""
    home = ROOT / ".venv-interop" / name
    subprocess.run(
        [BIN / "uv", "sync", "--locked", "--quiet", "--python", BIN / "python"],
        cwd=HERE / name,
        env=clean() | {"UV_PROJECT_ENVIRONMENT": str(home)},
        check=True,
    )
    return home / "bin/python"


def clean() -> dict[str, str]:
    """The variables of this machine, without those that would lead an SDK elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}


def versions(python: Path) -> str:
    listed = subprocess.run(
        [BIN / "uv", "pip", "list", "--format", "json", "--python", python],
        capture_output=True,
        check=True,
    )
    known: list[dict[str, Any]] = json.loads(listed.stdout)
    return ", ".join(f"{row['name']} {row['version']}" for row in known if row["name"] in SHOWN)


def play(name: str, python: Path) -> str | None:
    """Make the calls; what went wrong, if anything."""
    with running(tls=name in OVER_TLS) as azure:
        told = {
            "AZURE_OPENAI_ENDPOINT": azure.url("east"),
            "AZURE_OPENAI_API_KEY": azure.key("east"),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        if azure.ca_file:
            told["SSL_CERT_FILE"] = str(azure.ca_file)
        done = subprocess.run(
            [python, HERE / name / "calls.py"],
            env=clean() | told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CALLS_S,
            check=False,
        )
        return done.stdout if done.returncode else complaint(azure)


def complaint(azure: Handle) -> str | None:
    """The calls ended well; but were they made here, and was none of them refused on the way?"""
    entries = azure.log()
    refused = [entry for entry in entries if entry["status"] != 200]
    if refused or not entries:
        return f"{len(entries)} requests, of which refused: {refused}"
    return None


def main(names: list[str]) -> int:
    failed = 0
    for name in names or sorted(folder.parent.name for folder in HERE.glob("*/calls.py")):
        python = environment(name)
        wrong = play(name, python)
        failed += wrong is not None
        sys.stdout.write(
            f"{'ok' if wrong is None else 'FAILED':<6}  {name:<16}  {versions(python)}\n{wrong or ''}"
        )
        sys.stdout.flush()
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
