"""The mutation score: of the small faults put into a module, what share do its tests notice? `make soak`.

Works on copies of the tree, one for each core; the tree itself is never written. Each mutant is tried in a
process of its own, forked from this one, which has loaded pytest but nothing of smalt. Mutants that no test
notices are listed. Exit code 1 if a module's score is below the floor, 2 if there is no score.
"""

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import hypothesis
import pytest
from tools.mutants import Mutant, mutants

ROOT = Path(__file__).parent.parent
CORE = ("tests/unit/core", "tests/property/test_core.py")
WIRE = ("tests/unit/wire", "tests/property/test_wire.py")
MODULES: Mapping[
    str, Sequence[str]
] = {  # pure ones, each with the tests that should notice; its own go first
    "src/smalt/core/reactions.py": CORE,
    "src/smalt/core/health.py": CORE,
    "src/smalt/core/upstream.py": CORE,
    "src/smalt/core/limits.py": CORE,
    "src/smalt/wire/classify.py": WIRE,
}
FLOOR = 0.9
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__")
STOPS = {signal.SIGINT, signal.SIGTERM}
MEMORY_BYTES = 2 * 2**30  # of one trial: a mutant may collect without end
PYTEST = ("-x", "--assert=plain", "-p", "no:cacheprovider", "--hypothesis-profile", "mutants")
PROFILE = hypothesis.settings(  # without a search for the smallest example: any one tells enough
    derandomize=True,
    deadline=None,
    phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    suppress_health_check=list(hypothesis.HealthCheck),
)


class Unusable(Exception):
    """The tests fail without a mutant already."""


@dataclass(frozen=True, slots=True)
class Score:
    module: str
    tried: int
    survivors: tuple[Mutant, ...]

    @property
    def share(self) -> float:
        """Of the mutants, those that were noticed: 0 to 1."""
        return 1 - len(self.survivors) / self.tried if self.tried else 1.0


def soak(root: Path, modules: Mapping[str, Sequence[str]], floor: float) -> int:
    """Try every mutant of `modules` and tell the scores: the exit code. `floor`: 0 to 1."""
    began_s = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = scores(root, modules)
    except Unusable as reason:
        tell(f"{reason}\n")
        return 2
    except KeyboardInterrupt:
        tell("\nstopped\n")
        return 2
    for one in found:
        noticed = one.tried - len(one.survivors)
        tell(f"{one.share:7.1%}  {one.module}: {noticed} of {one.tried} noticed\n")
    low = [one.module for one in found if one.share < floor]
    tell(f"the floor is {floor:.0%}{'; below it: ' + ', '.join(low) if low else ''}; ")
    tell(f"took {(time.monotonic() - began_s) / 60:.1f} minutes\n")
    return int(bool(low))


def scores(root: Path, modules: Mapping[str, Sequence[str]]) -> list[Score]:
    """Raises Unusable."""
    for plugin in entry_points(group="pytest11"):
        plugin.load()  # once, before the forks
    with tempfile.TemporaryDirectory(prefix="smalt-mutants-") as folder:
        copies = [Path(folder, str(number)) for number in range(os.cpu_count() or 1)]
        for another in copies:
            shutil.copytree(root, another, ignore=NOT_COPIED)
        usual_s = max(baseline_s(copies[0], tests) for tests in set(map(tuple, modules.values())))
        limit_s = round(5 + 5 * usual_s)
        return [score(copies, module, tests, limit_s) for module, tests in modules.items()]


def baseline_s(tree: Path, tests: Sequence[str]) -> float:
    """CPU time of the tests without a mutant. Raises Unusable."""
    with undisturbed():
        _, status, used = os.wait4(forked(tree, [tests], limit_s=600), 0)
    if status:
        raise Unusable(f"without any change these tests fail already: pytest {' '.join(tests)}")
    return used.ru_utime + used.ru_stime


def score(copies: Sequence[Path], module: str, tests: Sequence[str], limit_s: int) -> Score:
    source = (copies[0] / module).read_text()
    own = Path("tests/unit", *Path(module).parts[2:-1], f"test_{Path(module).name}")
    stages = [[str(own)], tests] if (copies[0] / own).exists() else [tests]
    tell(f"{module} ")
    survivors, tried = [], 0
    with closing(trials(copies, module, stages, limit_s)) as trying:
        for mutant, noticed in trying:
            tried += 1
            tell("." if noticed else "S")
            if not noticed:
                survivors.append(mutant)
    for tree in copies:
        (tree / module).write_text(source)
    tell("\n")
    for mutant in sorted(survivors, key=lambda one: one.line):
        tell(f"  {module}:{mutant.line}: {mutant.change}\n")
    return Score(module, tried, tuple(survivors))


def trials(
    copies: Sequence[Path], module: str, stages: Sequence[Sequence[str]], limit_s: int
) -> Generator[tuple[Mutant, bool], None, None]:
    """Each mutant of the module and whether it was noticed, in the order in which they end."""
    free, running = list(copies), dict[int, tuple[Mutant, Path]]()
    try:
        for mutant in mutants((copies[0] / module).read_text()):
            if not free:
                yield ended(running, free)
            tree = free.pop()
            (tree / module).write_text(mutant.source)
            with undisturbed():
                running[forked(tree, stages, limit_s)] = mutant, tree
        while running:
            yield ended(running, free)
    finally:
        stop(running)


def ended(running: dict[int, tuple[Mutant, Path]], free: list[Path]) -> tuple[Mutant, bool]:
    pid, status = os.wait()
    mutant, tree = running.pop(pid)
    free.append(tree)
    return mutant, status != 0


def stop(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, ChildProcessError):  # one may have ended at this very moment
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def undisturbed() -> Generator[None, None, None]:
    """A stop waits, so that no process is made and then not known of. Those made meanwhile are deaf to it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def forked(tree: Path, stages: Sequence[Sequence[str]], limit_s: int) -> int:
    """A new process that runs tests on this copy, stage by stage; its exit status is 0 if they all pass."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))  # a mutant may loop without end
        if sys.platform == "linux":  # macOS refuses a limit of memory
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        sys.dont_write_bytecode = True  # two mutants of one size, made in one second, would share a .pyc
        os.chdir(tree)
        sys.path.insert(0, str(tree / "src"))
        hypothesis.settings.register_profile("mutants", PROFILE)
        code = int(any(pytest.main([*PYTEST, *tests]) for tests in stages))
    finally:
        os._exit(code)


def tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main() -> int:
    names = {Path(module).stem: module for module in MODULES}
    parser = argparse.ArgumentParser(description="The mutation score of modules.")
    parser.add_argument("names", nargs="*", help=f"only some of: {', '.join(names)}")
    wanted = parser.parse_args().names or names
    if unknown := set(wanted) - set(names):
        parser.error(f"no such module: {', '.join(unknown)}; there are {', '.join(names)}")
    return soak(ROOT, {names[name]: MODULES[names[name]] for name in wanted}, FLOOR)


if __name__ == "__main__":
    sys.exit(main())
