"""The suite notices a test that prints a secret."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.security

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.secrets_plugin import SecretsWatch

def pytest_configure(config):
    config.addinivalue_line("markers", "shows_secrets(reason): x")
    config.pluginmanager.register(SecretsWatch())
"""
TESTS = """
import logging, os, secrets, subprocess, sys
import pytest
from pydantic import SecretStr
from smalt.emulator.identity.keys import KeyPair

KEY = "k3y-that-nobody-may-see"

@pytest.fixture
def key():
    return SecretStr(KEY)

@pytest.fixture
def loud(key):
    yield
    print(KEY)

def test_quiet(key): print(key)
def test_prints(key): print("so", KEY, "so")
def test_logs(key): logging.getLogger("x").warning("%s", KEY)
def test_writes_to_the_descriptor(key): os.write(2, KEY.encode())
def test_of_a_command(key): subprocess.run([sys.executable, "-c", f"print('{KEY}')"], capture_output=True)
def test_of_a_child(key): subprocess.run([sys.executable, "-c", f"print('{KEY}')"])
def test_read_by_the_test(key, capsys): print(KEY); capsys.readouterr()
def test_in_a_log_file(key, tmp_path): (tmp_path / "gateway.log").write_text(KEY)
def test_in_its_teardown(loud): pass
def test_a_password(): SecretStr("http://me:hush-hush-hush@proxy:1"); print("hush-hush-hush")
def test_a_made_key(): print("gw_" + "x" * 32)
def test_a_key_of_the_emulator(): print(KeyPair("east", ()).keys[0])
def test_short_words_are_none(): SecretStr("k"); print("k")
@pytest.mark.shows_secrets("on purpose")
def test_allowed(key): print(KEY)
def test_nothing_is_left_of_it(key): pass
"""
LEAKING = {
    "test_prints",
    "test_logs",
    "test_writes_to_the_descriptor",
    "test_of_a_command",
    "test_of_a_child",
    "test_read_by_the_test",
    "test_in_a_log_file",
    "test_in_its_teardown",
    "test_a_password",
    "test_a_made_key",
    "test_a_key_of_the_emulator",
}


@pytest.mark.shows_secrets("it shows those of the tests it runs")
@pytest.mark.parametrize("processes", ["0", "2"])
def test_every_way_to_show_a_secret_is_found(processes: str, tmp_path: Path) -> None:
    """The test is named, and the kind of secret; in one process as in several."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", processes, "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    told = [line for line in ran.stdout.splitlines() if " has shown " in line and line.startswith("test_it")]
    names = {line.partition("::")[2].partition(" ")[0]: line.partition(" has shown ")[2] for line in told}
    assert names.keys() == LEAKING
    assert names["test_prints"] == "a secret of the settings"
    assert names["test_a_made_key"] == "a gateway key"
    assert ran.returncode == 1
