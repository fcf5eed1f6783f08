"""The command line: `smalt`, or `python -m smalt`."""

import sys

from smalt.errors import MissingExtra, SmaltError


def main() -> None:
    """Exit code 0: done. 1: something is wrong, said in one line each. 2: wrongly called."""
    try:
        _run()
    except SmaltError as error:
        sys.exit("\n".join([f"smalt: {error}", *(f"  {step}" for step in error.resolution)]))
    except KeyboardInterrupt:
        sys.exit(130)


def _run() -> None:
    try:
        from smalt.cli.app import app  # noqa: PLC0415  typer and rich belong to an extra
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        raise MissingExtra("the command line", "gateway") from None
    app(prog_name="smalt")
