"""Token counts as upstreams report them."""

import msgspec

from smalt.types import Usage


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class ReportedUsage(msgspec.Struct):
    """The `usage` object of chat completions and embeddings."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None

    def as_usage(self) -> Usage:
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        return Usage(self.prompt_tokens, self.completion_tokens, cached or 0)


class _Answer(msgspec.Struct):
    usage: ReportedUsage | None = None


_decoder = msgspec.json.Decoder(_Answer)


def read_usage(body: bytes) -> Usage | None:
    """Usage of a whole JSON answer, None if it reports none. Raises ValueError if it is no JSON object
    and RecursionError if it is nested too deeply."""
    try:
        answer = _decoder.decode(body)
    except msgspec.ValidationError:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return None
    return answer.usage.as_usage() if answer.usage else None
