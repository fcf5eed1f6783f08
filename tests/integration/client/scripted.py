"""An OpenAI-compatible server that answers chat as a script says, streamed or not."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
KEY = "key-of-the-scripted-server"


class Scripted:
    """`asked`: the bodies it has seen."""

    def __init__(self, messages: Sequence[Mapping[str, Any]]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""
        self._messages = messages

    def settings(self, model: str = "m", **sections: Any) -> dict[str, Any]:
        """Plain ones, for a fleet over it alone."""
        resource = {"kind": "openai", "endpoint": self.url, "api_keys": [KEY]}
        return {
            "resources": {"scripted": {**resource, "deployments": {model: {"model": model}}}},
            "models": {model: {"route": ["scripted"]}},
            **sections,
        }

    def answer(self, body: dict[str, Any], key: str | None) -> tuple[str, bytes]:
        """Content type and content."""
        message = self._messages[len(self.asked)]
        self.asked.append(body)
        self.keys.append(key)
        reason = "tool_calls" if "tool_calls" in message else "stop"
        told = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            whole = {**told, "object": "chat.completion", "choices": [choice], "usage": USAGE}
            return "application/json", json.dumps(whole).encode()
        calls = [{"index": n, **call} for n, call in enumerate(message.get("tool_calls", ()))]
        deltas = [{"content": message["content"]}, *({"tool_calls": [call]} for call in calls)]
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
        ]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        chunks.append({"choices": [], "usage": USAGE})
        events = [json.dumps({**told, "object": "chat.completion.chunk", **chunk}) for chunk in chunks]
        return "text/event-stream", "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()


@contextmanager
def scripted(messages: Sequence[Mapping[str, Any]]) -> Iterator[Scripted]:
    """`messages`: the answers, in order; one more request fails."""
    script = Scripted(messages)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            kind, content = script.answer(body, self.headers["authorization"])
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Not into the output of tests."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()
