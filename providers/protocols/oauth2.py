"""The OAuth 2.0 authorization code flow with PKCE, refresh and revocation over the guarded HTTP client
(RFC 6749, 7636, 7009). Storing tokens and deciding when to renew them is left to `sync`."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from core.errors import Misconfigured, NeedsRelink, Transient, TwinboxError
from core.provider import OAuthClient, OAuthEndpoints
from core.secret import Secret
from providers.protocols.connect import Guard
from providers.protocols.http import Reply, exchange
from providers.protocols.identity import Identity, read_id_token, read_userinfo
from providers.protocols.scopes import canonical, covers

__all__ = [
    "Identity",
    "TokenReply",
    "authorization_url",
    "covers",
    "exchange_code",
    "pkce_challenge",
    "read_identity",
    "refresh",
    "revoke",
]

# RFC 6749 5.2 and what Google adds: the registration of the application is wrong, not the user's consent.
_ADMIN_ERRORS = {
    "invalid_client": "Check client id and client secret of the provider's OAuth application.",
    "deleted_client": "The OAuth application was deleted at the provider; register a new one.",
    "disabled_client": "The OAuth application was disabled at the provider.",
    "unauthorized_client": "The OAuth application may not use this kind of grant; check its type at the provider.",
    "redirect_uri_mismatch": "Register this installation's redirect address at the provider, letter by letter.",
    "invalid_scope": "Allow the scopes of the chosen channels for the OAuth application at the provider.",
    "invalid_request": "Check the OAuth application and its addresses.",
    "unsupported_grant_type": "Check the token address of the provider.",
    "org_internal": "The OAuth application is open to its own organization only.",
    "admin_policy_enforced": "The organization's administrator must allow this application.",
}
_USER_ERRORS = ("invalid_grant", "access_denied", "interaction_required", "consent_required")
_RAPT = ("invalid_rapt", "rapt_required")


@dataclass(frozen=True, slots=True)
class TokenReply:
    """What the token endpoint gave. Times are seconds from now, None where the server said nothing.

    `refresh_token_expires_in` is given for grants that end by themselves (Google: apps in testing, timed access).
    `scopes` is what was really granted, in canonical form.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_in: int | None = None
    refresh_token_expires_in: int | None = None
    scopes: frozenset[str] = frozenset()
    id_token: str = field(default="", repr=False)


def pkce_challenge(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")


def authorization_url(
    endpoints: OAuthEndpoints,
    client: OAuthClient,
    *,
    redirect_uri: str,
    scopes: Collection[str],
    state: str,
    challenge: str,
    nonce: str = "",
    login_hint: str = "",
    force_consent: bool = True,
) -> str:
    """The address to open in the user's browser (RFC 6749 4.1.1).

    `force_consent` asks anew although access was granted before: Google sends a refresh token only then.
    """
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "nonce": nonce,
        "login_hint": login_hint,
        "prompt": "consent" if force_consent else "",
        **endpoints.extra_params,
    }
    separator = "&" if "?" in endpoints.authorize_url else "?"
    return endpoints.authorize_url + separator + urlencode({name: value for name, value in query.items() if value})


def exchange_code(
    guard: Guard,
    endpoints: OAuthEndpoints,
    client: OAuthClient,
    *,
    code: str,
    redirect_uri: str,
    verifier: Secret,
    requested: Collection[str] = (),
) -> TokenReply:
    """Trade an authorization code for tokens (RFC 6749 4.1.3). `requested` are the scopes if the answer names none.

    Raises NeedsRelink (code used, expired or of another attempt), Misconfigured (the application), Transient.
    """
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    form["code_verifier"] = verifier.reveal()
    return _ask_token(guard, endpoints, client, form, requested)


