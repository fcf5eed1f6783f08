import base64
import json
import zlib
from typing import Any

import pytest

from smalt.errors import InvalidRequest
from smalt.types import Facts, Operation
from smalt.wire.facts import CACHED_BYTES, LONGEST_NAME, MOST_TOKENS, read_facts
from smalt.wire.paths import Asked, Surface

OPENAI = Asked(Surface.OPENAI, Operation.CHAT)
CLASSIC = Asked(Surface.CLASSIC, Operation.CHAT, "dep")
V1 = Asked(Surface.V1, Operation.CHAT)
EMBEDDINGS = Asked(Surface.OPENAI, Operation.EMBEDDINGS)
RESPONSES = Asked(Surface.OPENAI, Operation.RESPONSES)
COMPLETIONS = Asked(Surface.OPENAI, Operation.COMPLETIONS)
EVERY = [OPENAI, EMBEDDINGS, RESPONSES, COMPLETIONS]

PICTURE = base64.b64encode(bytes(range(256)) * 1_200).decode()


def facts(asked: Asked, **members: Any) -> Facts:
    return read_facts(asked, json.dumps({"model": "m", **members}).encode())


def user(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


def test_a_small_request() -> None:
    """A request that names only a model gets the defaults."""
    assert read_facts(OPENAI, b'{"model":"m"}') == Facts(Operation.CHAT, "m", prompt_bytes=13)


def test_a_full_request() -> None:
    """Everything decisions need is read in one go."""
    body = (
        b'{"model":"m","stream":true,"max_tokens":50,"n":2,"stream_options":{"include_usage":true},'
        b'"tools":[{"type":"function"}],"prompt_cache_key":"k"}'
    )
    assert read_facts(V1, body) == Facts(
        Operation.CHAT,
        "m",
        stream=True,
        prompt_bytes=len(body),
        max_tokens=100,
        asks_usage=True,
        names_deployment=True,
        needs=frozenset({"tools"}),
        names_tools=True,
        affinity=zlib.crc32(b"k"),
    )


def test_a_full_response() -> None:
    """The same of the Responses operation; it is kept by the service, so it is not repeated."""
    body = (
        b'{"model":"m","stream":true,"max_output_tokens":50,"input":"hi","tools":[{"type":"web_search"}],'
        b'"prompt_cache_key":"k"}'
    )
    assert read_facts(RESPONSES, body) == Facts(
        Operation.RESPONSES,
        "m",
        stream=True,
        prompt_bytes=len(body),
        max_tokens=50,
        needs=frozenset({"tools"}),
        names_tools=True,
        affinity=zlib.crc32(b"k"),
        repeatable=False,
    )


def test_the_path_wins_over_the_body() -> None:
    """On the classic surface the deployment in the path decides."""
    facts = read_facts(CLASSIC, b'{"model":"other"}')
    assert (facts.model, facts.names_deployment) == ("dep", True)


def test_the_classic_surface_names_deployments_in_bodies_too() -> None:
    """Responses have no deployment in their path, so there the body's model is one."""
    facts = read_facts(Asked(Surface.CLASSIC, Operation.RESPONSES), b'{"model":"dep","input":"hi"}')
    assert (facts.model, facts.names_deployment) == ("dep", True)


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}'])
def test_the_classic_surface_needs_no_model(body: bytes) -> None:
    """With a deployment in the path the body may leave the model out."""
    assert read_facts(CLASSIC, body).model == "dep"


@pytest.mark.parametrize("asked", EVERY)
@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":""}'])
def test_a_model_is_required(asked: Asked, body: bytes) -> None:
    """Without a model anywhere the caller is told what to add."""
    with pytest.raises(InvalidRequest, match="names no model") as caught:
        read_facts(asked, body)
    assert caught.value.resolution == ('Add "model" to the body.',)


