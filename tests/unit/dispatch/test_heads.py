"""Which of a resource's credentials requests carry, and what happens when one is refused or over."""

import time
from concurrent.futures import Future
from typing import Final

import pytest

from smalt.dispatch.heads import REFUSED_S, Credential, Follower, Heads
from smalt.dispatch.run import SendFailed
from smalt.types import FailureKind

FOREVER: Final = float("inf")


class Key:
    """A key that somebody else may change, or that stays as it is if `source` is None."""

    def __init__(self, text: str | None, *source: str) -> None:
        self.text = text
        self.source = list(source)
        self.fresh_until_s = self.good_until_s = FOREVER if text else -FOREVER
        self.trouble: str | None = None
        self.troubled_since_s: float | None = None
        self.renewals: list[bool] = []
        self._followers: list[Follower] = []
        self._under_way: Future[None] | None = None

    def header(self, *, bearer: bool) -> tuple[str, str] | None:
        return None if self.text is None else ("authorization" if bearer else "api-key", self.text)

    def renew(self, *, afresh: bool = False) -> Future[None] | None:
        if self._under_way is None and self.source:
            self._under_way = Future()
            self.renewals.append(afresh)
        return self._under_way

    def follow(self, follower: Follower) -> None:
        self._followers.append(follower)

    def arrive(self, *, good_until_s: float = FOREVER) -> None:
        """The reading under way ends."""
        under_way, self._under_way = self._under_way, None
        assert under_way is not None
        self.text = self.source.pop(0)
        self.fresh_until_s = self.good_until_s = good_until_s
        for follower in self._followers:
            follower.changed()
        under_way.set_result(None)


