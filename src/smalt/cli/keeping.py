"""`smalt secrets`: secrets in the keyring of the operating system."""

import getpass
import json
import sys

from smalt.auth import keyring


def put(name: str) -> None:
    """The secret comes from standard input, or from a prompt that does not show it: never from an argument,
    which the shell's history and other processes could tell. Raises ConfigurationError if it cannot be kept.
    """
    secret = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline()
    place = keyring.put(name, secret.strip())
    print(f"'{name}' is kept by {place}; in smalt.yaml it is  keyring:{name}")


def remove(name: str) -> None:
    """Raises ConfigurationError if there is no such secret."""
    keyring.remove(name)
    print(f"'{name}' is removed")


def show_names(*, as_json: bool) -> None:
    """Raises ConfigurationError if there is no keyring."""
    names = keyring.names()
    if as_json:
        print(json.dumps({"secrets": names}))
    else:
        print("\n".join(names) or "no secret is kept here yet; put one: smalt secrets set NAME")
