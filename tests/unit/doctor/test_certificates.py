"""Why a certificate was refused, by OpenSSL's number."""

import ssl

import pytest

from smalt.doctor.certificates import of_certificate


@pytest.mark.parametrize(
    ("number", "host", "issuer", "code"),
    [
        (62, "contoso.openai.azure.com", "", "other_name"),
        (64, "10.0.0.4", "", "other_name"),
        (10, "contoso.openai.azure.com", "", "certificate_expired"),
        (9, "contoso.openai.azure.com", "", "certificate_expired"),
        (20, "contoso.openai.azure.com", "Contoso Proxy CA", "intercepted"),
        (19, "contoso.openai.azure.com", "", "intercepted"),
        (20, "contoso.openai.azure.com", "Microsoft Corporation", "unknown_ca"),
        (20, "litellm.internal", "Contoso Root", "unknown_ca"),
    ],
)
def test_each_number_has_its_cause(number: int, host: str, issuer: str, code: str) -> None:
    """Azure's own certificates are signed by known authorities: another one stands between."""
    error = ssl.SSLCertVerificationError("no")
    error.verify_code = number
    told = of_certificate(error, host, issuer)
    assert (told.area, told.code) == ("tls", code)
    assert told.mend
    assert issuer in told.cause or code in {"other_name", "certificate_expired"}
