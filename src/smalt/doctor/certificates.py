"""Why a certificate was not accepted, and who signed it."""

import contextlib
import ssl
from collections.abc import Callable

from smalt.config.endpoint import is_azures
from smalt.doctor.findings import Diagnosis

# X509_V_ERR_… of OpenSSL (x509_vfy.h)
_OF_AZURE = ("Microsoft", "DigiCert")
_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME = (62, 64)  # of a host, of an address


def of_certificate(error: ssl.SSLCertVerificationError, host: str, issuer: str) -> Diagnosis:
    """`issuer`: empty if it is not known."""
    who = issuer or "an issuer"
    if error.verify_code in _OTHER_NAME:
        cause = f"the certificate is for other names than {host}: the endpoint leads to another server"
        return Diagnosis("tls", "other_name", cause, ("use the endpoint as Azure shows it, without aliases",))
    if error.verify_code in (_EXPIRED, _NOT_YET):
        cause = "the certificate is not valid now: the server's is old, or the clock of this machine is wrong"
        return Diagnosis("tls", "certificate_expired", cause, ("date --utc   # is it right?",))
    trust = (
        "get the certificate of that issuer from those who run it, as a PEM file",
        "export SSL_CERT_FILE=/path/to/it.pem   # together with the system's own, if other hosts are asked",
    )
    if is_azures(host) and not issuer.startswith(_OF_AZURE):
        cause = (
            f"Azure's certificates are not signed by {who}: something on the way opens the connection, as "
        )
        return Diagnosis("tls", "intercepted", f"{cause}corporate proxies do", trust)
    return Diagnosis("tls", "unknown_ca", f"it is signed by {who}, which this machine does not trust", trust)


def unverified() -> ssl.SSLContext:
    """To look at a certificate, or whether there is one; for nothing that is sent."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def issuer_of(connect: Callable[[ssl.SSLContext], ssl.SSLSocket]) -> str:
    """Who signed what is shown there, trusted or not; empty if that cannot be told. Nothing is sent."""
    with contextlib.suppress(OSError, ImportError, ValueError):
        from cryptography import x509  # noqa: PLC0415  # an optional part

        with connect(unverified()) as sock:
            shown = sock.getpeercert(binary_form=True)
        names = x509.load_der_x509_certificate(shown or b"").issuer
        for oid in (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME):
            for attribute in names.get_attributes_for_oid(oid):
                return str(attribute.value)
    return ""
