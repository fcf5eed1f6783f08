"""TLS with a certificate authority of our own, which callers are told to trust."""

import contextlib
import ipaddress
import os
import shutil
import ssl
import tempfile
import weakref
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from smalt.emulator.identity.spec import Tls
from smalt.errors import ConfigurationError, MissingExtra

try:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as error:
    raise MissingExtra("the emulator", "emulator") from error

HOSTS = ("localhost", "127.0.0.1", "::1")
CA_LIFETIME = timedelta(days=3_650)
LIFETIME = timedelta(days=365)
_CLOCKS_DIFFER = timedelta(days=1)


class TlsEnd:
    """`context` is the servers', `ca_file` what clients must trust.

    The CA's private key is written down only if a folder was named; then it is readable by its owner alone.
    Whoever has it can play any host to those who trust the CA: keep that trust to tests.
    """

    def __init__(self, spec: Tls) -> None:
        folder = spec.folder or Path(tempfile.mkdtemp(prefix="smalt-emulator-"))
        if spec.folder is None:
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.ca_file = folder / "ca.pem"
        try:
            key, certificate = _authority(folder, keep=spec.folder is not None)
            self.context = _context(key, certificate, (*HOSTS, *spec.hosts))
        except OSError as error:
            raise ConfigurationError(f"tls.folder: {folder} cannot be used: {error.strerror}") from error


def _authority(folder: Path, *, keep: bool) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The CA of the folder, made if there is none."""
    certificate_file, key_file = folder / "ca.pem", folder / "ca.key"
    if key_file.exists() and certificate_file.exists():
        try:
            key = load_pem_private_key(key_file.read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"tls.folder: {folder} has no CA that can be read; empty it") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigurationError(f"tls.folder: ca.key and ca.pem in {folder} do not fit; remove both")
        return key, certificate
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smalt emulator, for tests only")])
    certificate = (
        _builder(name, name, key.public_key(), key.public_key(), CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    if keep:
        _write_secret(key_file, _pem(key))
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return key, certificate


def _context(
    ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, hosts: Iterable[str]
) -> ssl.SSLContext:
    """A server context with a certificate, made now, for `hosts`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smalt emulator")])
    certificate = (
        _builder(name, ca.subject, key.public_key(), ca_key.public_key(), LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .sign(ca_key, SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    with tempfile.TemporaryDirectory() as folder:  # the standard library reads keys from files only
        file = Path(folder) / "server.pem"
        _write_secret(file, _pem(key) + certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(file)
    return context


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    """With the key identifiers that strict verification (Python 3.13's default) asks for."""
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_secret(file: Path, data: bytes) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
        opened.write(data)
