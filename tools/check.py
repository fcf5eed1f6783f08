"""Everything that can be said about the tree without running it: `make check`.

The steps run side by side; each prints one line when it ends, and its output only if it failed.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = ROOT / ".venv" / "bin"

STEPS: dict[str, Sequence[str | Path]] = {  # the slow ones first
    "types": [BIN / "mypy"],
    "generated files": [BIN / "python", "tools/generate_reference.py", "--check"],
    "layers": [BIN / "lint-imports", "--no-logo"],
    "format": [BIN / "ruff", "format", "--check"],
    "lint": [BIN / "ruff", "check", "--output-format", "concise"],
    "tree": [BIN / "python", "tools/check_tree.py"],
    "lock file": [BIN / "uv", "lock", "--check"],
}


def run(name: str) -> bool:
    """Run one step; whether it passed."""
    started = time.monotonic()
    done = subprocess.run(
        STEPS[name], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    passed = done.returncode == 0
    line = f"{'ok' if passed else 'FAILED':<6}  {name:<16}{time.monotonic() - started:5.1f} s"
    print(line if passed else f"{line}\n{done.stdout.rstrip()}", flush=True)
    return passed


if __name__ == "__main__":
    with ThreadPoolExecutor(max_workers=2) as pool:
        sys.exit(not all(list(pool.map(run, STEPS))))
