"""Which errors callers are told something else in place of, as configured."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from smalt.core.routes import AZURE_PREFIX, matches
from smalt.errors import SmaltError, UpstreamError
from smalt.types import Facts


class Degraded(Struct, frozen=True):
    """`status`: 200 for an answer whose text is the message, 400 and more for an error with it. `message`:
    None for that of the error in whose place it stands."""

    status: int
    message: str | None = None


class DegradedAnswers:
    """By the name of a model, of an agent or a deployment, or by a pattern; the name that was asked for wins,
    then that of its model, then the longest pattern. `models`: by `agent/<name>` and `azure/<deployment>`."""

    def __init__(
        self,
        answers: Mapping[str, Degraded] = MappingProxyType({}),
        models: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._answers = answers
        self._models = models

    def find(self, facts: Facts, error: SmaltError) -> Degraded | None:
        """None if the error is to be told: nothing is configured for the model, or the error does not say
        that nobody is there for now. What a request has brought upon itself, and a credential that is refused
        everywhere, are no outage."""
        if not (self._answers and isinstance(error, UpstreamError) and error.retryable):
            return None
        asked = facts.model
        model = self._models.get(asked) or self._models.get(AZURE_PREFIX + asked) or asked
        fitting = [name for name in self._answers if matches(name, asked) or matches(name, model)]
        if not fitting:
            return None
        best = max(fitting, key=lambda name: (name == asked, name == model, len(name.replace("*", ""))))
        return self._answers[best]


NOTHING_DEGRADED: Final = DegradedAnswers()
