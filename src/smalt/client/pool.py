"""A pool of clients, for programs that want one."""

import threading

from smalt.client.azure_settings import SettingsLike
from smalt.client.functions import get_azure_openai_client
from smalt.client.sdk import AzureOpenAI


class AzureOpenAIClientPool:
    """Up to `pool_size` clients, made when they are first asked for and then given in turn.

    All are over one fleet, which spreads their calls over its upstreams and shares limits and cooldowns
    among them. `settings`: as for `get_azure_openai_client`. Safe for threads. Raises ValueError for a size
    below 1.
    """

    def __init__(self, pool_size: int = 5, settings: SettingsLike | None = None) -> None:
        if pool_size < 1:
            raise ValueError(f"pool_size must be 1 or more, not {pool_size}")
        self.pool_size = pool_size
        self.clients: list[AzureOpenAI] = []
        self.current_index = 0
        self._settings = settings
        self._lock = threading.Lock()

    def get_client(self) -> AzureOpenAI | None:
        """The next client; None, and a warning, while Azure OpenAI is not configured."""
        with self._lock:
            if len(self.clients) < self.pool_size:
                made = self.clients[0].copy() if self.clients else get_azure_openai_client(self._settings)
                if made is None:
                    return None
                self.clients.append(made)
            client = self.clients[self.current_index]
            self.current_index = (self.current_index + 1) % self.pool_size
            return client