def test_a_models_name_has_an_end() -> None:
    """It is remembered, and comes from callers."""
    assert read_facts(OPENAI, b'{"model":"%b"}' % (b"m" * LONGEST_NAME)).model == "m" * LONGEST_NAME
    with pytest.raises(InvalidRequest, match="longer than 512 characters"):
        read_facts(OPENAI, b'{"model":"%b"}' % (b"m" * (LONGEST_NAME + 1)))


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
        (',"max_completion_tokens":5,"n":3', 15),
        (',"max_tokens":5,"n":0', 5),
        (',"max_tokens":5,"n":-3', 5),
        (',"max_tokens":5,"n":null', 5),
        (',"max_tokens":5,"best_of":4', 5),
        (',"max_output_tokens":5', None),
        (f',"max_tokens":{"9" * 400}', MOST_TOKENS),
        (f',"max_tokens":5,"n":{"9" * 400}', MOST_TOKENS),
        (f',"max_tokens":-{"9" * 400}', None),
    ],
)
def test_the_cap_on_output(fields: str, expected: int | None) -> None:
    """The newer name wins, every choice counts, and no number is too large to reckon with."""
    assert read_facts(OPENAI, f'{{"model":"m"{fields}}}'.encode()).max_tokens == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_tokens": 5, "n": 3}, 15),
        ({"max_tokens": 5, "best_of": 4}, 20),
        ({"max_tokens": 5, "n": 2, "best_of": 4}, 20),
        ({"max_tokens": 5, "n": 4, "best_of": 2}, 20),
        ({"max_completion_tokens": 5}, None),
    ],
)
def test_the_cap_on_legacy_output(members: dict[str, int], expected: int | None) -> None:
    """Legacy completions are charged for every candidate, also for those that are not shown."""
    assert facts(COMPLETIONS, prompt="hi", **members).max_tokens == expected


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, None),
        ({"max_output_tokens": None}, None),
        ({"max_output_tokens": 5}, 5),
        ({"max_output_tokens": 5, "n": 3}, 5),
        ({"max_tokens": 5}, None),
    ],
)
def test_the_cap_on_a_response(members: dict[str, int | None], expected: int | None) -> None:
    """A response has one answer and a cap of its own name."""
    assert facts(RESPONSES, input="hi", **members).max_tokens == expected


def test_embeddings_put_nothing_out() -> None:
    """A cap on output means nothing to embeddings."""
    assert facts(EMBEDDINGS, input="hi", max_tokens=5).max_tokens is None


@pytest.mark.parametrize("asked", [OPENAI, COMPLETIONS])
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
def test_who_wants_usage(asked: Asked, options: str, expected: bool) -> None:
    """Only an explicit wish counts."""
    body = f'{{"model":"m","stream_options":{options}}}'.encode()
    assert read_facts(asked, body).asks_usage is expected


@pytest.mark.parametrize("texts", ["hi", ["hi", "there"], [1, 2, 3], [[1, 2, 3], [4, 5]], None])
@pytest.mark.parametrize(("asked", "name"), [(EMBEDDINGS, "input"), (COMPLETIONS, "prompt")])
def test_texts_and_token_ids(asked: Asked, name: str, texts: Any) -> None:
    """Texts, token ids and lists of either are read alike."""
    body = json.dumps({"model": "m", name: texts}).encode()
    assert read_facts(asked, body) == Facts(asked.operation, "m", prompt_bytes=len(body))


def test_nested_keys_are_not_taken_for_facts() -> None:
    """A `stream` inside a message is only text."""
    body = b'{"model":"m","messages":[{"stream":true,"model":"x","max_tokens":9}],"x":"\\"stream\\":true"}'
    facts = read_facts(OPENAI, body)
    assert (facts.model, facts.stream, facts.max_tokens) == ("m", False, None)


def test_the_last_of_two_names_counts() -> None:
    """A repeated member counts as it does for every usual reader."""
    assert read_facts(OPENAI, b'{"model":"a","model":"b"}').model == "b"


@pytest.mark.parametrize("asked", EVERY)
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
        b'{"model":"m","stream_options":[]}',
        b'{"model":"m","tools":{}}',
        b'{"model":"m","x":NaN}',
        b'{"model":"m","x":Infinity}',
        b'{"model":"\xff"}',
        b'{"model":"\\ud800"}',
        b'\xef\xbb\xbf{"model":"m"}',
        '{"model":"m"}'.encode("utf-16"),
        b'{"model":"m","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_cannot_be_read_is_refused(asked: Asked, body: bytes) -> None:
    """A body that is no JSON object, or holds values of another kind, is the caller's error."""
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_facts(asked, body)


