import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from jwt import PyJWK, decode  # PyJWT, an independent reader; azure-identity brings it

from smalt.emulator.identity.jwt import BadToken, Signer, Token, certificate_key


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


def test_others_can_verify_what_is_signed(signer: Signer) -> None:
    """With nothing but the published key."""
    key = PyJWK(dict(signer.jwk))
    assert decode(signer.sign({"aud": "here", "n": 1}), key, ["RS256"], audience="here") == {
        "aud": "here",
        "n": 1,
    }


def test_what_is_signed_can_be_read_again(signer: Signer) -> None:
    """Header and claims come back; the key fits."""
    token = Token.read(signer.sign({"sub": "ü"}))
    token.verify(signer.public_key)
    assert (token.header["kid"], token.claims) == (signer.jwk["kid"], {"sub": "ü"})


def test_a_changed_token_is_refused(signer: Signer) -> None:
    """Other claims under the same signature are noticed."""
    head, body, signature = signer.sign({"sub": "me"}).split(".")
    other = signer.sign({"sub": "you"}).split(".")[1]
    assert other != body
    with pytest.raises(BadToken):
        Token.read(f"{head}.{other}.{signature}").verify(signer.public_key)


def test_another_key_is_refused(signer: Signer) -> None:
    """A token proves who signed it."""
    with pytest.raises(BadToken):
        Token.read(Signer().sign({})).verify(signer.public_key)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256", None])
def test_other_algorithms_are_refused(signer: Signer, algorithm: str | None) -> None:
    """Whatever the token says of itself, it is RSA or nothing."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": algorithm}).encode()).rstrip(b"=").decode()
    token = Token.read(".".join([head, *signer.sign({}).split(".")[1:]]))
    with pytest.raises(BadToken):
        token.verify(signer.public_key)


@pytest.mark.parametrize(
    "text", ["", "a.b", "a.b.c", "a.b.c.d", "é.b.c", "e30.e30.!", "W10.W10.", "e30.bnVsbA."]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    """Wrong parts, wrong characters, wrong JSON."""
    with pytest.raises(BadToken):
        Token.read(text)


def test_a_certificate_without_rsa_is_refused() -> None:
    """Entra ID takes RSA keys only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )
    with pytest.raises(ValueError, match="RSA keys only"):
        certificate_key(certificate)
