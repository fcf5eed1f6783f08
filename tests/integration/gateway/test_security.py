"""What a caller of the gateway cannot do, and what is not kept of him. The rest of `pytest -m security`
is about redaction, rotation and origins."""

import socket

import pytest
from tests.contract.gateways import KEY, Stage
from tests.integration.gateway.raw import ask, request

from smalt.emulator.testing import Handle
from smalt.errors import InvalidGatewayKey
from smalt.gateway.principals import GatewayKeys, Principal

pytestmark = [pytest.mark.sdk, pytest.mark.security]


def test_req_3_14_a_caller_chooses_no_address(stage: Stage, azure: Handle) -> None:
    """Headers that other gateways take one from change nothing: the configured resource answers, with its own
    key, and nobody connects to the address. (X-Azure-Endpoint: test_brought.py)"""
    with socket.create_server(("127.0.0.1", 0)) as decoy:
        decoy.settimeout(0.1)
        address = f"http://127.0.0.1:{decoy.getsockname()[1]}"
        for name in ("X-Forwarded-Host", "Forwarded", "azure-endpoint", "azure-api-key"):
            answer = ask(stage.url, request(f"{name}: {address}", "x-forwarded-key: of-somebody-else"))
            assert answer.status == 200
        with pytest.raises(TimeoutError):
            decoy.accept()
    shown = [value for entry in azure.log() for name, value in entry["headers"] if name.lower() == "api-key"]
    assert len(shown) == 4
    assert "of-somebody-else" not in shown


def test_req_3_14_gateway_keys_are_kept_as_digests() -> None:
    """The process holds none in a form that could be used."""
    keys = GatewayKeys([(KEY, Principal("tests"))])
    assert KEY not in repr(vars(keys))
    assert KEY.encode() not in repr(vars(keys)).encode()
    assert keys.principal([(b"api-key", KEY.encode())]).alias == "tests"
    with pytest.raises(InvalidGatewayKey):
        keys.principal([(b"api-key", next(iter(keys._principals)))])
