from typing import Any

import pytest

from smalt.errors import InvalidRequest
from smalt.types import Facts, Operation
from smalt.wire.facts import MOST_TOKENS, read_facts
from smalt.wire.paths import Asked, Surface

OPENAI = Asked(Surface.OPENAI, Operation.CHAT)
CLASSIC = Asked(Surface.CLASSIC, Operation.CHAT, "dep")
V1 = Asked(Surface.V1, Operation.CHAT)
EMBEDDINGS = Asked(Surface.OPENAI, Operation.EMBEDDINGS)


def test_a_small_request() -> None:
    """A request that names only a model gets the defaults."""
    assert read_facts(OPENAI, b'{"model":"m"}') == Facts(Operation.CHAT, "m", prompt_tokens=4)


def test_a_full_request() -> None:
    """Everything decisions need is read in one go."""
    body = b'{"model":"m","stream":true,"max_tokens":50,"n":2,"stream_options":{"include_usage":true}}'
    assert read_facts(V1, body) == Facts(
        Operation.CHAT,
        "m",
        stream=True,
        prompt_tokens=len(body) // 4 + 1,
        max_tokens=100,
        asks_usage=True,
        names_deployment=True,
    )


def test_the_path_wins_over_the_body() -> None:
    """On the classic surface the deployment in the path decides."""
    facts = read_facts(CLASSIC, b'{"model":"other"}')
    assert (facts.model, facts.names_deployment) == ("dep", True)


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}'])
def test_the_classic_surface_needs_no_model(body: bytes) -> None:
    """With a deployment in the path the body may leave the model out."""
    assert read_facts(CLASSIC, body).model == "dep"


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":""}'])
def test_a_model_is_required(body: bytes) -> None:
    """Without a model anywhere the caller is told what to add."""
    with pytest.raises(InvalidRequest, match="names no model") as caught:
        read_facts(OPENAI, body)
    assert caught.value.resolution == ('Add "model" to the body.',)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("", None),
        (',"max_tokens":null', None),
        (',"max_tokens":0', None),
        (',"max_tokens":-5', None),
        (',"max_tokens":5', 5),
        (',"max_completion_tokens":7', 7),
        (',"max_tokens":5,"max_completion_tokens":7', 7),
        (',"max_tokens":5,"max_completion_tokens":0', 5),
        (',"max_tokens":5,"n":3', 15),
        (',"max_tokens":5,"n":0', 5),
        (',"max_tokens":5,"n":-3', 5),
        (',"max_tokens":5,"n":null', 5),
        (f',"max_tokens":{"9" * 400}', MOST_TOKENS),
        (f',"max_tokens":5,"n":{"9" * 400}', MOST_TOKENS),
        (f',"max_tokens":-{"9" * 400}', None),
    ],
)
def test_the_cap_on_output(fields: str, expected: int | None) -> None:
    """The newer name wins, every choice counts, and no number is too large to reckon with."""
    assert read_facts(OPENAI, f'{{"model":"m"{fields}}}'.encode()).max_tokens == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("null", False),
        ("{}", False),
        ('{"include_usage":null}', False),
        ('{"include_usage":false}', False),
        ('{"include_usage":true,"other":1}', True),
    ],
)
def test_who_wants_usage(options: str, expected: bool) -> None:
    """Only an explicit wish counts."""
    body = f'{{"model":"m","stream_options":{options}}}'.encode()
    assert read_facts(OPENAI, body).asks_usage is expected


def test_embeddings_with_token_ids() -> None:
    """Embeddings of token ids are read like any other."""
    facts = read_facts(EMBEDDINGS, b'{"model":"m","input":[[1,2,3],[4,5]]}')
    assert facts.operation is Operation.EMBEDDINGS


def test_nested_keys_are_not_taken_for_facts() -> None:
    """A `stream` inside a message is only text."""
    body = b'{"model":"m","messages":[{"stream":true,"model":"x","max_tokens":9}],"x":"\\"stream\\":true"}'
    facts = read_facts(OPENAI, body)
    assert (facts.model, facts.stream, facts.max_tokens) == ("m", False, None)


def test_the_last_of_two_names_counts() -> None:
    """A repeated member counts as it does for every usual reader."""
    assert read_facts(OPENAI, b'{"model":"a","model":"b"}').model == "b"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[]",
        b"null",
        b'"model"',
        b"{",
        b'{"model":"m"} {}',
        b'{"model":1}',
        b'{"model":["m"]}',
        b'{"model":"m","stream":"true"}',
        b'{"model":"m","stream":1}',
        b'{"model":"m","max_tokens":"5"}',
        b'{"model":"m","max_tokens":1.5}',
        b'{"model":"m","max_tokens":true}',
        b'{"model":"m","stream_options":[]}',
        b'{"model":"m","x":NaN}',
        b'{"model":"m","x":Infinity}',
        b'{"model":"\xff"}',
        b'{"model":"\\ud800"}',
        b'\xef\xbb\xbf{"model":"m"}',
        '{"model":"m"}'.encode("utf-16"),
        b'{"model":"m","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    """A body that is no JSON object, or holds values of another kind, is the caller's error."""
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_facts(OPENAI, body)


@pytest.mark.parametrize("body", [b"{}", b'{"messages":[{"content":"hello"}]}'])
def test_the_estimate_is_never_zero(body: Any) -> None:
    """Four bytes count as a token, rounded up."""
    assert read_facts(CLASSIC, body).prompt_tokens == len(body) // 4 + 1


def test_an_image_in_the_body_is_no_text() -> None:
    """Data URLs do not count as prompt, however long: Azure counts the characters of texts."""
    url = b'{"type":"image_url","image_url":{"url":"data:image/png;base64,' + b"A" * 400_000 + b'"}}'
    body = b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"?"},' + url + b"]}]}"
    assert read_facts(OPENAI, body).prompt_tokens < 50
