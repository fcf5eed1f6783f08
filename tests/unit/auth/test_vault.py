"""Which vault is asked for which secret; how it is asked is tested with a real one."""

import pytest

from smalt.auth.sources import Unreadable
from smalt.auth.vault import Vaults, VaultSecret
from smalt.config.identity import Identity
from smalt.config.network import Network

VAULT = "https://contoso.vault.azure.net"


def test_one_client_for_each_vault_and_identity() -> None:
    """It keeps its token; one that failed is made anew."""
    vaults, cli = Vaults(Network()), Identity(kind="cli")
    client = vaults.client(VAULT, cli)
    assert client.vault_url == VAULT
    assert vaults.client(VAULT, cli) is client
    assert vaults.client(VAULT, Identity()) is not client
    vaults.forget(VAULT, cli)
    assert vaults.client(VAULT, cli) is not client


@pytest.mark.parametrize(
    "url",
    ["https://contoso.vaultazure.net", "https://vault.azure.net.evil.example", "https://vault.azure.net"],
)
def test_no_token_goes_to_a_name_that_looks_like_a_vault(url: str) -> None:
    """It would be good for the vaults of its owner."""
    with pytest.raises(ValueError, match="no Key Vault is there"):
        Vaults(Network()).client(url, Identity(kind="cli"))


def test_an_identity_that_lacks_something_is_told() -> None:
    """With the place of the secret."""
    secret = VaultSecret(f"{VAULT}/secrets/key", Identity(kind="workload_identity"), Vaults(Network()), 60)
    with pytest.raises(
        Unreadable, match=r"contoso\.vault\.azure\.net/secrets/key cannot be read: .*token_file"
    ):
        secret.read(afresh=False)
