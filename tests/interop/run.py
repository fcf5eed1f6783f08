"""Other people's SDKs: `make interop`.

Each folder beside this file has the locked environment of one SDK, its ordinary calls (`calls.py`), and two
scripts that make them: `direct.py`, unmodified against the emulator, which vouches for the emulator; and
`through.py`, the same with smalt between them, while the first of two regions is lost, then both. Tests in
such a folder are run last. A folder without these scripts holds a program: its tests alone are run, by the
project's own Python, which finds the program's environment in INTEROP_HOME.

Environments are made in .venv-interop. Names given as arguments choose SDKs; `--lock` renews the lock files
after a change of smalt's dependencies.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from smalt.emulator.fleet import load_fleet
from smalt.emulator.testing import Handle, running
from smalt.types import CallRecord

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BIN = ROOT / ".venv/bin"
FIRST, SECOND = "east", "sweden"
LOSSES: dict[str, tuple[dict[str, str], list[int]]] = {  # switches of the emulator; what each attempt meets
    "region down": ({"mode": "down"}, []),
    "region throttled": ({"mode": "error", "error": "rate_limit_tokens_classic"}, [429]),
}
OVER_TLS = {"semantic_kernel"}  # it refuses an endpoint that is not https
SHOWN = (
    "langchain-openai",
    "semantic-kernel",
    "agent-framework-openai",
    "pydantic-ai-slim",
    "llama-index-llms-azure-openai",
    "llama-index-embeddings-azure-openai",
    "litellm",
    "openai",
)
CALLS_S = 120
TESTS_S = 300
PREPARE_S = 600  # with cold caches it downloads
AT_ONCE = 2
OTHERS = (
    "AZURE_",
    "OPENAI_",
    "SSL_CERT_FILE",
    "VIRTUAL_ENV",
    "PYTHON",
    "LANGCHAIN_",
    "LANGSMITH_",
    "LITELLM_",
)
LOCAL = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
APP = {  # of an application that was never told of smalt; through smalt neither is used
    "AZURE_OPENAI_ENDPOINT": "https://app.invalid",
    "AZURE_OPENAI_API_KEY": "the-app's-own",
    "OPENAI_API_VERSION": "2025-04-01-preview",  # without smalt, responses need it
}


class Wrong(Exception):
    """`args`: in a line, what is wrong; in full, what was printed."""


@dataclass(frozen=True, slots=True)
class Sdk:
    """`group`: the dependency group, where one folder has several environments."""

    name: str
    folder: Path
    group: str | None = None

    @property
    def home(self) -> Path:
        return ROOT / ".venv-interop" / self.name

    @property
    def makes_calls(self) -> bool:
        return (self.folder / "direct.py").exists()

    def prepare(self) -> None:
        """Make the environment as its lock file says. Raises Wrong."""
        group = ["--group", self.group] if self.group else []
        told = {"UV_PROJECT_ENVIRONMENT": str(self.home), "UV_PYTHON": str(BIN / "python")}
        sync = [BIN / "uv", "sync", "--locked", "--quiet", *group]
        execute(sync, env=clean() | told, cwd=self.folder, timeout_s=PREPARE_S)

    def versions(self) -> str:
        """Of what is worth naming, as locked."""
        packages = tomllib.loads((self.folder / "uv.lock").read_text())["package"]
        (project,) = (package for package in packages if "virtual" in package["source"])
        in_group = project.get("dev-dependencies", {}).get(self.group, [])
        locked = {package["name"]: package["version"] for package in packages}
        locked |= {package["name"]: package["version"] for package in in_group}
        return ", ".join(f"{name} {locked[name]}" for name in SHOWN if name in locked)

    def test(self) -> None:
        """Raises Wrong."""
        python = self.home / "bin/python" if self.makes_calls else BIN / "python"
        home = {"INTEROP_HOME": str(self.home)}
        command = [python, "-m", "pytest", "-q", self.folder]
        cwd = self.folder if self.makes_calls else ROOT
        execute(command, env=clean() | LOCAL | home, cwd=cwd, timeout_s=TESTS_S)

    def run(self, script: Path, *arguments: Path, told: dict[str, str], cwd: Path) -> None:
        """Raises Wrong."""
        command = [self.home / "bin/python", script, *arguments]
        execute(command, env=clean() | LOCAL | APP | told, cwd=cwd, timeout_s=CALLS_S)


def sdks() -> Iterator[Sdk]:
    for project in sorted(HERE.glob("*/pyproject.toml")):
        groups = tomllib.loads(project.read_text()).get("dependency-groups")
        folder = project.parent
        yield from [Sdk(group, folder, group) for group in groups] if groups else [Sdk(folder.name, folder)]


def execute(command: list[Any], *, env: dict[str, str], cwd: Path, timeout_s: int) -> None:
    """To a good end. Raises Wrong."""
    try:
        done = subprocess.run(
            command, env=env, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise Wrong(f"no end after {timeout_s} s", "") from None
    if done.returncode:
        output = done.stdout + done.stderr
        raise Wrong((output.strip() or "no output").splitlines()[-1], output)


def clean() -> dict[str, str]:
    """The variables of this machine, without those that would lead an SDK elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}


