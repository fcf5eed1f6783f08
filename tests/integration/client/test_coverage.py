"""The tests of the plain functions reach every line and branch of them, without any network."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MODULES = ("azure_settings", "functions", "pool")


def test_req_0_15_every_branch_of_the_plain_functions(tmp_path: Path) -> None:
    """100 %, of success, errors, retries and the pool."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"),
            *(str(HERE / name) for name in ("test_functions.py", "test_pool.py")),
            *(f"--cov=smalt.client.{module}" for module in MODULES),
            *("--cov-branch", "--cov-fail-under=100", "--cov-report=term-missing"),
        ],
        cwd=HERE.parents[2],
        env={"COVERAGE_FILE": str(tmp_path / "coverage"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Required test coverage of 100% reached" in done.stdout
