"""Who is who in the offline Azure: Entra ID, managed identities, Key Vault, ARM, and TLS."""
