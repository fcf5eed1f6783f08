"""What splitting must obey for any inputs."""

from itertools import pairwise
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from smalt.wire.embeddings import BYTES_PER_TOKEN, MOST_INPUTS, fits, inputs, merge, split

texts = st.lists(st.text(max_size=40), max_size=60)
token_ids = st.lists(st.lists(st.integers(0, 100_000), min_size=1, max_size=20), max_size=60)
most = st.integers(1, 200)


def asked(items: object) -> bytes:
    return msgspec.json.encode({"model": "m", "input": items, "dimensions": 3})


@given(st.one_of(texts, token_ids), most)
def test_parts_are_the_request(items: list[object], most_tokens: int) -> None:
    """Nothing is lost, doubled, moved or changed; each part is small enough, and as large as it may be."""
    body = asked(items)
    parts = split(body, most_tokens)
    sent = [bytes(item) for part in parts for item in inputs(part.body)]
    assert sent == [bytes(item) for item in inputs(body)]
    for part in parts:
        found = inputs(part.body)
        assert part.inputs == len(found) <= MOST_INPUTS
        assert part.inputs <= 1 or sum(map(len, found)) <= BYTES_PER_TOKEN * most_tokens
    for part, following in pairwise(parts):
        together = inputs(part.body) + inputs(following.body)[:1]
        assert sum(len(item) + 1 for item in together) > BYTES_PER_TOKEN * most_tokens


@given(st.one_of(texts, token_ids, st.text()), st.integers(1, 5_000))
def test_what_fits_is_not_split(items: object, most_tokens: int) -> None:
    """The look from outside never errs on the side that would be refused."""
    body = asked(items)
    if fits(body, most_tokens):
        assert len(split(body, most_tokens)) == 1


@given(st.lists(st.text(max_size=20), min_size=1, max_size=60), most, st.randoms())
def test_splitting_and_merging_changes_nothing(items: list[str], most_tokens: int, random: Random) -> None:
    """Each input gets the vector that it would get alone, however the parts are cut and answered."""

    def answer(body: bytes) -> bytes:
        data = [
            {"index": index, "embedding": f"of {bytes(item).decode()}"}
            for index, item in enumerate(inputs(body))
        ]
        random.shuffle(data)
        return msgspec.json.encode({"data": data, "usage": {"prompt_tokens": len(data)}})

    parts = split(asked(items), most_tokens)
    merged = msgspec.json.decode(merge([(answer(part.body), part.inputs) for part in parts]))
    expected = [f"of {bytes(item).decode()}" for item in inputs(asked(items))]
    assert [item["embedding"] for item in merged["data"]] == expected
    assert [item["index"] for item in merged["data"]] == list(range(len(items)))
    assert merged["usage"] == {"prompt_tokens": len(items)}