@pytest.mark.parametrize("cap", [b'"5"', b"1.5", b"true"])
def test_a_cap_that_is_no_number_is_refused(cap: bytes) -> None:
    """The cap decides how much quota is reserved, so it is not guessed."""
    with pytest.raises(InvalidRequest, match=r"Expected `int.*max_tokens"):
        read_facts(OPENAI, b'{"model":"m","max_tokens":' + cap + b"}")


@pytest.mark.parametrize("name", ["messages", "input", "prompt"])
@pytest.mark.parametrize("value", [5, None, "hi", {"a": 1}, [1], [None], [{"content": 5}], [{"content": {}}]])
def test_strange_prompts_are_for_the_upstream_to_refuse(name: str, value: Any) -> None:
    """Nothing is decided by the shape of a prompt, so any shape is passed on."""
    for asked in EVERY:
        assert facts(asked, **{name: value}).model == "m"


@pytest.mark.parametrize(
    ("asked", "members", "needed"),
    [
        (OPENAI, {"tools": [{"type": "function"}]}, True),
        (OPENAI, {"functions": [{"name": "f"}]}, True),
        (OPENAI, {"tools": []}, False),
        (OPENAI, {"tools": None}, False),
        (OPENAI, {"functions": []}, False),
        (OPENAI, {"tool_choice": "none"}, False),
        (OPENAI, {"messages": [{"role": "assistant", "tools": [1], "tool_calls": [1]}]}, False),
        (RESPONSES, {"tools": [{"type": "web_search"}]}, True),
        (RESPONSES, {"tools": []}, False),
    ],
)
def test_tools_need_a_model_that_knows_them(asked: Asked, members: dict[str, Any], needed: bool) -> None:
    """Offered tools are a need; an empty list is none."""
    assert facts(asked, **members).needs == (frozenset({"tools"}) if needed else frozenset())


@pytest.mark.parametrize(
    ("asked", "members", "named"),
    [
        (OPENAI, {"tools": [{"type": "function"}]}, True),
        (OPENAI, {"functions": [{"name": "f"}]}, True),
        (OPENAI, {"messages": [{"tool_calls": [{"type": "function", "function": {"name": "f"}}]}]}, True),
        (OPENAI, {"messages": [{"tool_calls": [{"type": "custom", "custom": {"name": "f"}}]}]}, True),
        (RESPONSES, {"input": [{"type": "function_call", "name": "f"}]}, True),
        (RESPONSES, {"input": [{"type": "custom_tool_call", "name": "f"}]}, True),
        (OPENAI, {"messages": [{"content": '{"type": "function"}'}], "tools": []}, False),
    ],
)
def test_tools_that_are_offered_or_were_called(asked: Asked, members: dict[str, Any], named: bool) -> None:
    """A conversation may go on without its tools, and still name them."""
    assert facts(asked, **members).names_tools is named


def test_calls_alone_hold_no_file() -> None:
    """What stands beside them is text, whatever it looks like."""
    body = b'{"model":"m","messages":[{"tool_calls":[{"type":"function"}],"data":"%b"}]}' % (b"A" * 500)
    assert read_facts(OPENAI, body).prompt_bytes == len(body)


CHAT_PICTURE = {"type": "image_url", "image_url": {"url": "https://contoso.example/a.png"}}
INPUT_PICTURE = {"type": "input_image", "image_url": "https://contoso.example/a.png"}


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (",", " :\n\t")])
@pytest.mark.parametrize(
    ("asked", "name", "part"), [(OPENAI, "messages", CHAT_PICTURE), (RESPONSES, "input", INPUT_PICTURE)]
)
def test_images_need_a_model_that_sees(
    asked: Asked, name: str, part: dict[str, Any], separators: tuple[str, str]
) -> None:
    """An image part is a need, with whatever space it is written."""
    body = {"model": "m", name: user({"type": "text", "text": "?"}, part)}
    assert read_facts(asked, json.dumps(body, separators=separators).encode()).needs == {"vision"}


