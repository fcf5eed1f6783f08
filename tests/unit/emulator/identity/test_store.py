from smalt.emulator.identity.store import Store


def test_the_newest_version_is_read_and_the_others_by_id() -> None:
    """A rotation adds; it takes nothing away."""
    store = Store({"Key": "a"}, 100.5)
    old = store.find("key")
    new = store.put("KEY", "b", 200)
    assert old
    assert (old.value, old.made_s) == ("a", 100)
    assert store.find("key") is new
    assert store.find("key", old.version) is old
    assert store.find("key", "other") is None
    assert store.find("other") is None


def test_a_reset_brings_the_first_values_back() -> None:
    """What was put since then is forgotten."""
    store = Store({"a": "1"}, 0)
    store.put("a", "2", 1)
    store.put("b", "3", 1)
    store.reset(2)
    assert (store.names(), [one.value for one in store.versions("a")]) == (["a"], ["1"])
