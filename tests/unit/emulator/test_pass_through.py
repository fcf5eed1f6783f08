import pytest

from smalt.emulator.pass_through import PassThrough, read_pass_through
from smalt.emulator.reading import Reader


@pytest.mark.parametrize(
    ("value", "spec"),
    [
        (None, None),
        ("http://127.0.0.1:11434/v1/", PassThrough("http://127.0.0.1:11434/v1")),
        ("http://[::1]:1/v1", PassThrough("http://[::1]:1/v1")),
        ({"url": "http://localhost:1/v1", "model": "llama3"}, PassThrough("http://localhost:1/v1", "llama3")),
        (
            {"url": "http://llm.internal:8000/v1", "hosts": ["llm.internal"]},
            PassThrough("http://llm.internal:8000/v1"),
        ),
    ],
)
def test_servers_of_this_machine_and_named_ones_may_be_asked(value: object, spec: PassThrough | None) -> None:
    """By address, or with the model to ask for."""
    reader = Reader()
    assert read_pass_through(reader, value) == spec
    assert not reader.problems


@pytest.mark.parametrize(
    "value",
    [
        7,
        "127.0.0.1:1/v1",
        "ftp://127.0.0.1/v1",
        "http://user@127.0.0.1/v1",
        "http://api.openai.com/v1",
        {"url": "http://llm.internal/v1", "hosts": ["other"]},
        {"url": "http://169.254.1.1/v1", "hosts": ["169.254.1.1"]},
        {"url": "http://localhost/v1", "model": 5},
        {"url": "http://localhost/v1", "key": "x"},
    ],
)
def test_all_others_are_told(value: object) -> None:
    """Nothing is asked by mistake, a link-local address never."""
    reader = Reader()
    read_pass_through(reader, value)
    assert reader.problems
