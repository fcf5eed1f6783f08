"""Lines of the Azure CLI, with the names that are known filled in.

A name that only Azure knows stands in capitals; the line before tells how to get it.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from smalt.config.schema import Resource

_ID = re.compile(
    r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.CognitiveServices/accounts/(?P<name>[^/]+)/?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Account:
    """An Azure OpenAI account. `group` and `subscription` are None where no `azure_id` tells them."""

    name: str
    group: str | None = None
    subscription: str | None = None

    @property
    def id(self) -> str | None:
        """In ARM's form."""
        if self.group is None:
            return None
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.CognitiveServices/accounts/{self.name}"
        )

    def line(self, command: str, *more: str) -> tuple[str, ...]:
        """`az cognitiveservices account COMMAND`, and before it, if needed, the one that finds the group."""
        where = ["--name", self.name, "--resource-group", self.group or "GROUP"]
        if self.subscription:
            where += ["--subscription", self.subscription]
        told = f"az cognitiveservices account {command} {shlex.join([*where, *more])}"
        return (told,) if self.group else (self._find("resourceGroup", "GROUP"), told)

    def update(self, setting: str) -> tuple[str, ...]:
        """A property that the account's own commands have no option for."""
        found = () if self.id else (self._find("id", "ID"),)
        return (*found, f"az resource update --ids {shlex.quote(self.id or 'ID')} --set properties.{setting}")

    def give(self, role: str, object_id: str | None, kind: str) -> tuple[str, ...]:
        """A role on the account; `kind`: ServicePrincipal or User."""
        found = () if self.id else (self._find("id", "ID"),)
        who = ["--assignee-object-id", object_id or "OBJECT_ID", "--assignee-principal-type", kind]
        on_what = ["--role", role, "--scope", self.id or "ID"]
        return (*found, f"az role assignment create {shlex.join([*who, *on_what])}")

    def _find(self, what: str, word: str) -> str:
        which = ["--name", self.name, "--resource-type", "Microsoft.CognitiveServices/accounts"]
        words = [*which, "--query", f"[].{what}", "--output", "tsv"]
        return f"az resource list {shlex.join(words)}   # {word} of the next line"


def account_of(resource: Resource) -> Account:
    """By its `azure_id`, else by its host: the first label is the custom subdomain, mostly the name."""
    label = (urlsplit(resource.base_url).hostname or "").partition(".")[0]
    return parse_id(resource.azure_id or "") or Account("RESOURCE" if label.isdecimal() else label)


def parse_id(azure_id: str) -> Account | None:
    """None: it is no id of an account."""
    match = _ID.fullmatch(azure_id.strip())
    return Account(match["name"], match["group"], match["subscription"]) if match else None


def login(tenant: str | None) -> Sequence[str]:
    return (f"az login --tenant {shlex.quote(tenant or 'TENANT_ID')}",)
