"""JSON web tokens signed with RSA: no more of RFC 7515 and 7519 than Entra ID uses."""

import base64
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from smalt.errors import MissingExtra

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
except ImportError as error:
    raise MissingExtra("the emulator", "emulator") from error

PublicKey = rsa.RSAPublicKey

_PADDINGS: Mapping[str, padding.AsymmetricPadding] = {
    "RS256": padding.PKCS1v15(),
    "PS256": padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH),
}


class BadToken(Exception):  # part of the conversation: each service answers it in its own words
    """The text is no token, or its signature does not fit."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as read; nothing in it may be believed before `verify`."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @classmethod
    def read(cls, text: str) -> "Token":
        """Raises `BadToken`."""
        try:
            head, body, signature = text.encode("ascii").split(b".")
            header, claims = (
                msgspec.json.decode(_unpack(part), type=dict[str, Any]) for part in (head, body)
            )
            return cls(header, claims, head + b"." + body, _unpack(signature))
        except ValueError as error:  # the decoders' errors are ValueErrors too
            raise BadToken from error

    def verify(self, key: PublicKey) -> None:
        """Raises `BadToken`, also for any algorithm but RS256 and PS256 (`none` among them)."""
        chosen = _PADDINGS.get(str(self.header.get("alg")))
        if chosen is None:
            raise BadToken
        try:
            key.verify(self.signature, self.signed, chosen, SHA256())
        except InvalidSignature as error:
            raise BadToken from error


class Signer:
    """An RSA key, made when it is first needed: making one takes some 50 ms."""

    @functools.cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65_537, 2_048)

    @functools.cached_property
    def public_key(self) -> PublicKey:
        return self._key.public_key()

    @functools.cached_property
    def jwk(self) -> dict[str, str]:
        numbers = self.public_key.public_numbers()
        n, e = (_pack(value.to_bytes((value.bit_length() + 7) // 8)) for value in (numbers.n, numbers.e))
        key_id = _pack(hashlib.sha256(n.encode()).digest()[:20])
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": key_id, "n": n, "e": e}

    def sign(self, claims: Mapping[str, Any]) -> str:
        header = {"typ": "JWT", "alg": "RS256", "kid": self.jwk["kid"]}
        signed = ".".join(_pack(msgspec.json.encode(part)) for part in (header, claims))
        signature = self._key.sign(signed.encode(), _PADDINGS["RS256"], SHA256())
        return f"{signed}.{_pack(signature)}"


def certificate_key(pem: bytes) -> PublicKey:
    """The key in a certificate. Raises `ValueError` if it is none in PEM, or its key is not of RSA."""
    key = x509.load_pem_x509_certificate(pem).public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("Entra ID takes RSA keys only")  # noqa: TRY004  # one error for all that is unfit
    return key


def _pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpack(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
