from hypothesis import given
from hypothesis import strategies as st

from smalt.emulator.tokens import IMAGE_TOKENS_DEFAULT, count, count_prompt, split


@given(st.text())
def test_the_tokens_of_a_text_are_the_text(text: str) -> None:
    """Nothing is lost or changed between a text and its tokens."""
    assert "".join(split(text)) == text


def test_prose_has_four_to_five_characters_a_token() -> None:
    """Counts are in the range of real tokenizers."""
    text = "The quick brown fox jumps over the lazy dog, and internationalisation takes 12345 steps."
    assert 4 <= len(text) / count(text) <= 5


def test_a_prompt_costs_its_messages_and_tools() -> None:
    """Each message and the opening of the answer cost a little on top of the text."""
    body = {"messages": [{"role": "user", "content": "one two three"}]}
    assert count_prompt(body) == 3 + 4 + 3
    assert count_prompt(body | {"tools": [{"type": "function"}]}) > count_prompt(body)


def test_tool_calls_and_names_of_messages_cost_tokens() -> None:
    """Arguments sent back to the model are part of the prompt."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    bare = {"messages": [{"role": "assistant", "content": None}]}
    calling = {"messages": [{"role": "assistant", "content": None, "name": "Ann", "tool_calls": [call]}]}
    assert count_prompt(calling) == count_prompt(bare) + 4


def test_images_cost_by_detail() -> None:
    """An image is cheap only in low detail."""

    def cost(image: dict[str, str]) -> int:
        content = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": image}]
        return count_prompt({"messages": [{"role": "user", "content": content}]}) - 8

    assert cost({"url": "x"}) == IMAGE_TOKENS_DEFAULT
    assert cost({"url": "x", "detail": "low"}) == 85
