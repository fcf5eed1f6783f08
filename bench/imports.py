"""How long `import smalt` takes in a fresh interpreter, and what else is loaded when a client is first named.

Told are the fastest of some starts, without what Python itself takes: whatever disturbs makes a start only
slower. Exit code 1 above the goal.
"""

import subprocess
import sys

GOAL_MS = 150.0
STARTS = 5
CASES = {  # what a program writes; the first one has the goal
    "import smalt": "import smalt",
    "with a fleet": "from smalt import Fleet",
    "with a client": "from smalt import AzureOpenAI",
}
TIMED = "import time; before_s = time.perf_counter()\n{code}\nprint(1_000 * (time.perf_counter() - before_s))"


def import_ms(code: str) -> float:
    """Of one start."""
    command = [sys.executable, "-c", TIMED.format(code=code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  ours
    return float(done.stdout)


def measure() -> dict[str, float]:
    """Milliseconds by case. The cases take turns, so that a disturbance meets all of them."""
    rounds = [{name: import_ms(code) for name, code in CASES.items()} for _ in range(STARTS)]
    return {name: min(found[name] for found in rounds) for name in CASES}


def told(found: dict[str, float]) -> str:
    first, *others = found.items()
    lines = [f"imports: {first[0]} takes {first[1]:.1f} ms (the goal is {GOAL_MS:.0f})\n"]
    return "".join([*lines, *(f"imports: {name} {taken_ms:.0f} ms\n" for name, taken_ms in others)])


def main() -> int:
    found = measure()
    sys.stdout.write(told(found))
    return int(found["import smalt"] > GOAL_MS)


if __name__ == "__main__":
    sys.exit(main())
