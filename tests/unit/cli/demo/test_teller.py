"""How the story looks in a log."""

from decimal import Decimal

import pytest

from smalt.cli.demo.report import Billed, Row, Tally
from smalt.cli.demo.teller import WIDTH, Teller


def test_a_log_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    """No colours, no cursor movements, no progress bars; the stream's words wrapped whole."""
    teller = Teller(quiet=False)
    teller.act("A title", "Why it matters. " * 10)
    with teller.working("meanwhile"):
        teller.item("chat", "said", {"region": "eastus", "attempts": "2", "request-id": "hidden"})
    teller.stream("stream", (f" word{n}" for n in range(40)), {})
    assert list(teller.rounds(range(3))) == [0, 1, 2]
    teller.end([], 1.2)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "meanwhile" not in shown
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert "   chat           said\n" in shown
    assert "x-smalt-  region eastus  attempts 2\n" in shown
    assert [int(word.removeprefix("word")) for word in shown.split() if word.startswith("word")] == [
        *range(40)
    ]
    assert "Everything held, in 1 s." in shown


def test_a_difference_stands_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that do not agree say so, and so does the end."""
    teller = Teller(quiet=False)
    tally = Tally(1, 2, 1, 10, 5, Decimal("0.001"))
    teller.bill([Row("east/a", tally, Billed(1, 10, 5)), Row("west/a", tally, Billed(1, 10, 6))])
    teller.end(["west/a: counted 5, billed 6"], 1)
    shown = capsys.readouterr().out
    east, west = (line for line in shown.splitlines() if "/a " in line)
    assert east.split() == ["east/a", "2", "1", "10+5", "10+5", "equal", "0.001"]
    assert "DIFFERS" in west
    assert "NOT AS PROMISED: west/a" in shown


def test_the_story_makes_room_for_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json it goes to standard error."""
    Teller(quiet=True).item("chat", "said")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "said" in captured.err
