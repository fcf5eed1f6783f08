"""Which resource keeps which response, as far as this process has seen: what builds on one goes there."""

import threading
from collections import OrderedDict
from typing import Final

MOST: Final = 4_096
LONGEST_ID: Final = 256  # characters; what upstreams call a response has some sixty


class Origins:
    """The `most` responses made last. Safe for threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._resources: OrderedDict[str, str] = OrderedDict()

    def note(self, response_id: str, resource: str) -> None:
        if len(response_id) > LONGEST_ID:
            return
        with self._lock:
            self._resources[response_id] = resource
            self._resources.move_to_end(response_id)
            if len(self._resources) > self._most:
                self._resources.popitem(last=False)

    def of(self, response_id: str) -> str | None:
        """None if it is not known, or no more."""
        with self._lock:
            return self._resources.get(response_id)
