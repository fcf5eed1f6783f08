import threading
from collections.abc import Iterator, Sequence

from smalt.observe.background import LARGEST_BATCH, Background


class Clerk:
    """Notes its batches; may be told to hold still."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def __call__(self, batch: Sequence[int]) -> int:
        self.begun.set()
        assert self.go_on.wait(5)
        self.batches.append(list(batch))
        return 0


def test_everything_is_done_in_order_before_the_end() -> None:
    """More than one batch of it, and nothing is lost."""
    clerk = Clerk()
    background = Background(clerk, "test")
    numbers = list(range(3 * LARGEST_BATCH))
    for number in numbers:
        background.put(number)
    background.close(within_s=5)
    assert [number for batch in clerk.batches for number in batch] == numbers
    assert max(map(len, clerk.batches)) <= LARGEST_BATCH
    assert background.lost == 0


def test_what_does_not_fit_is_lost_and_counted() -> None:
    """Whoever puts is not kept waiting."""
    clerk = Clerk()
    clerk.go_on.clear()
    background = Background(clerk, "test", most=5)
    background.put(-1)
    assert clerk.begun.wait(5)
    for number in range(8):
        background.put(number)
    assert background.lost == 3
    clerk.go_on.set()
    background.close(within_s=5)
    assert [number for batch in clerk.batches for number in batch] == [-1, 0, 1, 2, 3, 4]


def test_work_that_fails_goes_on_with_the_next() -> None:
    """Its batch is lost; what it says it lost counts as well."""
    outcomes: Iterator[Exception | int] = iter([RuntimeError("disk full"), 2, 0])
    done = threading.Semaphore(0)

    def work(batch: Sequence[int]) -> int:
        outcome = next(outcomes)
        done.release()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    background = Background(work, "test")
    for number in range(3):
        background.put(number)
        assert done.acquire(timeout=5)
    background.close(within_s=5)
    assert background.lost == 1 + 2


def test_closing_does_not_wait_for_ever() -> None:
    """Work that hangs is left behind; what comes later is lost."""
    clerk = Clerk()
    clerk.go_on.clear()
    background = Background(clerk, "test")
    background.put(1)
    assert clerk.begun.wait(5)
    background.close(within_s=0.01)
    background.put(2)
    assert background.lost == 1
    clerk.go_on.set()
