"""What the text of requests and answers is looked at with: a guard finds what must not go on.

The gateway loads the classes that `gateway.guards` names and asks them; see `smalt.guards.patterns` for one.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class Finding(NamedTuple):
    """`text[start:end]` goes on as `instead`."""

    start: int
    end: int
    instead: str


class Guard(Protocol):
    """Any class with these members; the gateway makes one object of it, from the options in the settings.

    Both methods are given one text at a time (a message, the input of a tool, a piece of an answer) and say
    what is to be replaced there; `PolicyDenied` refuses the whole. `request` is called in threads, several at
    once, and may wait for a service. `answer` must be quick: a streamed answer is looked at in overlapping
    pieces as it comes, inside the event loop.

    `window`: characters, the fewest by which the beginning of every finding is recognised. So much of a
    streamed answer is held back, and what was found is until it has ended.
    """

    window: int

    def request(self, text: str) -> Iterable[Finding]: ...
    def answer(self, text: str) -> Iterable[Finding]: ...
