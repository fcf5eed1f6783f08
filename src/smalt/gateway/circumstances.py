"""What callers say about their calls in headers: tags, session, trace."""

from typing import Final

from smalt.dispatch.dispatcher import NO_CIRCUMSTANCES, Circumstances
from smalt.errors import InvalidRequest
from smalt.gateway.exchange import Headers
from smalt.wire.trace import read_traceparent

MOST_TAGS: Final = 16
LONGEST: Final = 128  # characters of a tag or session

_TAGS, _SESSION, _TRACE = b"x-smalt-tags", b"x-smalt-session", b"traceparent"
CIRCUMSTANCE_HEADERS: Final = frozenset({_TAGS, _SESSION, _TRACE})


def circumstances(headers: Headers) -> Circumstances:
    """Of the request with these headers. A malformed `traceparent` is ignored. Raises InvalidRequest for tags
    and sessions that cannot be taken: budgets and bills go by them."""
    told = [header for header in headers if header[0] in CIRCUMSTANCE_HEADERS]
    if not told:
        return NO_CIRCUMSTANCES
    tags: dict[str, None] = {}  # in order, each once
    session, trace = None, None
    for name, value in told:
        if name == _TAGS:
            tags |= dict.fromkeys(
                _text(tag, "a tag in x-smalt-tags") for tag in value.split(b",") if tag.strip()
            )
        elif name == _SESSION:
            session = _text(value, "the session in x-smalt-session") or None
        else:
            trace = read_traceparent(value)
    if len(tags) > MOST_TAGS:
        raise InvalidRequest(f"x-smalt-tags has {len(tags)} tags", resolution=(f"At most {MOST_TAGS} tags.",))
    return Circumstances(tuple(tags), session, trace)


def _text(value: bytes, what: str) -> str:
    """Raises InvalidRequest."""
    try:
        text = value.strip().decode()
    except UnicodeDecodeError:
        text = "\0"
    if len(text) > LONGEST or not text.isprintable():
        told = f"Send printable text of up to {LONGEST} characters, in UTF-8."
        raise InvalidRequest(f"{what} cannot be taken", resolution=(told,))
    return text
