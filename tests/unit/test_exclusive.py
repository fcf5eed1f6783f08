import threading

from smalt.exclusive import Exclusive


def test_what_comes_while_it_is_held_waits_until_it_is_free() -> None:
    """In order, and only what comes from the thread that holds it."""
    lock, done = Exclusive(), list[str]()
    with lock:
        assert lock.held
        lock.postpone(lambda: done.append("first"))
        lock.postpone(lambda: done.append("second"))
        assert done == []
    assert done == ["first", "second"]
    assert not lock.held


def test_what_was_postponed_may_take_the_lock_itself() -> None:
    """It is free by then."""
    lock, done = Exclusive(), list[bool]()

    def action() -> None:
        with lock:
            done.append(True)

    with lock:
        lock.postpone(action)
    assert done == [True]


def test_other_threads_wait() -> None:
    """They are not told to come later."""
    lock, seen = Exclusive(), list[str]()

    def other() -> None:
        assert not lock.held
        with lock:
            seen.append("other")

    with lock:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.05)
        seen.append("holder")
    thread.join()
    assert seen == ["holder", "other"]
