"""Keys that the settings only name: read where they are kept, or why they cannot be."""

import shlex
from urllib.parse import urlsplit

from smalt.auth.sources import Unreadable
from smalt.auth.vault import Vaults, source_of
from smalt.config.identity import Identity
from smalt.config.network import Network
from smalt.config.references import Reference, reference
from smalt.doctor.findings import Diagnosis

READER = "Key Vault Secrets User"


class NotKept(Exception):
    """The secret cannot be had; `text` is what was said."""

    def __init__(self, diagnosis: Diagnosis, text: str) -> None:
        super().__init__(text)
        self.diagnosis = diagnosis
        self.text = text


def read_key(text: str, identity: Identity, network: Network) -> str:
    """The key itself. `identity`: who reads vaults. Raises NotKept."""
    named = reference(text)
    if named is None:
        return text
    try:
        return source_of(named, identity, Vaults(network), refresh_s=0).read(afresh=True).text
    except Unreadable as error:
        raise NotKept(_why(named, str(error)), str(error).partition(" Content:")[0][:300]) from None


def _why(named: Reference, said: str) -> Diagnosis:
    if named.kind == "file":
        mend: tuple[str, ...] = (f"put the key into {named.name}, and let this user read it",)
        return Diagnosis("authentication", "secret_unreadable", "the file with the key cannot be used", mend)
    if named.kind == "keyring":
        mend = (f"smalt secrets set {shlex.quote(named.name)}",)
        return Diagnosis("authentication", "secret_unreadable", "the keyring does not give the key", mend)
    url = urlsplit(named.name)
    name = url.path.split("/")[2]
    vault = shlex.quote((url.hostname or "").partition(".")[0])
    if "Forbidden" in said or "not authorized" in said:
        find = f"az keyvault show --name {vault} --query id --output tsv   # ID of the next line"
        give = f'az role assignment create --assignee OBJECT_ID --role "{READER}" --scope ID'
        cause = f"the identity may not read secrets of the vault: it needs '{READER}'"
        return Diagnosis("authentication", "vault_forbids", cause, (find, give))
    if "SecretNotFound" in said or "was not found" in said:
        mend = (f"az keyvault secret list --vault-name {vault} --query '[].name' --output tsv",)
        return Diagnosis("authentication", "secret_not_found", f"the vault has no secret {name}", mend)
    mend = (f"az keyvault secret show --vault-name {vault} --name {name} --query id",)
    return Diagnosis("authentication", "vault_unreadable", "the vault does not give the key", mend)
