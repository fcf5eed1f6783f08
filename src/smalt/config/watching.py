"""Watches files and reloads when one has changed."""

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

LOOK_S: Final = 1.0

logger = logging.getLogger("smalt.config")


class Watch:
    """A thread that looks once a second. What `reload` raises is logged."""

    def __init__(self, reload: Callable[[], None]) -> None:
        self._reload = reload
        self._seen: dict[Path, tuple[int, int] | None] = {}
        self._wake = threading.Event()
        self._asked = self._over = False
        self._thread = threading.Thread(target=self._look, name="smalt-watch", daemon=True)
        self._thread.start()

    def add(self, files: Iterable[str | Path]) -> None:
        self._seen |= {Path(file).absolute(): _state(Path(file)) for file in files}

    def now(self) -> None:
        """Reload, whatever has changed."""
        self._asked = True
        self._wake.set()

    def end(self) -> None:
        self._over = True
        self._wake.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self._wake.wait(LOOK_S)
            self._wake.clear()
            if self._over:
                return
            seen = {file: _state(file) for file in list(self._seen)}
            if seen == self._seen and not self._asked:
                continue
            self._seen, self._asked = seen, False
            try:
                self._reload()
            except Exception as error:  # noqa: BLE001  whatever it is, the next change may mend it
                logger.warning("the changed configuration cannot be used; the old one stays: %s", error)
            else:
                logger.info("the changed configuration is in force")


def _state(file: Path) -> tuple[int, int] | None:
    """None while there is no such file."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
