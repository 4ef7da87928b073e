"""PRETENDS what Google keeps per authorization: grants, codes, refresh and access tokens, as plain values.
How they come to be and die is decided by `store`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user ever granted to a client, and whether a refresh token was handed out for it already."""

    scopes: frozenset[str] = frozenset()
    refresh_issued: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code with everything it is bound to (RFC 6749, 4.1.2; RFC 7636, 4.4)."""

    code: str
    client_id: str
    sub: str
    redirect_uri: str
    scopes: frozenset[str]
    challenge: str | None
    nonce: str | None
    offline: bool
    fresh_consent: bool  # prompt=consent: a new refresh token in any case
    access_until: datetime | None  # time-based access chosen by the user
    expires_at: datetime
    used: bool = False


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token; `dead` is the description with which `invalid_grant` is answered from now on."""

    token: str
    client_id: str
    sub: str
    scopes: frozenset[str]
    used_at: datetime
    expires_at: datetime | None
    dead: str | None = None


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token; `dead_at` is when a revocation takes effect."""

    token: str
    client_id: str
    sub: str
    scopes: frozenset[str]
    expires_at: datetime
    dead_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """What one call of the token endpoint gives out; `refresh` only if the client is to see it."""

    access: AccessToken
    refresh: RefreshToken | None
    refresh_until: datetime | None
    nonce: str | None = None


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """A living access token as a resource server sees it."""

    email: str
    sub: str
    client_id: str
    scopes: frozenset[str]
    expires_at: datetime


@dataclass(slots=True)
class Knobs:
    """Behaviour that differs between Google accounts and days; tests turn these at any time.

    `revocation_lag` is how many seconds access tokens outlive their revocation. With `rotate_refresh_tokens`
    every refresh gives a new refresh token and kills the old one, which Google announces but does not do.
    """

    rotate_refresh_tokens: bool = False
    revocation_lag: float = 0.0
    access_token_lifetime: int = 3599
    refresh_token_limit: int = 100