def test_tools_and_images() -> None:
    """Both needs are told."""
    both = facts(OPENAI, messages=user(CHAT_PICTURE), tools=[{"type": "function"}])
    assert both.needs == {"tools", "vision"}


@pytest.mark.parametrize(
    ("asked", "members"),
    [
        (OPENAI, {"messages": user({"type": "text", "text": json.dumps(CHAT_PICTURE)})}),
        (OPENAI, {"messages": [{"role": "user", "content": json.dumps(CHAT_PICTURE)}]}),
        (OPENAI, {"messages": user({"type": "text", "text": "image_url"})}),
        (OPENAI, {"metadata": CHAT_PICTURE}),
        (OPENAI, {"messages": user({"type": "input_audio", "input_audio": {"data": "AAAA"}})}),
        (OPENAI, {"messages": user({"type": "image_url_of_mine"})}),
        (RESPONSES, {"input": json.dumps(INPUT_PICTURE)}),
        (RESPONSES, {"input": user({"type": "input_file", "file_id": "file-1"})}),
        (EMBEDDINGS, {"input": [json.dumps(CHAT_PICTURE)]}),
    ],
)
def test_what_only_speaks_of_images_needs_no_eyes(asked: Asked, members: dict[str, Any]) -> None:
    """JSON inside a text is text; sound and files are no images."""
    assert facts(asked, **members).needs == frozenset()


def test_text_counts_byte_by_byte() -> None:
    """Without files the prompt is as long as the body."""
    body = '{"model":"m","messages":[{"role":"user","content":"Grüße aus 東京"}]}'.encode()
    assert read_facts(OPENAI, body).prompt_bytes == len(body)


@pytest.mark.parametrize(
    ("asked", "name", "part"),
    [
        (
            OPENAI,
            "messages",
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,FILE", "detail": "low"}},
        ),
        (
            OPENAI,
            "messages",
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml;charset=utf-8;base64,FILE"}},
        ),
        (OPENAI, "messages", {"type": "input_audio", "input_audio": {"data": "FILE", "format": "wav"}}),
        (OPENAI, "messages", {"type": "file", "file": {"file_data": "data:application/pdf;base64,FILE"}}),
        (RESPONSES, "input", {"type": "input_image", "image_url": "data:image/png;base64,FILE"}),
        (RESPONSES, "input", {"type": "input_file", "file_data": "data:application/pdf;base64,FILE"}),
    ],
)
def test_files_in_the_body_are_no_text(asked: Asked, name: str, part: dict[str, Any]) -> None:
    """Embedded base64 does not count, however long: Azure counts the characters of texts."""
    frame = json.dumps({"model": "m", name: user({"type": "text", "text": "?"}, part, part)})
    with_files = frame.replace("FILE", PICTURE)
    assert read_facts(asked, with_files.encode()).prompt_bytes == len(frame) - 2 * len("FILE")


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image_generation_call", "id": "ig_1", "result": "FILE"},
        {
            "type": "computer_call_output",
            "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,FILE"},
        },
    ],
)
def test_images_sent_back_are_no_text(item: dict[str, Any]) -> None:
    """An image that a tool made, or a picture of its screen, comes back as base64 that does not count."""
    frame = json.dumps({"model": "m", "input": [item]})
    with_files = frame.replace("FILE", PICTURE)
    assert read_facts(RESPONSES, with_files.encode()).prompt_bytes == len(frame) - len("FILE")


@pytest.mark.parametrize(
    "members",
    [
        {"messages": [{"role": "user", "content": f"data:image/png;base64,{PICTURE}"}]},
        {"messages": [{"role": "user", "content": f'<img src="data:image/png;base64,{PICTURE}">'}]},
        {"messages": user({"type": "text", "text": f"data:image/png;base64,{PICTURE}"})},
    ],
)
def test_base64_in_a_text_is_text(members: dict[str, Any]) -> None:
    """What the model must read is counted, whatever it looks like."""
    body = json.dumps({"model": "m", **members}).encode()
    assert read_facts(OPENAI, body).prompt_bytes == len(body)


