"""How the story looks on a terminal, or in a log."""

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import track
from rich.status import Status
from rich.table import Table
from rich.text import Text

from smalt.cli.demo.report import Row, plain, total

INDENT = 3
LABEL = 15
WIDTH = 100


class Teller:
    """`quiet`: standard output is for a document; the story goes to standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=quiet, highlight=False)
        self._console.width = min(self._console.width, WIDTH) if self._console.is_terminal else WIDTH
        self._acts = 0

    def act(self, title: str, why: str) -> None:
        """A new chapter: what happens and why it matters."""
        self._acts += 1
        self._console.print()
        self._console.print(Text(f"{self._acts}  {title}", "bold"))
        self._console.print(Padding(Text(why), (0, 0, 0, INDENT), expand=False))
        self._console.print()

    def item(self, label: str, text: str, told: Mapping[str, str] | None = None) -> None:
        """One thing that happened; `told`: what the answer's headers said."""
        grid = Table.grid()
        grid.add_column(width=INDENT + LABEL)
        grid.add_column(overflow="fold")
        grid.add_row(Text(" " * INDENT + label, "cyan"), Text(text))
        self._console.print(grid)
        if told is not None:
            self._headers(told)

    def stream(self, label: str, pieces: Iterable[str], told: Mapping[str, str]) -> None:
        """Show the pieces as they come."""
        indent = " " * (INDENT + LABEL)
        column = len(indent)
        self._console.print(Text(f"{' ' * INDENT}{label:<{LABEL}}", "cyan"), end="")
        for piece in pieces:
            if column + len(piece) > self._console.width:
                self._console.print(f"\n{indent}", end="")
                piece, column = piece.lstrip(), len(indent)  # noqa: PLW2901  a new line starts with a word
            self._console.print(Text(piece), end="", soft_wrap=True)
            column += len(piece)
        self._console.print()
        self._headers(told)

    def working(self, text: str) -> Status:
        """A context manager: something to look at meanwhile, gone afterwards."""
        return self._console.status(text)

    def rounds(self, numbers: Sequence[int]) -> Iterable[int]:
        hidden = not self._console.is_terminal
        return track(numbers, "   measuring", console=self._console, transient=True, disable=hidden)

    def bill(self, rows: Sequence[Row]) -> None:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=True)
        ours = total(row.ours for row in rows)
        billed_in = sum(row.billed.input_tokens for row in rows)
        billed_out = sum(row.billed.output_tokens for row in rows)
        table.add_column("upstream", "all", overflow="fold")
        for header, footer in (
            ("attempts", str(ours.attempts)),
            ("lost", str(ours.lost_attempts)),
            ("tokens", f"{ours.input_tokens}+{ours.output_tokens}"),
            ("billed", f"{billed_in}+{billed_out}"),
            ("", ""),
            ("USD", plain(ours.cost_usd)),
        ):
            table.add_column(header, footer, justify="right", no_wrap=True)
        for row in rows:
            tally, billed = row.ours, row.billed
            table.add_row(
                row.upstream,
                str(tally.attempts),
                str(tally.lost_attempts),
                f"{tally.input_tokens}+{tally.output_tokens}",
                f"{billed.input_tokens}+{billed.output_tokens}",
                Text("equal", "green") if row.equal else Text("DIFFERS", "bold red"),
                plain(tally.cost_usd),
            )
        self._console.print(table)

    def end(self, faults: Sequence[str], seconds: float) -> None:
        self._console.print()
        for fault in faults:
            self._console.print(Text(f"NOT AS PROMISED: {fault}", "bold red"))
        if not faults:
            self._console.print(Text(f"Everything held, in {seconds:.0f} s.", "bold green"))

    def _headers(self, told: Mapping[str, str]) -> None:
        shown = [
            f"{name} {told[name]}" for name in ("upstream", "region", "attempts", "cost-usd") if name in told
        ]
        text = f"x-smalt-  {'  '.join(shown)}"
        self._console.print(" " * (INDENT + LABEL), Text(text, "dim"), sep="", soft_wrap=True)
