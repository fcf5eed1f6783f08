"""Wire code under bytes of every kind, for some time: part of `make soak`; `FUZZ_S=600` takes longer.

Each target of `tests/fuzz/targets.py` is a process of its own, begun from its seeds. What breaks one is
shown, and how to see it again: `python -m tests.fuzz.one TARGET FILE`.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOUND = ROOT / ".fuzz"  # inputs that broke something, and those that led further than the seeds
LONGEST = 4_096  # bytes of an input
SLOWEST_S = 5  # for one input


def fuzz(name: str, seconds: int) -> bool:
    """Whether the target held."""
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415  slow, and useless without atheris

    corpus, broken = FOUND / name, FOUND / f"{name}-"
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as seeds:
        for number, seed in enumerate(TARGETS[name].seeds):
            (Path(seeds) / str(number)).write_bytes(seed)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.one", name, corpus, seeds),
                *(f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOWEST_S}"),
                f"-artifact_prefix={broken}",
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    if done.returncode == 0:
        print(f"ok      {name:<10} {_last(done.stdout)}", flush=True)
        return True
    print(f"FAILED  {name}\n{done.stdout[-6_000:]}", flush=True)
    for file in sorted(FOUND.glob(f"{name}-*"), key=os.path.getmtime)[-1:]:
        print(f"input: {file.read_bytes()!r}\nagain: {sys.executable} -m tests.fuzz.one {name} {file}")
    return False


def _last(output: str) -> str:
    return next((line for line in reversed(output.splitlines()) if line.startswith("Done ")), "")


def main() -> int:
    seconds, *names = sys.argv[1:] or ["60"]
    if importlib.util.find_spec("atheris") is None:
        print("NOT RUN: atheris has no wheel for this system; tests/property/test_fuzz_targets.py still runs")
        return 0
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        held = pool.map(lambda name: fuzz(name, int(seconds)), names or TARGETS)
        return int(not all(list(held)))


if __name__ == "__main__":
    sys.exit(main())
