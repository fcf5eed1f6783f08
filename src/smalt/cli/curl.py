"""Lines to paste into a shell."""

import json
import shlex

HELLO = [{"role": "user", "content": "Hello"}]


def curl(
    url: str,
    header: str,
    body: object,
    *,
    variable: str | None = None,
    ca_file: str | None = None,
    unix_socket: str | None = None,
) -> str:
    """A request with curl. `variable`: the environment variable whose value the shell adds to `header`.

    `ca_file`: what it has to trust; not every curl heeds SSL_CERT_FILE. `unix_socket`: where to connect to.
    """
    shown = f'"{header}${variable}"' if variable else shlex.quote(header)
    trust = ["--cacert", shlex.quote(ca_file)] if ca_file else []
    way = ["--unix-socket", shlex.quote(unix_socket)] if unix_socket else []
    words = [
        "curl",
        "-s",
        *way,
        *trust,
        shlex.quote(url),
        "-H",
        shown,
        "-H",
        "'content-type: application/json'",
    ]
    return " ".join([*words, "-d", shlex.quote(json.dumps(body))])
