"""PRETENDS the authorization request: reads its parameters and refuses what Google refuses.
Asking the user is left to `consent`, remembering the answer to `store`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.google.directory import Client, Clients, User
from sandbox.google.errors import OAuthError
from sandbox.google.scopes import parse_scopes, with_openid

_S256 = re.compile(r"[A-Za-z0-9_-]{43}")
_PROMPTS = frozenset({"none", "consent", "select_account"})


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """A checked request for authorization; `scopes` are canonical, `challenge` is the S256 one or None."""

    client: Client
    redirect_uri: str
    scopes: frozenset[str]
    state: str | None
    offline: bool
    prompt: frozenset[str]
    include_granted: bool
    login_hint: str | None
    nonce: str | None
    challenge: str | None


@dataclass(frozen=True, slots=True)
class Consent:
    """What the user answers: account (None: the login hint or the only one), scopes unticked, or a denial.

    `expires_in` is time-based access: seconds until the refresh token dies by the user's own wish.
    """

    user: str | None = None
    untick: Sequence[str] = ()
    deny: bool = False
    expires_in: int | None = None


def parse_request(params: Mapping[str, str], clients: Clients, user_agent: str = "") -> AuthRequest:
    """Check an authorization request (RFC 6749, 4.1.1; RFC 7636, 4.3).

    Raises OAuthError for what Google shows on its own page and never sends back to the application.
    """
    if "; wv)" in user_agent:
        raise OAuthError("disallowed_useragent", "You can't sign in from an embedded browser.", 403)
    client = known_client(params.get("client_id", ""), clients)
    redirect_uri = _required(params, "redirect_uri")
    if not client.accepts_redirect(redirect_uri):
        text = f"You can't sign in because this app sent an invalid request. redirect_uri={redirect_uri}"
        raise OAuthError("redirect_uri_mismatch", text)
    if _required(params, "response_type") != "code":
        raise OAuthError("unsupported_response_type", f"Invalid response_type: {params['response_type']}")
    scopes, invalid = parse_scopes(_required(params, "scope"))
    if invalid:
        valid = ", ".join(sorted(scopes))
        text = f"Some requested scopes were invalid. {{valid=[{valid}], invalid=[{', '.join(invalid)}]}}"
        raise OAuthError("invalid_scope", text)
    return AuthRequest(
        client=client,
        redirect_uri=redirect_uri,
        scopes=with_openid(scopes),
        state=params.get("state"),
        offline=_choice(params, "access_type", ("online", "offline")) == "offline",
        prompt=_prompt(params.get("prompt", "")),
        include_granted=_choice(params, "include_granted_scopes", ("false", "true")) == "true",
        login_hint=params.get("login_hint"),
        nonce=params.get("nonce"),
        challenge=_challenge(params, client),
    )


def known_client(client_id: str, clients: Clients) -> Client:
    """The living client of that id. Raises OAuthError with Google's text for every other case."""
    if not client_id:
        raise OAuthError("invalid_request", "Missing required parameter: client_id")
    client = clients.find(client_id)
    if client is None:
        raise OAuthError("invalid_client", "The OAuth client was not found.", 401)
    if client.deleted:
        raise OAuthError("deleted_client", "The OAuth client was deleted.", 401)
    if client.disabled:
        raise OAuthError("disabled_client", "The OAuth client was disabled.", 401)
    return client


def admit(client: Client, user: User) -> None:
    """Raise OAuthError, for a page of Google's own, if this account may not use this application at all."""
    if user.admin_policy:
        text = "Access to your account data is restricted by policies within your organization."
        raise OAuthError("admin_policy_enforced", text)
    if client.internal_domain is not None and user.hd != client.internal_domain:
        raise OAuthError("org_internal", f"{client.name} can only be used within its organization.", 403)
    if client.testing and client.test_users is not None and user.email not in client.test_users:
        raise OAuthError("access_denied", f"{client.name} has not completed the verification process.", 403)


def _required(params: Mapping[str, str], name: str) -> str:
    value = params.get(name, "")
    if not value.strip():
        raise OAuthError("invalid_request", f"Missing required parameter: {name}")
    return value


def _choice(params: Mapping[str, str], name: str, allowed: tuple[str, str]) -> str:
    value = params.get(name, allowed[0])
    if value not in allowed:
        raise OAuthError("invalid_request", f"Invalid parameter value for {name}: '{value}' is not allowed")
    return value


def _prompt(text: str) -> frozenset[str]:
    words = frozenset(text.split())
    if not words <= _PROMPTS or ("none" in words and len(words) > 1):
        raise OAuthError("invalid_request", f"Invalid parameter value for prompt: Invalid prompt: {text}")
    return words


def _challenge(params: Mapping[str, str], client: Client) -> str | None:
    challenge = params.get("code_challenge", "")
    if not challenge:
        if client.require_pkce:
            raise OAuthError("invalid_request", "Missing required parameter: code_challenge")
        return None
    # RFC 7636, 4.3: the default method is plain, which gives the secret away; the double takes S256 only.
    if params.get("code_challenge_method", "plain") != "S256":
        raise OAuthError("invalid_request", "Invalid parameter value for code_challenge_method: use S256")
    if not _S256.fullmatch(challenge):
        raise OAuthError("invalid_request", "Invalid code_challenge: 43 base64url characters expected")
    return challenge