def test_a_file_without_an_end() -> None:
    """An empty file, and an escaped slash within base64, do not confuse the count."""
    part = '{"type":"image_url","image_url":{"url":"data:a/b;base64,%s"}}'
    frame = '{"model":"m","messages":[{"role":"user","content":[' + part + "]}]}"
    for file in ("", "AA\\/A"):
        assert read_facts(OPENAI, (frame % file).encode()).prompt_bytes == len(frame) - len("%s")


# -- which requests share a prompt cache -------------------------------------------------------------------

LONG = "You are a careful assistant. " * 200


def chat(system: str, question: str, **members: Any) -> Facts:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return facts(OPENAI, messages=messages, **members)


def test_the_same_beginning_belongs_together() -> None:
    """Requests that begin alike share an upstream's cache, whatever comes later."""
    assert chat(LONG, "one").affinity is not None
    assert chat(LONG, "one").affinity == chat(LONG, "two", temperature=0).affinity


def test_another_beginning_is_another_cache() -> None:
    """A difference in the first byte of the text is one."""
    assert chat(LONG, "one").affinity != chat("!" + LONG, "one").affinity


@pytest.mark.parametrize(
    ("asked", "name"), [(OPENAI, "messages"), (RESPONSES, "input"), (COMPLETIONS, "prompt")]
)
def test_how_much_of_the_beginning_counts(asked: Asked, name: str) -> None:
    """The first 4,096 bytes as they stand in the body, and a shorter prompt is not cached."""
    shortest = "x" * (CACHED_BYTES - 2)  # and its quotes
    affinity = facts(asked, **{name: shortest}).affinity
    assert affinity == zlib.crc32(f'"{shortest}"'.encode())
    assert facts(asked, **{name: shortest[1:]}).affinity is None
    longer = shortest + "x"
    assert facts(asked, **{name: longer}).affinity == facts(asked, **{name: longer + "y"}).affinity
    assert facts(asked, **{name: shortest[:-1] + "z"}).affinity != affinity


def test_a_long_body_around_a_short_prompt() -> None:
    """Only the prompt is cached, so only its length counts."""
    assert facts(OPENAI, messages=user(), metadata={"x": LONG}).affinity is None


def test_instructions_begin_the_prompt_of_a_response() -> None:
    """Instructions and input count as one text, instructions first."""
    one = facts(RESPONSES, instructions=LONG, input="one")
    two = facts(RESPONSES, input="two", instructions=LONG)
    assert one.affinity == two.affinity == zlib.crc32(json.dumps(LONG).encode()[:CACHED_BYTES])
    assert one.affinity != facts(RESPONSES, instructions="!" + LONG, input="one").affinity
    half = "x" * (CACHED_BYTES // 2)
    joined = zlib.crc32((json.dumps(half) + json.dumps(half)).encode()[:CACHED_BYTES])
    assert facts(RESPONSES, instructions=half, input=half).affinity == joined


@pytest.mark.parametrize("asked", [OPENAI, RESPONSES, COMPLETIONS])
def test_a_cache_key_decides_alone(asked: Asked) -> None:
    """The caller's own key counts for prompts of any length and beginning."""
    keyed = [
        facts(asked, prompt_cache_key="k", messages=[text], input=text, prompt=text)
        for text in ("short", LONG, "!" + LONG)
    ]
    assert {fact.affinity for fact in keyed} == {zlib.crc32(b"k")}


def test_an_empty_cache_key_is_none() -> None:
    """A key without a letter tells nothing."""
    assert chat("short", "one", prompt_cache_key="").affinity is None
    assert chat(LONG, "one", prompt_cache_key=None).affinity == chat(LONG, "one").affinity


def test_embeddings_are_not_cached() -> None:
    """Embeddings gain nothing from the same upstream."""
    assert facts(EMBEDDINGS, input=LONG).affinity is None
