"""PRETENDS Google's OAuth 2.0 and OpenID endpoints: reads requests, writes answers in Google's shapes.
What is allowed and what lives is decided by `authorization` and `store`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.google.authorization import AuthRequest, Consent, known_client, parse_request
from sandbox.google.consent import consent_page, error_page
from sandbox.google.directory import Client
from sandbox.google.errors import OAuthError
from sandbox.google.identity import ISSUER, SigningKey, id_claims, profile_claims
from sandbox.google.records import Issued
from sandbox.google.scopes import OPENID, SIGN_IN, join, parse_scopes
from sandbox.google.store import Store

Endpoint = Callable[[Request], Awaitable[Response]]
AUTH_PATH = "/o/oauth2/v2/auth"
_PRIVATE = {"Cache-Control": "no-cache, no-store, max-age=0, must-revalidate", "Pragma": "no-cache"}
_PUBLIC = {"Cache-Control": "public, max-age=21600"}


def oauth_routes(
    store: Store, key: SigningKey, now: Callable[[], datetime], id_token_now: Callable[[], datetime]
) -> list[Route]:
    """The routes of this half of the double. `now` counts lifetimes, `id_token_now` stamps id tokens."""
    return [
        Route(AUTH_PATH, _authorize(store), methods=["GET"]),
        Route(AUTH_PATH, _decide(store), methods=["POST"]),
        Route("/token", _token(store, key, now, id_token_now), methods=["POST"]),
        Route("/revoke", _revoke(store), methods=["POST"]),
        Route("/v1/userinfo", _userinfo(store), methods=["GET", "POST"]),
        Route("/oauth2/v3/certs", _constant(key.jwk_set), methods=["GET"]),
        Route("/oauth2/v1/certs", _constant(key.certificates), methods=["GET"]),
        Route("/.well-known/openid-configuration", _discovery, methods=["GET"]),
        Route("/introspect", _introspect(store), methods=["GET", "POST"]),
    ]


async def refused(_request: Request, error: Exception) -> Response:
    """Answer an OAuthError that a route did not turn into a page. Anything else is a bug of the double."""
    if not isinstance(error, OAuthError):
        raise error
    return JSONResponse(error.body(), error.status, _PRIVATE)


def _authorize(store: Store) -> Endpoint:
    async def authorize(request: Request) -> Response:
        try:
            asked = _asked(request, store)
            if "none" in asked.prompt:
                return _redirect(store.silent(asked))
            if store.auto_consent is not None:
                return _redirect(store.decide(asked, store.auto_consent))
        except OAuthError as error:
            return HTMLResponse(error_page(error), error.status, _PRIVATE)
        action = f"{AUTH_PATH}?{request.url.query}"
        return HTMLResponse(consent_page(asked, store.users.all(), action), headers=_PRIVATE)

    return authorize


def _decide(store: Store) -> Endpoint:
    async def decide(request: Request) -> Response:
        fields = parse_qs((await request.body()).decode(), keep_blank_values=True)
        decision = fields.get("decision", [""])[0]
        try:
            asked = _asked(request, store)
            if decision not in ("allow", "deny"):
                raise OAuthError("invalid_request", "The form needs decision=allow or decision=deny")
            ticked, _ = parse_scopes(" ".join(fields.get("granted", [])))
            consent = Consent(
                user=fields.get("user", [None])[0],
                untick=tuple(asked.scopes - SIGN_IN - ticked),
                deny=decision == "deny",
            )
            return _redirect(store.decide(asked, consent))
        except OAuthError as error:
            return HTMLResponse(error_page(error), error.status, _PRIVATE)

    return decide


def _asked(request: Request, store: Store) -> AuthRequest:
    return parse_request(dict(request.query_params), store.clients, request.headers.get("user-agent", ""))


def _redirect(address: str) -> Response:
    # RedirectResponse would quote the address again; it is complete as it stands.
    response = RedirectResponse("/", status_code=302, headers=_PRIVATE)
    response.headers["location"] = address
    return response


def _token(
    store: Store, key: SigningKey, now: Callable[[], datetime], id_token_now: Callable[[], datetime]
) -> Endpoint:
    async def token(request: Request) -> Response:
        issued = _issue(store, await _form(request), request.headers.get("authorization"))
        answer = _token_answer(issued, now())
        if OPENID in issued.access.scopes:
            user = store.users.by_sub(issued.access.sub)
            answer["id_token"] = key.sign(id_claims(user, issued.access, issued.nonce, id_token_now()))
        return JSONResponse(answer, headers=_PRIVATE)

    return token


def _issue(store: Store, form: dict[str, str], authorization: str | None) -> Issued:
    grant_type = form.get("grant_type", "")
    if grant_type not in ("authorization_code", "refresh_token"):
        raise OAuthError("unsupported_grant_type", f"Invalid grant_type: {grant_type}")
    client = _authenticated(store, form, authorization)
    if grant_type == "refresh_token":
        return store.refresh(client, _field(form, "refresh_token"), form.get("scope", ""))
    redirect_uri = _field(form, "redirect_uri")
    return store.exchange(client, _field(form, "code"), redirect_uri, form.get("code_verifier"))


def _token_answer(issued: Issued, now: datetime) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "access_token": issued.access.token,
        "expires_in": round((issued.access.expires_at - now).total_seconds()),
        "scope": join(issued.access.scopes),
        "token_type": "Bearer",
    }
    if issued.refresh is not None:
        answer["refresh_token"] = issued.refresh.token
    if issued.refresh_until is not None:
        # Google counts one second as gone already: 604799 for seven days.
        answer["refresh_token_expires_in"] = max(0, round((issued.refresh_until - now).total_seconds()) - 1)
    return answer


def _authenticated(store: Store, form: dict[str, str], authorization: str | None) -> Client:
    """The client that proves itself by form fields or HTTP Basic (RFC 6749, 2.3.1). Raises OAuthError."""
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if authorization is not None and authorization.lower().startswith("basic "):
        try:
            pair = base64.b64decode(authorization[6:], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise OAuthError("invalid_client", "Malformed basic authorization header", 401) from error
        name, _, word = pair.partition(":")
        client_id, secret = unquote(name), unquote(word)
    if not client_id:
        raise OAuthError("invalid_request", "Could not determine client ID from request.")
    client = known_client(client_id, store.clients)
    if client.client_secret and not secret:
        raise OAuthError("invalid_request", "client_secret is missing.")
    if secret != client.client_secret:
        raise OAuthError("invalid_client", "The provided client secret is invalid.", 401)
    return client


def _revoke(store: Store) -> Endpoint:
    async def revoke(request: Request) -> Response:
        form = await _form(request)
        store.revoke(form.get("token") or request.query_params.get("token") or _field(form, "token"))
        return JSONResponse({}, headers=_PRIVATE)

    return revoke


def _userinfo(store: Store) -> Endpoint:
    async def userinfo(request: Request) -> Response:
        info = store.token_active(_bearer(request) or "")
        if info is None or not info.scopes & SIGN_IN:
            body = {"error": "invalid_request", "error_description": "Invalid Credentials"}
            challenge = f'Bearer realm="{ISSUER}/", error="invalid_token"'
            return JSONResponse(body, 401, {**_PRIVATE, "WWW-Authenticate": challenge})
        return JSONResponse(profile_claims(store.users.by_sub(info.sub), info.scopes), headers=_PRIVATE)

    return userinfo


def _introspect(store: Store) -> Endpoint:
    """RFC 7662 for resource servers such as Dovecot (`introspection_mode` post, get or auth).

    A `scope` in the query of the introspection address makes tokens without it count as inactive.
    """

    async def introspect(request: Request) -> Response:
        form = await _form(request) if request.method == "POST" else {}
        token = form.get("token") or request.query_params.get("token") or _bearer(request) or ""
        needed, _ = parse_scopes(request.query_params.get("scope", ""))
        info = store.token_active(token)
        if info is None or not needed <= info.scopes:
            return JSONResponse({"active": False}, headers=_PRIVATE)
        answer = {
            "active": True,
            "email": info.email,
            "username": info.email,
            "sub": info.sub,
            "client_id": info.client_id,
            "scope": join(info.scopes),
            "token_type": "Bearer",
            "exp": int(info.expires_at.timestamp()),
        }
        return JSONResponse(answer, headers=_PRIVATE)

    return introspect


def _constant(content: Callable[[], dict[str, Any]]) -> Endpoint:
    async def constant(_request: Request) -> Response:
        return JSONResponse(content(), headers=_PUBLIC)

    return constant


async def _discovery(request: Request) -> Response:
    """OpenID provider metadata; the addresses are those under which the double was asked."""
    root = str(request.base_url).rstrip("/")
    body = {
        "issuer": ISSUER,
        "authorization_endpoint": root + AUTH_PATH,
        "token_endpoint": root + "/token",
        "revocation_endpoint": root + "/revoke",
        "userinfo_endpoint": root + "/v1/userinfo",
        "jwks_uri": root + "/oauth2/v3/certs",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "name", "sub"],
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
    }
    return JSONResponse(body, headers=_PUBLIC)


async def _form(request: Request) -> dict[str, str]:
    """The form in the body. Raises OAuthError for other content types and repeated fields (RFC 6749, 3.2)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if body and kind != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", f"Bad content type: {kind or 'none'}")
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    form = dict(pairs)
    if len(form) < len(pairs):
        raise OAuthError("invalid_request", "OAuth 2 parameters can only have a single value")
    return form


def _field(form: dict[str, str], name: str) -> str:
    if not form.get(name):
        raise OAuthError("invalid_request", f"Missing required parameter: {name}")
    return form[name]


def _bearer(request: Request) -> str | None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None
