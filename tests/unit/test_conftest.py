"""The promises of conftest.py."""

import os
import socket

import pytest


def test_the_metadata_address_is_never_connected_to() -> None:
    """A connection there fails the test, whatever catches exceptions on the way."""
    with socket.socket() as sock, pytest.raises(pytest.fail.Exception, match=r"169\.254\.169\.254"):
        sock.connect(("169.254.169.254", 80))


def test_the_machine_sets_nothing_of_ours() -> None:
    """What a developer has exported does not change a test."""
    assert not [name for name in os.environ if name.startswith(("AZURE_", "OPENAI_", "SMALT_"))]
