"""Jobs side by side."""

import threading
from collections.abc import Iterator

import pytest

from smalt.doctor.together import Unfinished, together


def test_everything_is_told_with_the_name_of_its_job() -> None:
    """In the order of each job."""
    told = list(together({"a": lambda: [1, 2], "b": lambda: [3]}, limit_s=10))
    assert sorted(told) == [("a", 1), ("a", 2), ("b", 3)]
    assert [value for name, value in told if name == "a"] == [1, 2]


def test_nothing_to_do() -> None:
    """Ends at once."""
    jobs: dict[str, type[list[int]]] = {}
    assert list(together(jobs, limit_s=10)) == []


def test_jobs_run_at_the_same_time() -> None:
    """Each waits for the other."""
    both = threading.Barrier(2, timeout=10)

    def job() -> list[int]:
        return [both.wait() * 0]

    assert len(list(together({"a": job, "b": job}, limit_s=10))) == 2


def test_what_a_job_raises_is_raised() -> None:
    """With what it told before."""

    def job() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    told = together({"a": job}, limit_s=10)
    assert next(told) == ("a", 1)
    with pytest.raises(KeyError, match="broken"):
        next(told)


def test_who_takes_too_long_is_named() -> None:
    """After all that was told in time."""
    over = threading.Event()

    def slow() -> Iterator[int]:
        over.wait(10)
        yield 1

    told = together({"quick": lambda: [1], "slow": slow}, limit_s=0.2)
    assert next(told) == ("quick", 1)
    with pytest.raises(Unfinished) as late:
        next(told)
    over.set()
    assert late.value.names == ("slow",)
