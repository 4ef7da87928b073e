"""What a mail service is, as data: hosts, ports, security, login form, authentication, quirks.
Talking to it is left to `providers.protocols`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.secret import Secret
from core.types import Channel, Security


class AuthMethod(enum.StrEnum):
    """How an account signs in."""

    OAUTH2 = "oauth2"
    PASSWORD = "password"


class LoginFormat(enum.StrEnum):
    """What is sent as user name: the whole address, the part before @, or a name the user types."""

    ADDRESS = "address"
    MAILBOX = "mailbox"
    OWN = "own"


class SentCopy(enum.StrEnum):
    """Who files a copy of a sent message: the server, we by APPEND, or we after looking (RFC 9051 6.3.12)."""

    SERVER = "server"
    APPEND = "append"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a mail protocol is spoken."""

    host: str
    port: int
    security: Security


@dataclass(frozen=True, slots=True)
class OAuthEndpoints:
    """The addresses of an OAuth 2.0 authorization server and the scopes each channel needs (RFC 6749, RFC 8414).

    `identity_scopes` are always asked for. Without `optional_scopes` a channel lacks a feature and works all the same.
    `certs_url` serves a PEM map by key id for id_token checks, "" if none.
    """

    authorize_url: str
    token_url: str
    revoke_url: str = ""
    userinfo_url: str = ""
    certs_url: str = ""
    issuers: tuple[str, ...] = ()
    identity_scopes: tuple[str, ...] = ()
    channel_scopes: Mapping[Channel, tuple[str, ...]] = field(default_factory=dict)
    extra_params: Mapping[str, str] = field(default_factory=dict)
    optional_scopes: frozenset[str] = frozenset()

    def needed_scopes(self, channel: Channel) -> tuple[str, ...]:
        """The scopes a channel cannot work without."""
        return tuple(one for one in self.channel_scopes.get(channel, ()) if one not in self.optional_scopes)


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """The application registered at the provider. Desktop clients may have an empty secret (RFC 8252)."""

    client_id: str
    client_secret: Secret


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One row of the registry, built in or added by an administrator."""

    name: str
    title: str
    imap: Endpoint
    smtp: Endpoint
    smtp_alternatives: tuple[Endpoint, ...] = ()
    login: LoginFormat = LoginFormat.ADDRESS
    auth: AuthMethod = AuthMethod.PASSWORD
    oauth: OAuthEndpoints | None = None
    oauth_provider: str = ""
    domains: tuple[str, ...] = ()
    sent_copy: SentCopy = SentCopy.PROBE
    quirks: frozenset[str] = frozenset()
    advice: str = ""
    channels: tuple[Channel, ...] = (Channel.MAIL,)
    builtin: bool = True
