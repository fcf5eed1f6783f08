"""Programs of Debian: those of this machine, or a package unpacked into the project's environment, so that
nothing is installed."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ENVIRONMENT = Path(sys.prefix)


class Missing(Exception):
    """There is no such program; the text says why and what to do."""


def find(name: str, packages: Sequence[str]) -> Path:
    """`packages`: those that hold the program and what else it needs. Raises Missing."""
    if found := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return Path(found)
    unpacked = ENVIRONMENT / name
    programs = [unpacked / "usr" / folder / name for folder in ("bin", "sbin")]
    if not any(program.exists() for program in programs):
        unpack(name, packages, unpacked)
    return next(program for program in programs if program.exists())


def libraries(program: Path) -> dict[str, str]:
    """The variables of this process, with those that let an unpacked program find its libraries."""
    folders = [str(folder) for folder in program.parent.parent.glob("lib/*-linux-*")]
    unpacked = program.is_relative_to(ENVIRONMENT)
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)} if unpacked else dict(os.environ)


def unpack(name: str, packages: Sequence[str], target: Path) -> None:
    if shutil.which("apt-get") is None:
        raise Missing(f"there is no {name} here, and no apt-get to fetch Debian's; install {name}")
    sys.stderr.write(f"unpacking Debian's {name} into {target}\n")
    with tempfile.TemporaryDirectory(prefix="smalt-bench-") as folder:
        if os.geteuid() == 0:  # images of Debian come without package lists
            command(name, "apt-get", "update", "-q", cwd=folder)
        command(name, "apt-get", "download", "-q", *packages, cwd=folder)
        for package in Path(folder).glob("*.deb"):
            command(name, "dpkg-deb", "--extract", str(package), str(target), cwd=folder)


def command(name: str, *words: str, cwd: str) -> None:
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603  ours
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Missing(
            f"there is no {name} here, and {words[0]} could not fetch it ({reason}); install {name}"
        )
