"""An offline Azure OpenAI: refuses what Azure refuses, bills what Azure bills, and listens on loopback only.

`asyncio.Runner(loop_factory=event_loop).run(serve(default_fleet(8100), seed=0, ready=...))` runs one in the
foreground; `smalt.emulator.testing.running` runs one in the background of a test.
"""

from smalt.emulator.fleet import Fleet, default_fleet, load_fleet
from smalt.emulator.running import Emulator, serve
from smalt.emulator.server import event_loop

__all__ = ["Emulator", "Fleet", "default_fleet", "event_loop", "load_fleet", "serve"]
