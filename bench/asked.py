"""What is asked of every proxy: a chat request of 2 KB, for a whole answer or for a stream."""

import json

BYTES = 2_048
KEY = "gw-bench-0123456789abcdef"  # of callers; nginx lets any pass
AZURE = "/openai/deployments/{model}/chat/completions?api-version=2024-10-21"
OPENAI = "/v1/chat/completions"
WHOLE, STREAMED = "chat", "streamed"  # the models


def whole(path: str) -> bytes:
    return _request(path, {"model": WHOLE, "max_tokens": 200})


def streamed(path: str, chunks: int) -> bytes:
    return _request(path, {"model": STREAMED, "stream": True, "max_tokens": chunks})


def _request(path: str, asked: dict[str, object]) -> bytes:
    def body(text: str) -> str:
        return json.dumps({**asked, "messages": [{"role": "user", "content": text}]})

    filled = body(("word " * BYTES)[: BYTES - len(body(""))])
    head = (
        f"POST {path.format(model=asked['model'])} HTTP/1.1\r\nhost: gateway\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(filled)}\r\n\r\n"
    )
    return (head + filled).encode()
