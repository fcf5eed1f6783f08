"""Every entry of `errors.json`, produced by name over HTTP and read by the official client."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

import msgspec
import openai
import pytest

from smalt.emulator.testing import Handle

pytestmark = pytest.mark.sdk

ENTRIES: dict[str, dict[str, Any]] = {
    entry["name"]: entry
    for entry in msgspec.json.decode(resources.files("smalt.emulator").joinpath("errors.json").read_bytes())
}
OVER_HTTP = [name for name, entry in ENTRIES.items() if entry["status"] is not None]
HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
SDK = f"openai{openai.__version__.partition('.')[0]}"

OF_RESPONSES = {
    "invalid_encrypted_content",
    "previous_response_not_found",
    "ratelimit_headers_untracked",
    "responses_incomplete_filter",
    "responses_stream_error_flat",
    "responses_stream_filtered",
}


@pytest.fixture
def v1(emulator: Handle) -> Iterator[openai.OpenAI]:
    base_url = f"{emulator.url('east')}/openai/v1/"
    with openai.OpenAI(base_url=base_url, api_key=emulator.key("east"), max_retries=0) as client:
        yield client


def call(client: openai.OpenAI, name: str) -> None:
    """Make the call that an entry belongs to; a stream is read to its end."""
    stream = ENTRIES[name].get("stream") is not None
    answer: Any = None
    if name == "response_not_found":
        client.responses.retrieve("resp_abc")
    elif name in OF_RESPONSES:
        answer = client.responses.create(model="gpt-4o-prod", input="hello", stream=stream)
    elif name.startswith("embeddings_"):
        client.embeddings.create(model="text-embedding-3-small-prod", input="hello")
    elif name == "content_policy_image":
        client.images.generate(model="gpt-image-2", prompt="hello")
    else:
        answer = client.chat.completions.create(model="gpt-4o-prod", messages=HELLO, stream=stream)
    if stream:
        for _ in answer:
            pass


@pytest.mark.parametrize("name", OVER_HTTP)
def test_the_client_raises_what_is_noted(emulator: Handle, v1: openai.OpenAI, name: str) -> None:
    """Exactly the class noted for this major version, of openai's own unless it names another package."""
    emulator.set("east", "error", error=name, count=1)
    raised: str | None = None
    try:
        call(v1, name)
    except Exception as error:  # noqa: BLE001  # whatever it is, its class is compared
        raised = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("openai.")
    assert raised == ENTRIES[name]["raises"][SDK]
    (entry,) = emulator.log()
    assert entry["status"] == ENTRIES[name]["status"]


def test_only_websocket_messages_are_left_out() -> None:
    """They are two of all entries, and the emulator refuses to send them as answers."""
    left_out = ENTRIES.keys() - set(OVER_HTTP)
    assert left_out == {"ws_connection_limit", "ws_previous_response_not_found"}
    assert len(OVER_HTTP) == len(ENTRIES) - 2


def test_what_is_left_out_cannot_be_switched_on(emulator: Handle) -> None:
    """A WebSocket message is no answer to a request."""
    with pytest.raises(ValueError, match="there is no error 'ws_connection_limit'"):
        emulator.set("east", "error", error="ws_connection_limit")
