"""An offline Azure OpenAI: refuses what Azure refuses, bills what Azure bills, and listens on loopback only.

`asyncio.Runner(loop_factory=event_loop).run(serve(default_fleet(8100), seed=0, ready=...))` runs one in the
foreground; `smalt.emulator.testing.running` runs one in the background of a test.

Names are resolved when they are first used, so that a simulation can have `smalt.emulator.quota` alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smalt.emulator.fleet import Fleet, default_fleet, load_fleet
    from smalt.emulator.running import Emulator, serve
    from smalt.emulator.server import event_loop

__all__ = ["Emulator", "Fleet", "default_fleet", "event_loop", "load_fleet", "serve"]

_HOMES = {"Emulator": "running", "event_loop": "server", "serve": "running"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'smalt.emulator' has no attribute {name!r}")
    return getattr(import_module(f"smalt.emulator.{_HOMES.get(name, 'fleet')}"), name)
