"""Reads who granted access: checks an id_token (OpenID Connect Core 3.1.3.7) or asks userinfo (5.3).
Whether that person is the expected one is decided by `sync`."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from google.auth import jwt

from core.errors import Misconfigured, NeedsRelink, Transient
from core.provider import OAuthEndpoints
from core.secret import Secret
from providers.protocols.http import Reply, exchange

SKEW = 10  # seconds; google-auth allows none by default, and clocks differ

_decode: Callable[..., Any] = jwt.decode


@dataclass(frozen=True, slots=True)
class Identity:
    """A person at a provider. `subject` never changes and is the key; `email` may change. `hd`: Workspace domain."""

    subject: str
    email: str = ""
    email_verified: bool = False
    hd: str = ""


def read_id_token(
    http: httpx2.Client,
    endpoints: OAuthEndpoints,
    client_id: str,
    id_token: str,
    *,
    nonce: str,
    now: Callable[[], float] = time.time,
) -> Identity:
    """The person an id_token names. Raises Misconfigured, NeedsRelink (wrong nonce) or Transient (no certificates).

    Without `certs_url` the signature is not checked, which OpenID Connect allows for a token that came over TLS
    from the token endpoint itself (3.1.3.7, 6).
    """
    claims = _verified(http, endpoints, client_id, id_token, now)
    if endpoints.issuers and claims.get("iss") not in endpoints.issuers:
        raise _wrong("it comes from another issuer")
    audience = claims.get("aud")
    if client_id not in (audience if isinstance(audience, list) else [audience]):
        raise _wrong("it was issued for another application")
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != client_id:
        raise _wrong("it was issued for another application")
    if nonce and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise NeedsRelink("this sign-in belongs to another attempt", advice="Start linking again.")
    return _identity(claims)


def read_userinfo(http: httpx2.Client, endpoints: OAuthEndpoints, access_token: Secret) -> Identity:
    """The person behind an access token. Raises Misconfigured (no such address), NeedsRelink or Transient."""
    if not endpoints.userinfo_url:
        raise Misconfigured(
            "the provider does not tell who signed in",
            advice="Give the provider identity scopes with `openid`, or a userinfo_url.",
        )
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    reply = exchange(http, "GET", endpoints.userinfo_url, headers=headers)
    if reply.status in (401, 403):
        raise NeedsRelink("the provider does not tell who signed in", advice="Link again and allow the mail address.")
    return _identity(_object(reply, "the userinfo address"))


def _verified(
    http: httpx2.Client, endpoints: OAuthEndpoints, client_id: str, id_token: str, now: Callable[[], float]
) -> Mapping[str, Any]:
    try:
        if endpoints.certs_url:
            certs = _object(exchange(http, "GET", endpoints.certs_url), "the certificate address")
            return dict(_decode(id_token, certs=certs, audience=client_id, clock_skew_in_seconds=SKEW))
        claims = dict(_decode(id_token, verify=False))
    except (ValueError, TypeError) as error:
        # google-auth's InvalidValue and MalformedError are ValueErrors. Their text may quote the token.
        text = str(error)
        if "used too early" in text or "expired" in text:
            raise Misconfigured(
                "the proof of identity is not valid at this time",
                advice="Set the clock of this machine; it must be right to a few seconds.",
            ) from None
        raise _wrong("its audience is another" if "audience" in text else "its signature is wrong") from None
    expires = claims.get("exp")
    if not isinstance(expires, int | float) or expires + SKEW < now():
        raise _wrong("it has expired")
    return claims


def _object(reply: Reply, what: str) -> Mapping[str, Any]:
    try:
        body = json.loads(reply.body) if reply.status == 200 else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Transient(f"{what} of the provider gave no usable answer (HTTP {reply.status})")
    return body


def _identity(claims: Mapping[str, Any]) -> Identity:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise _wrong("it names nobody")
    email = claims.get("email")
    hd = claims.get("hd")
    return Identity(
        subject=subject,
        email=email if isinstance(email, str) and email.isprintable() else "",
        email_verified=claims.get("email_verified") in (True, "true"),
        hd=hd if isinstance(hd, str) and hd.isprintable() else "",
    )


def _wrong(why: str) -> Misconfigured:
    return Misconfigured(
        f"the provider's proof of identity is not accepted: {why}",
        advice="Check the OAuth addresses and the client id of this provider.",
    )