def made(*keys: Key) -> Heads:
    def build(credential: Credential) -> bytes | None:
        header = credential.header(bearer=False)
        return None if header is None else header[1].encode()

    return Heads(build, *keys)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time: its only element."""
    times = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[0])
    return times


def carried(heads: Heads) -> str:
    """By a request that is sent now."""
    return (heads.at_once(time.monotonic()) or heads.obtain(0.0)).data.decode()


def test_the_first_key_comes_first() -> None:
    """Until it is refused."""
    assert carried(made(Key("a"), Key("b"))) == "a"


def test_a_refused_key_gives_way_to_the_other() -> None:
    """For every request from then on."""
    heads = made(Key("a"), Key("b"))
    assert heads.obtain(0.0).refused()
    assert carried(heads) == "b"


def test_requests_refused_together_turn_once() -> None:
    """Those that were on their way with the old key meet the new one already there."""
    heads = made(Key("a"), Key("b"))
    sent_with = [heads.obtain(0.0)] * 3
    assert [head.refused() for head in sent_with] == [True, True, True]
    assert carried(heads) == "b"


def test_when_both_are_refused_there_is_nothing_to_turn_to() -> None:
    """Each had its turn."""
    heads = made(Key("a"), Key("b"))
    assert heads.obtain(0.0).refused()
    assert not heads.obtain(0.0).refused()


def test_the_first_key_is_tried_again_after_a_while(now: list[float]) -> None:
    """It may be the one that was made anew."""
    heads = made(Key("a"), Key("b"))
    heads.obtain(0.0).refused()
    now[0] += REFUSED_S
    assert heads.obtain(0.0).refused()
    assert carried(heads) == "a"


def test_a_key_that_cannot_be_read_gives_way_to_the_other() -> None:
    """Only after its source was waited for."""
    missing, good = Key(None, "found"), Key("b")
    heads = made(missing, good)
    assert heads.at_once(time.monotonic()) is None
    assert carried(heads) == "b"
    assert missing.renewals == [False]


def test_a_single_key_stays() -> None:
    """There is nothing to turn to, and perhaps it is taken again."""
    heads = made(Key("a"))
    assert not heads.obtain(0.0).refused()
    assert carried(heads) == "a"


def test_a_refused_key_is_read_again() -> None:
    """Past every cache; the next request waits for it, and carries what was read."""
    key = Key("old", "new")
    heads = made(key)
    assert heads.obtain(0.0).refused()
    assert key.renewals == [True]
    assert heads.at_once(time.monotonic()) is None
    key.arrive()
    assert carried(heads) == "new"


def test_late_refusals_of_an_old_value_ask_for_nothing() -> None:
    """They were sent before it was renewed."""
    key = Key("old", "new", "newer")
    heads = made(key)
    late = heads.obtain(0.0)
    assert late.refused()
    key.arrive()
    assert late.refused()
    assert key.renewals == [True]
    assert carried(heads) == "new"


def test_both_keys_were_made_anew() -> None:
    """The second refusal leads back to the first key, which was read again in the meantime."""
    first, second = Key("a", "a2"), Key("b", "b2")
    heads = made(first, second)
    assert heads.obtain(0.0).refused()
    first.arrive()
    assert carried(heads) == "b"
    assert heads.obtain(0.0).refused()
    assert carried(heads) == "a2"


def test_a_source_that_still_holds_the_refused_key() -> None:
    """It is sent once more when somebody asks: perhaps it is taken again."""
    key = Key("a", "a")
    heads = made(key)
    assert heads.obtain(0.0).refused()
    key.arrive()
    assert carried(heads) == "a"


def test_a_token_is_renewed_while_it_is_still_good(now: list[float]) -> None:
    """No request waits for that."""
    token = Key("old", "new")
    heads = made(token)
    token.fresh_until_s, token.good_until_s = now[0] + 80, now[0] + 100
    for slot in heads._slots:
        slot.changed()
    now[0] += 90
    assert carried(heads) == carried(heads) == "old"
    assert token.renewals == [False]
    token.arrive()
    assert carried(heads) == "new"


def test_a_token_that_is_over_is_not_sent(now: list[float]) -> None:
    """The request fails with what the source had to say."""
    token = Key("old", "new")
    token.fresh_until_s = token.good_until_s = now[0] + 100
    heads = made(token)
    now[0] += 100
    token.trouble = "no Entra token: nobody answers"
    with pytest.raises(SendFailed) as caught:
        heads.obtain(0.0)
    assert caught.value.failure.kind is FailureKind.NO_CREDENTIAL
    assert caught.value.failure.text == "no Entra token: nobody answers"


async def test_the_first_token_is_waited_for() -> None:
    """By everybody who needs it, with one reading."""
    token = Key(None, "new")
    heads = made(token)
    heads.begin()
    heads.begin()
    under_way = token.renew()
    assert under_way is not None
    with pytest.raises(SendFailed, match="did not come in time"):
        await heads.obtain_async(0.0)
    token.arrive()
    assert (await heads.obtain_async(0.0)).data == b"new"
    assert token.renewals == [False]


def states(heads: Heads) -> list[str]:
    return [status.state for status in heads.status()]


def test_how_the_credentials_are(now: list[float]) -> None:
    """Which one is carried, which one would be, and since when one is refused: as long as its value stays."""
    first, second = Key("a", "c"), Key("b")
    heads = made(first, second)
    assert states(heads) == ["in use", "ready"]
    heads.obtain(0.0).refused()
    refused, used = heads.status()
    assert (refused.state, refused.trouble, refused.since_s) == ("refused", "the resource refused it", now[0])
    assert (used.state, used.trouble, used.since_s) == ("in use", None, None)
    now[0] += 10 * REFUSED_S
    assert states(heads) == ["refused", "in use"]
    first.arrive()
    assert states(heads) == ["ready", "in use"]


def test_the_only_credential_is_given_another_chance(now: list[float]) -> None:
    """It is carried again after a while, and if it is refused again, that is seen."""
    heads = made(Key("a"))
    heads.obtain(0.0).refused()
    assert states(heads) == ["refused"]
    now[0] += REFUSED_S
    assert states(heads) == ["in use"]


def test_credentials_that_are_missing_or_over(now: list[float]) -> None:
    """With what their source said, and since when; a good one may have a source in trouble, too."""
    missing, over, good = Key(None), Key("b"), Key("c")
    for key in (missing, over, good):
        key.trouble, key.troubled_since_s = "the vault is down", now[0] - 5
    over.good_until_s = now[0]
    told = [made(key).status()[0] for key in (missing, over, good)]
    assert [status.state for status in told] == ["missing", "over", "in use"]
    assert {(status.trouble, status.since_s) for status in told} == {("the vault is down", now[0] - 5)}
