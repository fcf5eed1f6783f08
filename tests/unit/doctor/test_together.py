"""Jobs side by side."""

import threading
from collections.abc import Iterator

import pytest

from smalt.doctor.together import Unfinished, together


def never(name: str, error: Exception) -> int:
    raise AssertionError(name) from error


def test_everything_is_told_with_the_name_of_its_job() -> None:
    """In the order of each job."""
    told = list(together({"a": lambda: [1, 2], "b": lambda: [3]}, 10, never))
    assert sorted(told) == [("a", 1), ("a", 2), ("b", 3)]
    assert [value for name, value in told if name == "a"] == [1, 2]


def test_nothing_to_do() -> None:
    """Ends at once."""
    jobs: dict[str, type[list[int]]] = {}
    assert list(together(jobs, 10, never)) == []


def test_jobs_run_at_the_same_time() -> None:
    """Each waits for the other."""
    both = threading.Barrier(2, timeout=10)

    def job() -> list[int]:
        return [both.wait() * 0]

    assert len(list(together({"a": job, "b": job}, 10, never))) == 2


def test_what_a_job_raises_is_its_last_word() -> None:
    """After what it told before; the others go on."""
    broken = threading.Event()

    def breaks() -> Iterator[str]:
        yield "begun"
        raise KeyError("broken")

    def goes_on() -> Iterator[str]:
        broken.wait(10)
        yield "done"

    def failed(name: str, error: Exception) -> str:
        broken.set()
        return f"{name} failed by {error}"

    told = list(together({"a": breaks, "b": goes_on}, 10, failed))
    assert told[:2] == [("a", "begun"), ("a", "a failed by 'broken'")]
    assert told[2:] == [("b", "done")]


def test_who_takes_too_long_is_named() -> None:
    """After all that was told in time."""
    over = threading.Event()

    def slow() -> Iterator[int]:
        over.wait(10)
        yield 1

    told = together({"quick": lambda: [1], "slow": slow}, 0.2, never)
    assert next(told) == ("quick", 1)
    with pytest.raises(Unfinished) as late:
        next(told)
    over.set()
    assert late.value.names == ("slow",)
