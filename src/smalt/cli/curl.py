"""Lines to paste into a shell."""

import json
import shlex

HELLO = [{"role": "user", "content": "Hello"}]


def curl(url: str, header: str, body: object, *, variable: str | None = None) -> str:
    """A request with curl. `variable`: the environment variable whose value the shell adds to `header`."""
    shown = f'"{header}${variable}"' if variable else shlex.quote(header)
    words = ["curl", "-s", shlex.quote(url), "-H", shown, "-H", "'content-type: application/json'"]
    return " ".join([*words, "-d", shlex.quote(json.dumps(body))])
