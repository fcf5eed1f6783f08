"""TLS: who is trusted, under which names, and what stays as it is without."""

import asyncio
import http.client
import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ruamel.yaml import YAML

from smalt.emulator import Emulator, default_fleet
from smalt.emulator.identity.spec import Tls
from smalt.emulator.testing import Handle, running

HOST = "contoso-east.openai.azure.com"


@pytest.fixture(scope="module")
def secured() -> Iterator[Handle]:
    with running(replace(default_fleet(0), tls=Tls(hosts=(HOST,)))) as handle:
        yield handle


def context(handle: Handle) -> ssl.SSLContext:
    """As strict as Python 3.13 is by default."""
    made = ssl.create_default_context(cafile=handle.ca_file)
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    return made


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", HOST])
def test_the_certificate_bears_the_names(secured: Handle, name: str) -> None:
    """Loopback by name and number, and every host that was asked for."""
    port = urlsplit(secured.url("east")).port
    with (
        socket.create_connection(("127.0.0.1", port or 0), timeout=10) as plain,
        context(secured).wrap_socket(plain, server_hostname=name) as sock,
    ):
        assert sock.version() in {"TLSv1.2", "TLSv1.3"}


def test_other_names_are_not_served(secured: Handle) -> None:
    """The certificate is no master key."""
    port = urlsplit(secured.url("east")).port
    with (
        socket.create_connection(("127.0.0.1", port or 0), timeout=10) as plain,
        pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"),
    ):
        context(secured).wrap_socket(plain, server_hostname="login.microsoftonline.com")


def test_who_does_not_trust_the_authority_gets_nothing(secured: Handle) -> None:
    """Without the announced file the handshake fails; the emulator goes on serving others."""
    address = urlsplit(secured.url("east")).netloc
    with (
        closing(http.client.HTTPSConnection(address, timeout=10)) as connection,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        connection.request("GET", "/")
    with closing(http.client.HTTPSConnection(address, timeout=10, context=context(secured))) as connection:
        connection.request("GET", "/openai/v1/models", headers={"api-key": secured.key("east")})
        assert connection.getresponse().status == 200


def test_the_file_is_announced(secured: Handle) -> None:
    """State and configuration both name it; the CA's private key is nowhere."""
    assert secured.ca_file
    assert secured.state()["ca_file"] == str(secured.ca_file)
    assert f"export SSL_CERT_FILE={secured.ca_file}\n" in secured.config_text
    told = YAML(typ="safe").load(secured.config_text)
    assert told["resources"]["east"]["endpoint"].startswith("https://127.0.0.1:")
    assert [file.name for file in secured.ca_file.parent.iterdir()] == ["ca.pem"]


def test_a_folder_keeps_the_authority(tmp_path: Path) -> None:
    """The next start is trusted by those who trust the first; nobody else can read the key."""
    fleet = replace(default_fleet(0), tls=Tls(folder=tmp_path / "ca"))
    with running(fleet) as first:
        trusted = context(first)
        assert stat.S_IMODE((tmp_path / "ca" / "ca.key").stat().st_mode) == 0o600
    with running(fleet) as second:
        address = urlsplit(second.url("sweden")).netloc
        with closing(http.client.HTTPSConnection(address, timeout=10, context=trusted)) as connection:
            connection.request("GET", "/")
            assert connection.getresponse().status == 401


def test_a_resource_comes_back_over_tls(secured: Handle) -> None:
    """Down and up again it still speaks TLS."""
    secured.set("japan", "down")
    secured.set("japan", "up")
    address = urlsplit(secured.url("japan")).netloc
    with closing(http.client.HTTPSConnection(address, timeout=10, context=context(secured))) as connection:
        connection.request("GET", "/")
        assert connection.getresponse().status == 401


def test_tls_on_the_standard_loop() -> None:
    """Nothing depends on uvloop."""

    async def live() -> bytes:
        emulator = Emulator(replace(default_fleet(0), tls=Tls()))
        await emulator.start()
        trusted = ssl.create_default_context(cafile=emulator.ca_file)
        port = urlsplit(emulator.url("east")).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        await emulator.stop()
        return answer

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        assert runner.run(live()).startswith(b"HTTP/1.1 401 ")
