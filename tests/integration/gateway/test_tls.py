"""https, and a unix socket in place of a port."""

import datetime as dt
import os
import signal
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from tests.contract import world
from tests.contract.gateways import GatewayProcess, eventually, gateway_process
from tests.integration.cli.commands import gone, smalt
from tests.integration.gateway.raw import Caller, body, request

from smalt.emulator.testing import Handle

pytestmark = pytest.mark.security


def write_pair(folder: Path, name: str, encryption: KeySerializationEncryption | None = None) -> None:
    """A certificate that vouches for itself and for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))


TLS = {"certificate_file": "cert.pem", "key_file": "key.pem"}


@pytest.fixture
def gateway(azure: Handle, tmp_path: Path) -> Iterator[GatewayProcess]:
    write_pair(tmp_path, "first")
    with gateway_process(tmp_path, world.written(azure), tls=TLS) as process:
        yield process


def connect(gateway: GatewayProcess, ca_file: Path) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=ca_file)
    port = int(gateway.url.rpartition(":")[2])
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(sock, server_hostname="localhost")


def shown(sock: ssl.SSLSocket) -> str:
    certificate = sock.getpeercert()
    assert certificate
    subject = certificate["subject"]
    return str(subject[0][0][1])


def test_https(gateway: GatewayProcess, tmp_path: Path) -> None:
    """Whole answers and streams, with TLS 1.2 at least."""
    assert gateway.url.startswith("https://127.0.0.1:")
    with connect(gateway, tmp_path / "cert.pem") as sock:
        assert (sock.version() or "") >= "TLSv1.2"
        caller = Caller(sock)
        caller.send(request())
        assert caller.answer().status == 200
        caller.send(request(content=body(stream=True)))
        assert b"data: [DONE]" in caller.answer().body


def test_a_new_certificate_needs_no_restart(gateway: GatewayProcess, tmp_path: Path) -> None:
    """It is shown as soon as its files change; connections that are open go on."""
    old = connect(gateway, tmp_path / "cert.pem")
    assert shown(old) == "first"
    write_pair(tmp_path, "second")

    def is_second() -> bool:
        try:
            with connect(gateway, tmp_path / "cert.pem") as sock:
                return shown(sock) == "second"
        except ssl.SSLError:
            return False

    eventually(is_second, within_s=10)
    with old:
        caller = Caller(old)
        caller.send(request())
        assert caller.answer().status == 200


def test_a_certificate_that_cannot_be_used_changes_nothing(gateway: GatewayProcess, tmp_path: Path) -> None:
    """The one before is shown on, and health says what is wrong."""
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes((tmp_path / "cert.pem").read_bytes())
    (tmp_path / "cert.pem").write_text("nothing")
    client = httpx2.Client(verify=ssl.create_default_context(cafile=trusted), trust_env=False)
    url = gateway.url.replace("127.0.0.1", "localhost")

    def problems() -> list[str]:
        found: list[str] = client.get(f"{url}/health").json()["configuration"]["problems"]
        return found

    with client:
        eventually(lambda: problems() != [], within_s=10)
        assert "gateway.tls: the certificate and its key cannot be used" in problems()[0]
    with connect(gateway, trusted) as sock:
        assert shown(sock) == "first"


def test_plain_http_at_a_port_with_tls(gateway: GatewayProcess, tmp_path: Path) -> None:
    """No answer, no traceback, and the next one is served."""
    port = int(gateway.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        caller = Caller(sock)
        caller.send(request())
        assert caller.closed() or b"HTTP" not in caller._read
    with connect(gateway, tmp_path / "cert.pem") as secured:
        caller = Caller(secured)
        caller.send(request())
        assert caller.answer().status == 200
    assert "Traceback" not in gateway.said


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (lambda folder: (folder / "key.pem").unlink(), "gateway.tls.key_file: no such file"),
        (lambda folder: (folder / "cert.pem").write_text("-"), "gateway.tls: the certificate and its key"),
        (
            lambda folder: (folder / "key.pem").write_bytes(_other_key(folder)),
            "cannot be used: key values mismatch",
        ),
        (
            lambda folder: write_pair(folder, "locked", BestAvailableEncryption(b"pass")),
            "the key not encrypted",
        ),
    ],
    ids=["no key", "no certificate", "of another pair", "encrypted"],
)
def test_smalt_check_tries_the_pair(break_it: object, problem: str, tmp_path: Path) -> None:
    """Before a gateway is started with it; it never asks for a password."""
    write_pair(tmp_path, "any")
    (tmp_path / "smalt.yaml").write_text(
        "resources: {e: {endpoint: 'https://c.openai.azure.com', api_keys: ['${K:-k}'], "
        "deployments: {d: {model: gpt-4o}}}}\n"
        "gateway: {tls: {certificate_file: cert.pem, key_file: key.pem}}\n"
    )
    smalt("check", cwd=tmp_path)
    assert callable(break_it)
    break_it(tmp_path)
    assert problem in smalt("check", cwd=tmp_path, code=1)


def _other_key(folder: Path) -> bytes:
    (folder / "other").mkdir()
    write_pair(folder / "other", "other")
    return (folder / "other" / "key.pem").read_bytes()


def test_a_unix_socket(azure: Handle, tmp_path: Path) -> None:
    """Served like a port; nobody else may connect unless the umask lets them; gone at the end."""
    path = tmp_path / "smalt.sock"
    with gateway_process(tmp_path, world.written(azure), listen=f"unix:{path}") as process:
        assert process.url == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) & 0o002 == 0
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            caller = Caller(sock)
            caller.send(request(), request(key="gw_wrong"))
            assert [caller.answer().status for _ in range(2)] == [200, 401]
        os.kill(process.pid, signal.SIGTERM)
        assert gone(process.pid)
        assert not path.exists()
