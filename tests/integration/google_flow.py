"""Walks through the Google double's OAuth flow as an application would: addresses, PKCE, plain HTTP calls.
The worlds and the assertions are left to the tests."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from sandbox.google import Client, GoogleDouble

VERIFIER = "verifier-0123456789-0123456789-0123456789-ab"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REDIRECT = "http://127.0.0.1:53682/callback"
MAIL = "https://mail.google.com/"
CONTACTS = "https://www.googleapis.com/auth/contacts"
EVENTS = "https://www.googleapis.com/auth/calendar.events"
EMAIL = "https://www.googleapis.com/auth/userinfo.email"
ANN = "ann@example.com"


@dataclass(frozen=True)
class App:
    """An application with its registered client, talking to one double."""

    google: GoogleDouble
    client: Client
    http: httpx2.Client

    def auth_url(self, scope: str = f"openid email {MAIL} {CONTACTS}", **params: str | None) -> str:
        """An authorization address; a parameter given as None is left out."""
        usual: dict[str, str | None] = {
            "client_id": self.client.client_id,
            "redirect_uri": REDIRECT,
            "response_type": "code",
            "scope": scope,
            "state": "s t/a+te",
            "access_type": "offline",
            "login_hint": ANN,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        query = {name: value for name, value in (usual | params).items() if value is not None}
        return f"{self.google.base_url}/o/oauth2/v2/auth?{urlencode(query)}"

    def consent(self, *ticked: str, scope: str = f"openid email {MAIL} {CONTACTS}", **params: str) -> str:
        """Fill in the consent form and return the code of the callback."""
        form = {"user": ANN, "granted": list(ticked or (MAIL, CONTACTS, EVENTS)), "decision": "allow"}
        return callback(self.http.post(self.auth_url(scope, **params), data=form))["code"]

    def token(self, **fields: str | None) -> httpx2.Response:
        """Call the token endpoint with the client's own credentials, or those given instead."""
        own = {"client_id": self.client.client_id, "client_secret": self.client.client_secret}
        form = {name: value for name, value in (own | fields).items() if value is not None}
        return self.http.post(f"{self.google.base_url}/token", data=form)

    def exchange(self, code: str, **fields: str | None) -> httpx2.Response:
        """Trade a code for tokens."""
        usual = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        return self.token(**(usual | {"code": code} | fields))

    def refresh(self, token: str, **fields: str | None) -> httpx2.Response:
        """Trade a refresh token for an access token."""
        return self.token(**({"grant_type": "refresh_token", "refresh_token": token} | fields))

    def link(self, *ticked: str, **params: str) -> dict[str, Any]:
        """Consent and exchange: the token endpoint's answer."""
        answer = self.exchange(self.consent(*ticked, **params))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def userinfo(self, token: str) -> httpx2.Response:
        """Ask who owns an access token."""
        bearer = {"Authorization": f"Bearer {token}"}
        return self.http.get(f"{self.google.base_url}/v1/userinfo", headers=bearer)

    def revoke(self, token: str) -> httpx2.Response:
        """Give a token back."""
        return self.http.post(f"{self.google.base_url}/revoke", data={"token": token})


def callback(response: httpx2.Response) -> dict[str, str]:
    """The parameters of the redirect back to the application."""
    assert response.status_code == 302, response.text
    address = urlsplit(response.headers["location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == REDIRECT
    return dict(parse_qsl(address.query))


def refusal(response: httpx2.Response) -> tuple[int, str, str]:
    """Status, code and text of a refusal by the token endpoint."""
    body = response.json()
    return response.status_code, body["error"], body["error_description"]
