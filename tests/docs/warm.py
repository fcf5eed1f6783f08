"""An interpreter that has imported what examples begin with, and lends a copy of itself to each: starting one
anew takes longer than most examples."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_PROGRAM: Final = """
import json, os, sys, traceback
import openai, smalt, smalt.client.sdk, smalt.emulator.testing
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid:
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        continue
    output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for its, ours in ((output, 1), (output, 2), (nothing, 0)):
        os.dup2(its, ours)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["variables"])
    exec(compile(job["code"], "<example>", "exec"), {"__name__": "__main__"})
    break
"""


class WarmInterpreter:
    """Runs code as `python -c` would, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._output = folder / "example.out"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, code: str, folder: Path, variables: Mapping[str, str], within_s: float) -> tuple[int, str]:
        """The exit code, and what was written."""
        job = {"code": code, "folder": str(folder), "variables": dict(variables), "output": str(self._output)}
        told, answered = self._process.stdin, self._process.stdout
        assert told is not None
        assert answered is not None
        told.write(json.dumps(job) + os.linesep)
        told.flush()
        if not select.select([answered], [], [], within_s)[0]:
            self._process.kill()
            raise TimeoutError(f"the example takes longer than {within_s:g} s")
        return int(answered.readline()), self._output.read_text()

    def close(self) -> None:
        self._process.communicate()
