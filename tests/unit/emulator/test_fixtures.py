"""What users write to have an emulator in their tests."""

import subprocess
import sys
from pathlib import Path

TESTS = """
import http.client
from urllib.parse import urlsplit
from smalt.emulator.testing import azure

def ask(azure):
    caller = http.client.HTTPConnection(urlsplit(azure.url("east")).netloc, timeout=10)
    caller.request("GET", "/openai/v1/models", headers={"api-key": azure.key("east")})
    status = caller.getresponse().status
    caller.close()
    return status

def test_one(azure):
    assert ask(azure) == 200
    azure.set("east", "error", error="server_error")
    assert ask(azure) == 500

def test_two(azure):
    assert azure.log() == []
    assert ask(azure) == 200
"""


def test_an_import_is_all_it_takes(tmp_path: Path) -> None:
    """No plugin, no conftest; no test sees what another did to its emulator."""
    (tmp_path / "test_users.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    done = subprocess.run(
        [*command, "-W", "error", "test_users.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_who_has_no_pytest_can_run_an_emulator() -> None:
    """`running` needs only what the emulator needs."""
    code = "import sys; sys.modules['pytest'] = None; from smalt.emulator.testing import running"
    subprocess.run([sys.executable, "-c", code], check=True)
