"""The tests beside this file need semantic-kernel: `make interop` runs them in its environment."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("semantic_kernel") else ["test_*.py"]
