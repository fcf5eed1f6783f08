"""What content filters do to answers, and what becomes of answers while a filter is down."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from smalt.emulator.faults.frames import Frame, finish_reason, read_frame, write_frame
from smalt.emulator.faults.layers import FILTERED, SAID, Layer, Scene, rebody
from smalt.emulator.faults.script import Operation, Whole
from smalt.emulator.steps import Data, End, Steps, Wait
from smalt.emulator.tokens import count, split

ANNOTATE_CHARS = 100  # as often the asynchronous filter speaks

_CHAT: tuple[Operation, ...] = ("chat/completions", "completions")
_SAFE = {
    name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")
}
_BLOCKED = {**_SAFE, "violence": {"filtered": True, "severity": "medium"}}
_UNCHECKED = {"error": {"code": "content_filter_error", "message": "The contents are not filtered"}}
_POLICY = {
    "type": "invalid_request_error",
    "code": "content_policy_violation",
    "message": "The response was blocked by the content policy.",
    "param": None,
}


class Filtered(Layer, frozen=True, tag="filtered"):
    """The output is blocked. `after`: how many tokens of it still reach the caller.

    What is withheld is not billed. Responses that are streamed end with `response.incomplete`; with
    `after: 0` in the three frames of a refusal.
    """

    after: Whole = 3

    OF = (*_CHAT, "responses")
    DEPTH = SAID

    def play(self, steps: Steps, scene: Scene) -> Steps:
        block = _block_response if scene.operation.startswith("responses") else _block_chat
        return block(rebody(steps, self._block_body), self.after)

    def _block_body(self, body: Frame) -> Frame:
        if body.get("object") == "response" and body["status"] == "completed":
            return _incomplete(body, self.after)
        if "choices" not in body:
            return body
        said = 0
        for choice in body["choices"]:
            message, field = (choice["message"], "content") if "message" in choice else (choice, "text")
            message[field] = "".join(split(message[field] or "")[: self.after])
            message.pop("tool_calls", None)
            choice |= {"finish_reason": "content_filter", "content_filter_results": _BLOCKED}
            said += count(message[field])
        return body | {"usage": _chat_usage(body["usage"], said)}


def _block_chat(steps: Steps, after: int) -> Steps:
    pieces = tokens = 0
    blocked = False
    choices: dict[int, Frame] = {}
    for step in steps:
        frame = read_frame(step.data) if isinstance(step, Data) else None
        if frame is None or not isinstance(step, Data):
            if not (blocked and isinstance(step, Wait)):
                yield step
        elif frame.get("usage"):
            yield Data(write_frame(frame | {"usage": _chat_usage(frame["usage"], tokens)}))
        elif not blocked and (finish_reason(frame) or (step.tokens and pieces >= after)):
            blocked = True
            for index, choice in choices.items():
                nothing: Frame = {"text": ""} if "text" in choice else {"delta": {}}
                last = {"finish_reason": "content_filter", "content_filter_results": _BLOCKED}
                yield Data(write_frame(frame | {"choices": [{"index": index, **nothing, **last}]}))
        elif not blocked:
            choices |= {choice["index"]: choice for choice in frame["choices"]}
            pieces, tokens = pieces + (step.tokens > 0), tokens + step.tokens
            yield step


def _block_response(steps: Steps, after: int) -> Steps:
    pieces = 0
    created: Frame = {}
    for step in steps:
        frame = read_frame(step.data) if isinstance(step, Data) else None
        created = created or frame or {}
        if frame is None or not isinstance(step, Data) or "response" not in created:  # one that is resumed
            yield step
            continue
        late = frame["type"] == "response.completed" or (step.tokens and pieces >= after)
        if frame is not created and (late or not after):
            break
        pieces += step.tokens > 0
        yield step
    else:
        return
    number = frame["sequence_number"]
    if after:
        final = {"type": "response.incomplete", "sequence_number": number}
        yield Data(write_frame(final | {"response": _incomplete(_last_response(frame, steps), after)}))
    else:
        failed = created["response"] | {"status": "failed", "error": None}
        yield Data(write_frame({"type": "response.failed", "sequence_number": number, "response": failed}))
        yield Data(write_frame({"type": "error", "sequence_number": number + 1, "error": _POLICY}))
    yield End()


def _last_response(frame: Frame, rest: Steps) -> Frame:
    """The whole response, as the end of the stream would tell it."""
    for step in rest:
        frame = (read_frame(step.data) if isinstance(step, Data) else None) or frame
    response: Frame = frame["response"]
    return response


def _incomplete(response: Frame, after: int) -> Frame:
    """A whole response blocked after so many tokens of text; what it calls is withheld."""
    left, output = after, []
    for item in response["output"]:
        if item["type"] == "message":
            texts = [part for part in item["content"] if "text" in part]
            for part in texts:
                said = split(part["text"])[:left]
                part["text"], left = "".join(said), left - len(said)
            output.append(item | {"status": "incomplete"})
        elif item["type"] == "reasoning":
            output.append(item)
    usage = dict(response["usage"])
    hidden = usage["output_tokens_details"]["reasoning_tokens"]
    usage["output_tokens"] = hidden + after - left
    usage["total_tokens"] = usage["input_tokens"] + usage["output_tokens"]
    reason = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}
    return response | reason | {"output": output, "usage": usage}


def _chat_usage(usage: Frame, said: int) -> Frame:
    """`said`: tokens of output without those of reasoning."""
    hidden = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
    output = {"completion_tokens": hidden + said, "total_tokens": usage["prompt_tokens"] + hidden + said}
    return usage | output


class FilterDown(Layer, frozen=True, tag="filter_down"):
    """The filter did not run: the content comes unfiltered, and says so."""

    OF = _CHAT
    DEPTH = FILTERED

    def play(self, steps: Steps, scene: Scene) -> Steps:
        for step in rebody(steps, _unchecked):
            frame = read_frame(step.data) if isinstance(step, Data) else None
            if frame and isinstance(step, Data):
                yield Data(write_frame(_unchecked(frame)), step.tokens)
            else:
                yield step


def _unchecked(frame: Frame) -> Frame:
    for choice in frame.get("choices", ()):
        if choice.get("content_filter_results"):
            choice["content_filter_results"] = _UNCHECKED
    return frame


@dataclass(slots=True)
class _Checked:
    """How far a choice was said and checked, in characters from the start of the prompt."""

    said: int
    checked: int = field(init=False)

    def __post_init__(self) -> None:
        self.checked = self.said

    def offsets(self) -> dict[str, int]:
        start, self.checked = self.checked, self.said
        return {"check_offset": start, "start_offset": start, "end_offset": self.said}


class AsyncFilter(Layer, frozen=True, tag="async_filter"):
    """Text flows unchecked, and what the filter found follows in choices without delta, also after the end.

    With `filtered`, the verdict comes when the text has been shown.
    """

    ON = "streams"
    OF = _CHAT
    DEPTH = FILTERED

    def play(self, steps: Steps, scene: Scene) -> Steps:
        choices: dict[int, _Checked] = defaultdict(lambda: _Checked(scene.prompt_chars))
        for step in steps:
            frame = read_frame(step.data) if isinstance(step, Data) else None
            if not frame or not isinstance(step, Data) or not frame["choices"]:
                yield step
                continue
            (choice,) = frame["choices"]
            checked, reason = choices[choice["index"]], choice["finish_reason"]
            found, choice["content_filter_results"] = choice["content_filter_results"], {}
            checked.said += len(choice.get("text") or choice.get("delta", {}).get("content") or "")
            blocked = reason == "content_filter"
            if not blocked:
                yield Data(write_frame(frame), step.tokens)
            if reason or checked.said - checked.checked >= ANNOTATE_CHARS:
                yield Data(
                    _annotation(choice["index"], found if blocked else _SAFE, checked, blocked=blocked)
                )


def _annotation(index: int, results: dict[str, Any], checked: _Checked, *, blocked: bool) -> bytes:
    choice = {
        "index": index,
        "finish_reason": "content_filter" if blocked else None,
        "content_filter_results": results,
        "content_filter_offsets": checked.offsets(),
    }
    empty: Frame = {"id": "", "object": "", "created": 0, "model": ""}
    return write_frame({**empty, "choices": [choice], "usage": None})
