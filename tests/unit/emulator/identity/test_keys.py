from smalt.emulator.identity.keys import KeyPair


def test_a_new_key_leaves_the_other_alone() -> None:
    """Old out, new in, the other as it was."""
    pair = KeyPair("east", ["a", "b"])
    pair.regenerate(2)
    assert (pair.name_of("a"), pair.name_of("b"), pair.name_of(pair.keys[1])) == ("key1", None, "key2")


def test_there_are_always_two() -> None:
    """Azure has no resource with one key."""
    pair = KeyPair("east", ["a"])
    assert pair.report()["key1"] == "a"
    assert len(pair.report()["key2"]) == 32


def test_new_keys_differ_and_are_the_same_on_every_run() -> None:
    """By resource and by time, so that a test can be repeated."""

    def made(name: str) -> list[str]:
        pair = KeyPair(name, ["a", "b"])
        for number in (1, 2, 1):
            pair.regenerate(number)
        return pair.keys

    assert made("east") == made("east")
    assert len({*made("east"), *made("west")}) == 4
