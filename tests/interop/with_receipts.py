"""Runs a script and writes the receipts of all its calls: `with_receipts.py SCRIPT FILE`.

The script knows nothing of it, and its framework hides every response.
"""

import runpy
import sys
from pathlib import Path

import msgspec

import smalt

script, file = map(Path, sys.argv[1:])
sys.path[0] = str(script.parent)
with smalt.receipts() as collected:
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        file.write_bytes(msgspec.json.encode(collected))