def refresh(guard: Guard, endpoints: OAuthEndpoints, client: OAuthClient, refresh_token: Secret) -> TokenReply:
    """A new access token (RFC 6749 6). Scopes are not sent: asking for more than was granted would be an error.

    Raises NeedsRelink (the grant is dead), Misconfigured (the application, all accounts are concerned), Transient.
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
    return _ask_token(guard, endpoints, client, form, ())


def revoke(guard: Guard, endpoints: OAuthEndpoints, client: OAuthClient, token: Secret) -> None:
    """Give a grant back (RFC 7009). At Google one token takes all tokens of that user and application along.

    Does nothing where the service has no such address. Raises Transient or Misconfigured; 400 means already gone.
    """
    if not endpoints.revoke_url:
        return
    with guard.http_client() as http:
        reply = exchange(http, "POST", endpoints.revoke_url, form={"token": token.reveal(), **_credentials(client)})
    if reply.status not in (200, 204, 400):
        raise _token_error(reply)


def read_identity(
    guard: Guard, endpoints: OAuthEndpoints, client: OAuthClient, reply: TokenReply, *, nonce: str
) -> Identity:
    """Who granted access: from the id_token, whose signature and claims are checked, else from userinfo.

    Raises Misconfigured (wrong issuer, application, signature or clock), NeedsRelink (another attempt's answer),
    Transient.
    """
    with guard.http_client() as http:
        if reply.id_token:
            return read_id_token(http, endpoints, client.client_id, reply.id_token, nonce=nonce)
        return read_userinfo(http, endpoints, reply.access_token)


def _credentials(client: OAuthClient) -> dict[str, str]:
    credentials = {"client_id": client.client_id}
    if client.client_secret:
        credentials["client_secret"] = client.client_secret.reveal()
    return credentials


def _ask_token(
    guard: Guard, endpoints: OAuthEndpoints, client: OAuthClient, form: Mapping[str, str], requested: Collection[str]
) -> TokenReply:
    headers = {"Accept": "application/json"}
    with guard.http_client() as http:
        reply = exchange(http, "POST", endpoints.token_url, form={**form, **_credentials(client)}, headers=headers)
    body = _json(reply)
    if reply.status != 200:
        raise _token_error(reply)
    access_token = body.get("access_token")
    if not isinstance(access_token, str) or not _is_token(access_token):
        raise Transient("the token endpoint gave an answer without a usable access token")
    renewed = body.get("refresh_token")
    scope = body.get("scope")
    return TokenReply(
        access_token=Secret(access_token),
        refresh_token=Secret(renewed) if isinstance(renewed, str) and _is_token(renewed) else None,
        expires_in=_seconds(body.get("expires_in")),
        refresh_token_expires_in=_seconds(body.get("refresh_token_expires_in")),
        scopes=canonical(scope.split() if isinstance(scope, str) else requested),
        id_token=body["id_token"] if isinstance(body.get("id_token"), str) else "",
    )


def _token_error(reply: Reply) -> TwinboxError:
    """What a refusal means. Only the standard error word is shown: descriptions may repeat what was sent."""
    body = _json(reply)
    code = body.get("error")
    if reply.status >= 500 or reply.status == 429 or not isinstance(code, str):
        return Transient(
            f"the provider's sign-in service is not available (HTTP {reply.status})", retry_after=_retry_after(reply)
        )
    if code in _USER_ERRORS:
        if body.get("error_subtype") in _RAPT:
            return NeedsRelink(
                "the organization asks for a new sign-in (session control)",
                advice="Link the account again; an administrator can exempt this application from session control.",
            )
        return NeedsRelink(f"the permission has expired or was taken back ({code})", advice="Link the account again.")
    if code in _ADMIN_ERRORS:
        return Misconfigured(f"the provider refuses the OAuth application ({code})", advice=_ADMIN_ERRORS[code])
    return Transient(f"the provider's sign-in service answered with an unknown error (HTTP {reply.status})")


def _json(reply: Reply) -> Mapping[str, Any]:
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _is_token(text: str) -> bool:
    # RFC 6750 2.1 allows only these; it also keeps line breaks out of headers and of SASL payloads.
    return bool(text) and all("\x20" < character < "\x7f" for character in text)


def _seconds(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, float):
        value = int(value) if 0 <= value < 1e11 else None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**11:
        return value
    return None


def _retry_after(reply: Reply) -> float | None:
    text = reply.headers.get("retry-after", "")
    return float(min(int(text), 3600)) if text.isascii() and text.isdigit() and len(text) < 9 else None
