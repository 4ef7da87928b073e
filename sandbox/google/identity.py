"""PRETENDS Google's signatures: one RSA key, its certificate in both published forms, and signed id tokens.
Which claims are true of whom is given by the caller."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sandbox.google.directory import User
from sandbox.google.records import AccessToken
from sandbox.google.scopes import EMAIL, PROFILE

ISSUER = "https://accounts.google.com"
_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key and its self-signed certificate; `kid` names it in token headers and key sets."""

    kid: str
    private: rsa.RSAPrivateKey
    certificate_pem: str

    def jwk_set(self) -> dict[str, Any]:
        """The key set of `/oauth2/v3/certs` (RFC 7517)."""
        numbers = self.private.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid}
        return {"keys": [{**key, "n": _b64(_unsigned(numbers.n)), "e": _b64(_unsigned(numbers.e))}]}

    def certificates(self) -> dict[str, str]:
        """The PEM certificates by key id of `/oauth2/v1/certs`, the form google-auth reads."""
        return {self.kid: self.certificate_pem}

    def sign(self, claims: dict[str, Any]) -> str:
        """A compact RS256 JSON web token (RFC 7515, 7518 section 3.3)."""
        header = {"alg": "RS256", "kid": self.kid, "typ": "JWT"}
        signed = ".".join(_b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
        signature = self.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_b64(signature)}"


def new_signing_key(now: datetime) -> SigningKey:
    """Draw a 2048 bit key with a certificate valid for ten years around `now`; takes about 0.1 s."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox.google.double")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(private, hashes.SHA256())
    )
    kid = hashlib.sha1(certificate.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest()
    return SigningKey(kid, private, certificate.public_bytes(Encoding.PEM).decode())


def id_claims(user: User, access: AccessToken, nonce: str | None, now: datetime) -> dict[str, Any]:
    """The claims of an id token issued together with `access` (OpenID Connect Core, 2 and 3.1.3.6)."""
    half = hashlib.sha256(access.token.encode()).digest()[:16]
    client_id = access.client_id
    issued = int(now.astimezone(UTC).timestamp())
    claims: dict[str, Any] = {"iss": ISSUER, "azp": client_id, "aud": client_id, "at_hash": _b64(half)}
    claims |= profile_claims(user, access.scopes)
    if nonce is not None:
        claims["nonce"] = nonce
    return claims | {"iat": issued, "exp": issued + int(_LIFETIME.total_seconds())}


def profile_claims(user: User, scopes: frozenset[str]) -> dict[str, Any]:
    """What a token with these scopes may know of the user: `sub` always, address and name if granted."""
    claims: dict[str, Any] = {"sub": user.sub}
    if user.hd is not None:
        claims["hd"] = user.hd
    if EMAIL in scopes:
        claims |= {"email": user.email, "email_verified": user.email_verified}
    if PROFILE in scopes:
        given, _, family = user.name.partition(" ")
        claims |= {"name": user.name, "given_name": given, "family_name": family}
    return claims


def verifier_challenge(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636, 4.2)."""
    return _b64(hashlib.sha256(verifier.encode()).digest())


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unsigned(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
