"""Token counts as upstreams report them."""

import msgspec

from smalt.types import Usage


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


_NO_PROMPT_DETAILS = _PromptDetails()
_NO_COMPLETION_DETAILS = _CompletionDetails()


class ReportedUsage(msgspec.Struct):
    """The `usage` object of chat completions and embeddings."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    def as_usage(self, service_tier: str | None) -> Usage:
        prompt = self.prompt_tokens_details or _NO_PROMPT_DETAILS
        completion = self.completion_tokens_details or _NO_COMPLETION_DETAILS
        return Usage(
            self.prompt_tokens,
            self.completion_tokens,
            cached_tokens=prompt.cached_tokens or 0,
            cache_write_tokens=prompt.cache_write_tokens or 0,
            reasoning_tokens=completion.reasoning_tokens or 0,
            service_tier=None if service_tier == "default" else service_tier,
        )


class _Answer(msgspec.Struct):
    usage: ReportedUsage | None = None
    service_tier: str | None = None


_decoder = msgspec.json.Decoder(_Answer)


def read_usage(body: bytes) -> Usage | None:
    """Usage of a whole JSON answer, None if it reports none. Raises ValueError if it is no JSON object
    and RecursionError if it is nested too deeply."""
    try:
        answer = _decoder.decode(body)
    except msgspec.ValidationError:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        return None
    return answer.usage.as_usage(answer.service_tier) if answer.usage else None
