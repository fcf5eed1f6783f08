"""The mutation score of a project of one module, taken by a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULE = "src/small/core/sums.py"
SOURCE = "def more(a):\n    return a + 1\n\n\ndef unseen(a):\n    return a * 2\n"
TEST = "import time\n\nfrom small.core.sums import more\n\n\ndef test_more():\n    assert more(1) == 2\n"
SOAK = (
    "import sys; from pathlib import Path; from tools.mutate import soak;"
    f"sys.exit(soak(Path(sys.argv[1]), {{{MODULE!r}: ['tests/unit/core']}}, float(sys.argv[2])))"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a folder for temporary files beside it."""
    root = tmp_path / "project"
    for name, text in {
        MODULE: SOURCE,
        "tests/unit/core/test_sums.py": TEST,
        "tests/conftest.py": "",
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\n',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (tmp_path / "temporary").mkdir()
    return root


def soaking(project: Path, floor: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", SOAK, str(project), str(floor)],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(project.parent / "temporary")},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_survivors_are_listed_and_scored(project: Path) -> None:
    """What the test sees counts, what it does not see is named with its line; the tree stays as it is."""
    with soaking(project, floor=0.5) as soak:
        said = soak.communicate()[0]
    assert "50.0%  src/small/core/sums.py: 3 of 6 noticed" in said
    assert "src/small/core/sums.py:6: a * 2  ->  a / 2" in said
    assert "src/small/core/sums.py:2:" not in said
    assert soak.returncode == 0
    assert (project / MODULE).read_text() == SOURCE


def test_a_score_below_the_floor_fails(project: Path) -> None:
    """The module is named."""
    with soaking(project, floor=0.51) as soak:
        said = soak.communicate()[0]
    assert "below it: src/small/core/sums.py" in said
    assert soak.returncode == 1


def test_tests_that_fail_anyway_give_no_score(project: Path) -> None:
    """Every mutant would count as noticed."""
    (project / "tests/unit/core/test_sums.py").write_text(TEST.replace("== 2", "== 3"))
    with soaking(project, floor=0.5) as soak:
        said = soak.communicate()[0]
    assert said == "without any change these tests fail already: pytest tests/unit/core\n"
    assert soak.returncode == 2


def test_stopped_it_leaves_nothing_behind(project: Path) -> None:
    """No trial goes on, no copy stays: here every mutant would sleep for a minute."""
    hangs = TEST.replace("    assert", "    if more(1) != 2:\n        time.sleep(60)\n    assert")
    (project / "tests/unit/core/test_sums.py").write_text(hangs)
    with soaking(project, floor=0.5) as soak:
        assert soak.stdout is not None
        assert soak.stdout.read(len(MODULE)) == MODULE
        soak.send_signal(signal.SIGTERM)
        assert soak.stdout.read().endswith("\nstopped\n")
    assert soak.returncode == 2
    with pytest.raises(ProcessLookupError):
        os.killpg(soak.pid, 0)
    assert list((project.parent / "temporary").iterdir()) == []
