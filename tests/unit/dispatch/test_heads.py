"""Which of a resource's keys requests carry."""

from smalt.dispatch.heads import Heads


def test_the_first_key_comes_first() -> None:
    """Until it is refused."""
    assert Heads(b"a", b"b").current.data == b"a"


def test_a_refused_key_gives_way_to_the_other() -> None:
    """For every request from then on."""
    heads = Heads(b"a", b"b")
    assert heads.current.refused()
    assert heads.current.data == b"b"


def test_requests_refused_together_turn_once() -> None:
    """Those that were on their way with the old key meet the new one already there."""
    heads = Heads(b"a", b"b")
    sent_with = [heads.current] * 3
    assert [head.refused() for head in sent_with] == [True, True, True]
    assert heads.current.data == b"b"


def test_the_first_key_is_tried_again_after_the_second() -> None:
    """It may be the one that was made anew."""
    heads = Heads(b"a", b"b")
    heads.current.refused()
    assert heads.current.refused()
    assert heads.current.data == b"a"


def test_a_single_key_stays() -> None:
    """There is nothing to turn to."""
    heads = Heads(b"a")
    assert not heads.current.refused()
    assert heads.current.data == b"a"
