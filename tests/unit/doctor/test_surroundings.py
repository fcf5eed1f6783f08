"""What is seen of the machine."""

import socket

import pytest

from smalt.doctor.surroundings import addresses


@pytest.mark.parametrize("host", ["contoso..openai.azure.com", f"{'a' * 64}.openai.azure.com"])
def test_what_no_host_can_be_called_does_not_exist(host: str) -> None:
    """As any other name that leads nowhere, whatever Python raises for it; no server is asked."""
    with pytest.raises(socket.gaierror) as caught:
        addresses(host)
    assert caught.value.errno == socket.EAI_NONAME
