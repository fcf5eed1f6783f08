"""`smalt doctor` and `smalt validate` as people and scripts call them."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.integration.doctor.conftest import Azure


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "smalt", *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings(azure: Azure, **fields: Any) -> None:
    (azure.folder / "smalt.yaml").write_text(json.dumps({"resources": {"east": azure.east(**fields)}}))


def test_req_3_1_validate_names_the_fault(azure: Azure, closed_port: int) -> None:
    """0 before a good Azure; 1, and a line that names the fault, for each of four ways to go wrong."""
    settings(azure)
    assert run("validate", cwd=azure.folder).returncode == 0
    settings(azure, api_keys=["${NOT_SET_ANYWHERE}"])
    unset = run("validate", cwd=azure.folder)
    settings(azure, endpoint=f"https://127.0.0.1:{closed_port}")
    refused = run("validate", cwd=azure.folder)
    settings(azure, deployments={"nowhere": {"model": "gpt-4o"}})
    unknown = run("validate", cwd=azure.folder)
    assert [done.returncode for done in (unset, refused, unknown)] == [1, 1, 1]
    assert "the environment variable NOT_SET_ANYWHERE is not set" in " ".join(unset.stdout.split())
    assert f"fault east: 127.0.0.1:{closed_port}: Connection refused" in refused.stdout
    assert "fault east/nowhere: 404" in unknown.stdout
    for done in (unset, refused, unknown):
        assert "1 fault, " in done.stdout


def test_req_3_1_a_missing_package_is_named(azure: Azure) -> None:
    """With the command that installs it; the rest is judged all the same."""
    settings(azure, identity=azure.application("app"))
    block = "import sys; sys.modules['azure.identity'] = None; import smalt.cli as cli; cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", block, "validate"],
        cwd=azure.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "fault this machine: no module azure.identity" in done.stdout
    assert "$ pip install 'smalt[azure]'" in done.stdout
    assert "1 fault, " in done.stdout


def test_json_is_for_scripts(azure: Azure) -> None:
    """One document on standard output, nothing beside it, and no secret in it."""
    settings(azure, api_keys=azure.keys("a-wrong-key-0123456789"))
    done = run("doctor", "--json", cwd=azure.folder)
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert told["ok"] is False
    (fault,) = [one for one in told["findings"] if one["verdict"] == "fault"]
    assert (fault["area"], fault["subject"], fault["code"]) == ("authentication", "east", "key_refused")
    assert any(step.startswith("az cognitiveservices account keys list") for step in fault["mend"])
    assert "a-wrong-key" not in done.stdout


def test_without_a_terminal_there_is_no_progress(azure: Azure) -> None:
    """Nor what the libraries of Azure log."""
    settings(azure, identity=azure.application("app", client_id="00000000-0000-0000-0000-000000000001"))
    done = run("doctor", cwd=azure.folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert "AADSTS700016" in done.stdout


@pytest.mark.parametrize("command", ["doctor", "validate"])
def test_without_a_file_the_environment_is_examined(command: str, azure: Azure) -> None:
    """The resource is called default."""
    azure.patch.setenv("AZURE_OPENAI_ENDPOINT", azure.handle.url("east"))
    azure.patch.setenv("AZURE_OPENAI_API_KEY", "east-key-1")
    azure.patch.setenv("AZURE_OPENAI_DEPLOYMENT", "gpt-4o-prod")
    done = run(command, cwd=azure.folder)
    assert done.returncode == 0, done.stdout
    assert "default/gpt-4o-prod" in done.stdout


def test_ctrl_c_ends_it_at_once(azure: Azure) -> None:
    """Although a server is silent; without a traceback."""
    azure.handle.set("east", "hang")
    settings(azure)
    with subprocess.Popen(
        [sys.executable, "-m", "smalt", "doctor"],
        cwd=azure.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until = time.monotonic() + 30
        while not azure.handle.log("east") and time.monotonic() < until:
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=30)
    assert process.returncode == 130
    assert complaints == ""
    assert time.monotonic() - began < 8  # its patience with the server is 10 s
