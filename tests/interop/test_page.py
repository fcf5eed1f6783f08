"""The page about frameworks tells what `make interop` runs. That its lines stand in the scripts, `tests/docs`
compares."""

from pathlib import Path

from tests.interop.run import sdks

PAGE = Path(__file__).parents[2] / "docs/how-to/use-your-framework.md"


def test_the_page_names_the_versions_that_are_run() -> None:
    """A renewed lock file is a renewed table."""
    told = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert told == [f"| `{sdk.name}` | {sdk.versions()} |" for sdk in sdks()]
