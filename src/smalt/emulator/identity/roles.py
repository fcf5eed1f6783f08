"""What the built-in roles of Azure allow, as far as they matter here.

`actions` are of the management plane (ARM), `data_actions` of the resource itself. A `*` stands for any text,
slashes included. Source: "Azure built-in roles", AI + machine learning and Security.
"""

import functools
import re
from dataclasses import dataclass

_OPENAI = "Microsoft.CognitiveServices/accounts/OpenAI"
_SECRETS = "Microsoft.KeyVault/vaults/secrets"
_READ_ACCOUNTS = "Microsoft.CognitiveServices/*/read"


@dataclass(frozen=True, slots=True)
class Role:
    actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        return _matches(self.actions, action) and not _matches(self.not_actions, action)

    def allows_data(self, action: str) -> bool:
        return _matches(self.data_actions, action)


ROLES = {
    "Cognitive Services OpenAI User": Role(
        actions=(_READ_ACCOUNTS,),
        data_actions=(
            f"{_OPENAI}/*/read",
            f"{_OPENAI}/deployments/*/action",
            f"{_OPENAI}/images/*/action",
            f"{_OPENAI}/responses/*",
            f"{_OPENAI}/assistants/*",
        ),
    ),
    "Cognitive Services OpenAI Contributor": Role(
        actions=(_READ_ACCOUNTS, "Microsoft.CognitiveServices/accounts/deployments/*"),
        data_actions=(f"{_OPENAI}/*",),
    ),
    "Cognitive Services User": Role(
        actions=(_READ_ACCOUNTS, "Microsoft.CognitiveServices/accounts/listkeys/action"),
        data_actions=("Microsoft.CognitiveServices/*",),
    ),
    "Cognitive Services Contributor": Role(actions=("Microsoft.CognitiveServices/*",)),
    "Azure AI User": Role(actions=(_READ_ACCOUNTS,), data_actions=("Microsoft.CognitiveServices/*",)),
    "Key Vault Administrator": Role(
        actions=("Microsoft.KeyVault/vaults/read",), data_actions=("Microsoft.KeyVault/vaults/*",)
    ),
    "Key Vault Secrets Officer": Role(
        actions=("Microsoft.KeyVault/vaults/read",), data_actions=(f"{_SECRETS}/*",)
    ),
    "Key Vault Secrets User": Role(
        data_actions=(f"{_SECRETS}/getSecret/action", f"{_SECRETS}/readMetadata/action")
    ),
    "Reader": Role(actions=("*/read",)),
    "Contributor": Role(actions=("*",), not_actions=("Microsoft.Authorization/*/write",)),
    "Owner": Role(actions=("*",)),
}


@functools.cache  # asked with every request, about the few actions there are
def _matches(patterns: tuple[str, ...], action: str) -> bool:
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), action, re.IGNORECASE) for pattern in patterns
    )
