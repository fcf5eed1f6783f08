"""A guard that knows secrets and personal data by their form."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from smalt.errors import PolicyDenied
from smalt.guards import Finding

Kind = Literal["secrets", "pii"]
Side = Literal["request", "answer"]


def _luhn(number: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    digits = [int(digit) for digit in reversed(number) if digit.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return 13 <= len(digits) <= 19 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _mod_97(iban: str) -> bool:
    """ISO 13616-1, section 5: the check digits."""
    told = iban.replace(" ", "")
    return 15 <= len(told) <= 34 and int("".join(str(int(c, 36)) for c in told[4:] + told[:4])) % 97 == 1


class _Pattern(NamedTuple):
    """`form`: with a group, if what is before it is no secret. `holds`: what else is true of a match."""

    name: str
    form: re.Pattern[str]
    holds: Callable[[str], bool] = lambda _match: True


# A word begins there; in JSON it may follow an escape, such as that of a line break.
_START: Final = r"(?:(?<![\w\\-])|(?<=\\[bfnrt]))"


def _pattern(name: str, form: str, holds: Callable[[str], bool] | None = None) -> _Pattern:
    compiled = re.compile(rf"{_START}(?:{form})", re.ASCII)
    return _Pattern(name, compiled, holds) if holds else _Pattern(name, compiled)


# No form begins anew inside itself, so that each is found in time linear in the text.
_PATTERNS: Final[dict[Kind, tuple[_Pattern, ...]]] = {
    "secrets": (
        _pattern("private key", r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[A-Za-z0-9+/=\s:,-]*"),
        _pattern("json web token", r"eyJ[\w-]{10,}\.[\w-]*(?:\.[\w-]*)?"),
        _pattern("azure key", r"[A-Za-z0-9]{52}JQQJ9[9DH][A-Za-z0-9]{8,}"),
        _pattern("azure key", r"api[-_]key[\"']?\s{0,2}[:=]\s{0,2}[\"']?([0-9a-f]{32})(?!\w)"),
        _pattern("storage key", r"AccountKey=[A-Za-z0-9+/]{20,}={0,2}"),
        _pattern("api key", r"(?:sk|rk|pk|gw|adm)[-_][\w-]{20,}"),
        _pattern("aws key", r"(?:AKIA|ASIA)[A-Z0-9]{16}(?!\w)"),
        _pattern("github token", r"(?:gh[pousr]_\w{30,}|github_pat_\w{30,})"),
        _pattern("slack token", r"xox[abeoprs]-[\w-]{10,}"),
    ),
    "pii": (
        _pattern("email", r"(?<![.%+])[\w.%+-]{1,64}+@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,63}"),
        _pattern("card number", r"\d(?:[ -]?\d){12,18}(?![\w-])", _luhn),
        _pattern("iban", r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?!\w)", _mod_97),
        _pattern("social security number", r"\d{3}-\d{2}-\d{4}(?![\w-])"),
        _pattern("phone number", r"\+\d(?:[ ().-]{0,2}\d){7,14}(?!\w)"),
    ),
}


class Patterns:
    """Replaces what it finds by its name in brackets, such as `[email]`, or refuses the whole.

    `find`: `secrets` (keys of Azure, OpenAI, AWS, GitHub, Slack; tokens, private keys), `pii` (addresses of
    email, numbers of cards, accounts, phones, US social security). `on`: what is looked at. It knows forms,
    no meaning: names and addresses pass.
    """

    window = 256

    def __init__(
        self,
        find: Sequence[Kind] = ("secrets", "pii"),
        action: Literal["mask", "refuse"] = "mask",
        on: Sequence[Side] = ("request", "answer"),
    ) -> None:
        for name, given, known in (
            ("find", find, {"secrets", "pii"}),
            ("action", [action], {"mask", "refuse"}),
            ("on", on, {"request", "answer"}),
        ):
            if isinstance(given, str) or not set(given) <= known:
                raise ValueError(f"{name}: expected {' or '.join(sorted(known))}, got {given!r}")
        self._patterns = [pattern for kind in find for pattern in _PATTERNS[kind]]
        self._refuses = action == "refuse"
        self._on = frozenset(on)

    def request(self, text: str) -> Iterator[Finding]:
        return self._found(text) if "request" in self._on else iter(())

    def answer(self, text: str) -> Iterator[Finding]:
        return self._found(text) if "answer" in self._on else iter(())

    def _found(self, text: str) -> Iterator[Finding]:
        """Raises PolicyDenied, which does not repeat what was found."""
        for name, form, holds in self._patterns:
            for match in form.finditer(text):
                if not holds(match[0]):
                    continue
                if self._refuses:
                    raise PolicyDenied(f"the text holds what looks like: {name}")
                start, end = match.span(match.lastindex or 0)
                yield Finding(start, end, f"[{name}]")
