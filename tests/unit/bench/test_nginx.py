"""The sizes of what is sent through the yardstick."""

from bench import asked, nginx


def test_a_chat_request_of_2_kb_and_an_answer_of_1_kb() -> None:
    """What is sent and answered has the sizes that are told."""
    assert len(nginx.REQUEST.partition(b"\r\n\r\n")[2]) == asked.BYTES
    assert len(nginx.ANSWER) == nginx.ANSWER_BYTES
