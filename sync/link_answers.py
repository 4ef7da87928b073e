"""Reads the redirect with which a provider answers an authorization request (RFC 6749 4.1.2): code or refusal.
Whose attempt it belongs to is left to `sync.link_attempts`."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import Conflict, Misconfigured, NeedsRelink, NotFound, Transient, TwinboxError
from core.provider import OAuthEndpoints, ProviderSpec
from sync.link_attempts import AGAIN

# RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6, and what Google adds: who can do something about it.
_PASSING = frozenset({"server_error", "temporarily_unavailable"})
_DENIED = frozenset({"access_denied", "interaction_required", "login_required", "consent_required"})


def read_code(query: Mapping[str, str], spec: ProviderSpec, endpoints: OAuthEndpoints) -> str:
    """The authorization code.

    Raises NeedsRelink (denied), Transient, Misconfigured (the application is refused), Conflict (answer of another
    server), NotFound (no code).
    """
    issuer = query.get("iss", "")
    if issuer and endpoints.issuers and issuer not in endpoints.issuers:  # RFC 9207: answer of another server
        raise Conflict("the answer comes from another sign-in server than the one asked", advice=AGAIN)
    error = query.get("error", "")
    if error:
        raise _refusal(error[:60], spec)
    if not query.get("code"):
        raise NotFound(f"{spec.title} sent back no authorization code", advice=AGAIN)
    return query["code"]


def _refusal(error: str, spec: ProviderSpec) -> TwinboxError:
    # `error_description` is free text of whoever made the link, so only a known word is ever shown.
    if error in _DENIED:
        return NeedsRelink(f"access was not allowed at {spec.title}", advice="Link again and allow access to finish.")
    if error in _PASSING:
        return Transient(f"{spec.title} is not available for sign-in just now", advice="Try again in a few minutes.")
    shown = error if error.replace("_", "").isalnum() and error.isascii() else "unknown error"
    return Misconfigured(
        f"{spec.title} refused this application ({shown})",
        advice="An administrator must check the OAuth application and the scopes registered for it.",
    )