def direct(sdk: Sdk, cwd: Path) -> None:
    """Every call is answered by the first region. Raises Wrong."""
    with running(load_fleet(HERE / "azure.yaml"), tls=sdk.folder.name in OVER_TLS) as azure:
        told = {"AZURE_OPENAI_ENDPOINT": azure.url(FIRST), "AZURE_OPENAI_API_KEY": azure.key(FIRST)}
        if azure.ca_file:
            told["SSL_CERT_FILE"] = str(azure.ca_file)
        sdk.run(sdk.folder / "direct.py", told=told, cwd=cwd)
        statuses = [entry["status"] for entry in azure.log()]
    expect(statuses and set(statuses) == {200}, f"the region answered {statuses}")


def through(sdk: Sdk, cwd: Path, loss: dict[str, str], met: list[int]) -> None:
    """Every call is answered by the second region, and receipts and Azure agree on it. Raises Wrong."""
    with running(load_fleet(HERE / "azure.yaml")) as azure:
        (cwd / "smalt.yaml").write_text(azure.config_text)
        azure.set(FIRST, **loss)
        with_receipts(sdk, cwd)
        compare(receipts(cwd), azure, met)


def given_up(sdk: Sdk, cwd: Path) -> None:
    """What smalt gives up, the SDK does not ask for again. Raises Wrong."""
    with running(load_fleet(HERE / "azure.yaml")) as azure:
        (cwd / "smalt.yaml").write_text(azure.config_text + "retry: {max_attempts: 2}\n")
        for region in (FIRST, SECOND):
            azure.set(region, mode="error", error="server_error")
        with suppress(Wrong):
            with_receipts(sdk, cwd)
        asked, log = receipts(cwd), azure.log()
    expect(len(asked) == 1 and asked[0].error, f"repeated by the SDK: {len(asked)} calls in place of one")
    expect(len(log) == 2, f"{len(log)} requests in place of two")


def with_receipts(sdk: Sdk, cwd: Path) -> None:
    sdk.run(HERE / "with_receipts.py", sdk.folder / "through.py", cwd / "receipts.json", told={}, cwd=cwd)


def receipts(cwd: Path) -> list[CallRecord]:
    file = cwd / "receipts.json"
    expect(file.exists(), "no receipts were written")
    told = msgspec.json.decode(file.read_bytes(), type=list[CallRecord])
    file.unlink()
    return told


def compare(told: list[CallRecord], azure: Handle, met: list[int]) -> None:
    """Receipts with what Azure logged and billed, call by call. Raises Wrong."""
    served = [entry["status"] for entry in azure.log(SECOND)]
    expect(told and served == [200] * len(told), f"{len(told)} receipts, but it answered {served}")
    unserved = [receipt for receipt in told if receipt.error or not receipt.upstream]
    expect(not unserved, f"without an answer: {unserved}")
    tried = [attempt for receipt in told for attempt in receipt.attempts]
    refused = [attempt.failure for attempt in tried if attempt.upstream.startswith(f"{FIRST}/")]
    expect(refused and all(refused), f"the lost region is said to have answered: {refused}")
    log = [entry["status"] for entry in azure.log(FIRST)]
    expect(APP["AZURE_OPENAI_API_KEY"] not in str(azure.log()), "the application's own key was shown")
    expect(log == met * len(refused), f"{refused} recorded, but it answered {log}")
    billed = {
        row["client_request_id"]: (row["input_tokens"], row["output_tokens"])
        for row in azure.bill()["entries"]
    }
    shown = {r.request_id: r.usage and (r.usage.input_tokens, r.usage.output_tokens) for r in told}
    expect(billed == shown, f"billed {billed}, but the receipts say {shown}")


def expect(truth: object, otherwise: str) -> None:
    if not truth:
        raise Wrong(otherwise, "")


def parts(sdk: Sdk, cwd: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Each raises Wrong."""
    yield "direct", partial(direct, sdk, cwd)
    for loss, (switches, met) in LOSSES.items():
        yield f"through smalt, {loss}", partial(through, sdk, cwd, switches, met)
    yield "through smalt, no region left", partial(given_up, sdk, cwd)


def play(sdk: Sdk) -> tuple[str, str]:
    """A line about an SDK, and what was printed if something failed."""
    step = "environment"
    try:
        sdk.prepare()
        with tempfile.TemporaryDirectory() as folder:
            for step, part in parts(sdk, Path(folder)) if sdk.makes_calls else ():  # noqa: B007  told if it fails
                part()
        if any(sdk.folder.glob("test_*.py")):
            step = "tests"
            sdk.test()
    except Wrong as wrong:
        line, output = wrong.args
        return f"FAILED  {sdk.name:<16}  {sdk.versions()}: {step}: {line}", output
    return f"ok      {sdk.name:<16}  {sdk.versions()}", ""


def main(arguments: list[str]) -> int:
    chosen = [sdk for sdk in sdks() if not arguments or sdk.name in arguments]
    failed = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for line, output in pool.map(play, chosen):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            failed += [(line, output)] if line.startswith("FAILED") else []
    sys.stdout.writelines(f"\n{line}\n{output}" for line, output in failed if output)
    return min(len(failed), 1)


def lock() -> int:
    for folder in sorted({sdk.folder for sdk in sdks()}):
        subprocess.run([BIN / "uv", "lock", "--python", BIN / "python"], cwd=folder, env=clean(), check=True)
    return 0


if __name__ == "__main__":
    sys.exit(lock() if sys.argv[1:] == ["--lock"] else main(sys.argv[1:]))
