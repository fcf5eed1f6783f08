"""A pool of clients, for programs that want one."""

import threading

from smalt.client.azure_settings import SettingsLike
from smalt.client.functions import get_azure_openai_client
from smalt.client.sdk import AzureOpenAI


class AzureOpenAIClientPool:
    """Up to `pool_size` clients, made when they are first asked for and then given in turn.

    Each has connections of its own, and one that was closed is replaced. All are over one fleet, which
    spreads their calls over its upstreams and shares limits and cooldowns among them. `settings`: as for
    `get_azure_openai_client`. Safe for threads. Raises ValueError for a size below 1.
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
            turn = self.current_index
            if turn == len(self.clients) or self.clients[turn].is_closed():
                made = self._made()
                if made is None:
                    return None
                self.clients[turn : turn + 1] = [made]
            self.current_index = (turn + 1) % self.pool_size
            return self.clients[turn]

    def _made(self) -> AzureOpenAI | None:
        if self.clients:
            return AzureOpenAI(fleet=self.clients[0].fleet)
        return get_azure_openai_client(self._settings)
