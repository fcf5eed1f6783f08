"""An agent's instructions: the system message before whatever the caller says.

They are a text, or a Jinja2 template in a sandbox: it reads the variables it is given, and changes nothing.
"""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from smalt.errors import InvalidRequest, MissingExtra
from smalt.types import Operation
from smalt.wire import edit, rewrite

if TYPE_CHECKING:
    from jinja2 import Template

Variables = Mapping[str, Any]  # of templates, by name

_TEMPLATE = re.compile(r"\{[{%#]")
_RESOLUTION: Final = (
    "Give them: fleet.agent(name).run(..., variables={...}); a request that is made otherwise has none.",
    "Or let the template do without: {{ name | default('somebody') }}.",
)


class _Message(msgspec.Struct):
    role: str | None = None


_messages = msgspec.json.Decoder(list[msgspec.Raw])
_roles = msgspec.json.Decoder(list[_Message])
_text = msgspec.json.Decoder(str)


class Instructions:
    """Those of the agent of this name. Safe for threads.

    Raises ValueError, with the line, for a template that cannot be read, and MissingExtra where Jinja2 is not
    installed and the text is a template: it holds `{{`, `{%` or `{#`.
    """

    def __init__(self, agent: str, text: str) -> None:
        self._agent = agent
        self._text = text
        self._names: frozenset[str] = frozenset()
        self._template: Template | None = None
        if _TEMPLATE.search(text):
            self._template, self._names = _compiled(text)

    def render(self, variables: Variables) -> str:
        """Raises InvalidRequest, naming what is missing."""
        if self._template is None:
            return self._text
        try:
            text = self._template.render(variables)
            text.encode()  # half a surrogate pair cannot be sent
        except Exception as error:  # noqa: BLE001  whatever an expression may raise
            raise self._fault(error, variables) from None
        return text

    def _fault(self, error: Exception, variables: Variables) -> InvalidRequest:
        missing = sorted(self._names - variables.keys())
        if str(error) in {f"{name!r} is undefined" for name in missing}:
            return InvalidRequest(
                f"the instructions of the agent {self._agent!r} need variables that the request does not "
                f"give: {', '.join(missing)}",
                resolution=_RESOLUTION,
            )
        return InvalidRequest(f"the instructions of the agent {self._agent!r} cannot be written: {error}")


def put_first(body: bytes, operation: Operation, text: str) -> bytes:
    """`body` with the instructions before what it says: a system message of chat, a developer message where
    the caller has some, since reasoning models refuse both beside each other; `instructions` of Responses. A
    caller's own come after them. The same object if the operation has no such thing, or the body not what it
    should have. Raises InvalidRequest for a body that cannot be taken apart."""
    if operation is Operation.CHAT:
        return edit.apply(edit.members({"messages": lambda value: _before_messages(value, text)}), body)
    if operation is Operation.RESPONSES:
        return _with_instructions(body, text)
    return body


def _before_messages(value: msgspec.Raw, text: str) -> msgspec.Raw:
    try:
        messages, roles = _messages.decode(value), _roles.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value
    role = "developer" if any(message.role == "developer" for message in roles) else "system"
    first = msgspec.Raw(msgspec.json.encode({"role": role, "content": text}))
    return msgspec.Raw(msgspec.json.encode([first, *messages]))


def _with_instructions(body: bytes, text: str) -> bytes:
    """An empty text of the caller adds nothing."""
    theirs = rewrite.member(body, "instructions")
    try:
        said = "" if theirs is None else _text.decode(theirs)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body
    whole = "\n\n".join(part for part in (text, said) if part)
    return rewrite.set_members(body, {"instructions": msgspec.Raw(msgspec.json.encode(whole))})


def _compiled(text: str) -> tuple["Template", frozenset[str]]:
    """The template, and the variables it may ask for."""
    try:
        from jinja2 import StrictUndefined, TemplateSyntaxError, meta  # noqa: PLC0415  an optional part
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415
    except ImportError:
        raise MissingExtra("a template as instructions", "agents") from None
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        names = meta.find_undeclared_variables(environment.parse(text))
        return environment.from_string(text), frozenset(names - environment.globals.keys())
    except TemplateSyntaxError as error:
        raise ValueError(f"line {error.lineno} of the template: {error.message}") from None
