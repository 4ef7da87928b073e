"""The OAuth 2.0 client: what goes to the provider, what its answers mean, whom an id_token names, what scopes cover."""

from __future__ import annotations

import base64
import functools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from core.errors import Misconfigured, NeedsRelink, Throttled, Transient, TwinboxError
from core.provider import OAuthClient, OAuthEndpoints
from core.secret import Secret
from providers.google import google_endpoints
from providers.protocols import oauth2
from providers.protocols.connect import Guard
from sandbox.google.identity import SigningKey, new_signing_key

CLIENT = OAuthClient("client-1", Secret("canary-client-secret"))
GUARD = Guard(allow_networks=(ip_network("127.0.0.0/8"),))
GOOGLE = "https://www.googleapis.com/auth/"
TOKENS = {"access_token": "canary-access", "refresh_token": "canary-refresh", "expires_in": 3599, "scope": "openid"}


@dataclass
class Provider:
    """An authorization server that answers what the test says, by path, and notes what it was sent."""

    root: str
    answers: dict[str, tuple[int, bytes, Mapping[str, str]]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str], Mapping[str, str]]] = field(default_factory=list)

    @property
    def endpoints(self) -> OAuthEndpoints:
        return google_endpoints(self.root)

    def answer(self, path: str, status: int, body: object, **headers: str) -> None:
        self.answers[path] = (status, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)

    def refresh(self) -> oauth2.TokenReply:
        return oauth2.refresh(GUARD, self.endpoints, CLIENT, Secret("canary-refresh"))

    def identity(self, id_token: str, *, nonce: str = "n-1") -> oauth2.Identity:
        reply = oauth2.TokenReply(Secret("canary-access"), id_token=id_token)
        return oauth2.read_identity(GUARD, self.endpoints, CLIENT, reply, nonce=nonce)


@contextmanager
def serving() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            one.seen.append((self.path, dict(parse_qsl(form, keep_blank_values=True)), dict(self.headers.items())))
            status, body, headers = one.answers[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        one = Provider(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=functools.partial(server.serve_forever, 0.01))
        thread.start()
        try:
            yield one
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving() as one:
        yield one


def test_the_challenge_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B
    assert (
        oauth2.pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


def authorization(**changes: Any) -> dict[str, str]:
    usual: dict[str, Any] = {
        "redirect_uri": "http://127.0.0.1:1/cb",
        "scopes": ("openid", "https://mail.google.com/"),
        "state": "s&t",
        "challenge": "c",
        "nonce": "n",
        "login_hint": "a+b@example.com",
    }
    url = oauth2.authorization_url(google_endpoints(), CLIENT, **(usual | changes))
    assert url.startswith("https://accounts.google.com/o/oauth2/v2/auth?")
    assert "canary" not in url
    return {name: value for name, [value] in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def test_the_authorization_address_asks_for_everything_needed() -> None:
    assert authorization() == {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": "http://127.0.0.1:1/cb",
        "scope": "openid https://mail.google.com/",
        "state": "s&t",
        "code_challenge": "c",
        "code_challenge_method": "S256",
        "nonce": "n",
        "login_hint": "a+b@example.com",
        "prompt": "consent",
        "access_type": "offline",
        "include_granted_scopes": "true",
    }


def test_what_is_not_given_is_left_out_of_the_address() -> None:
    query = authorization(nonce="", login_hint="", force_consent=False)
    assert not {"nonce", "login_hint", "prompt"} & query.keys()


def test_a_code_is_traded_with_its_verifier(provider: Provider) -> None:
    provider.answer("/token", 200, TOKENS | {"scope": f"openid {GOOGLE}userinfo.email", "id_token": "a.b.c"})
    reply = oauth2.exchange_code(
        GUARD, provider.endpoints, CLIENT, code="c-1", redirect_uri="http://127.0.0.1:1/cb", verifier=Secret("v-1")
    )
    assert reply.access_token.reveal() == "canary-access"
    assert reply.refresh_token == Secret("canary-refresh")
    assert (reply.expires_in, reply.refresh_token_expires_in) == (3599, None)
    assert reply.scopes == {"openid", "email"}
    assert "canary" not in repr(reply)
    assert provider.seen[0][1] == {
        "grant_type": "authorization_code",
        "code": "c-1",
        "redirect_uri": "http://127.0.0.1:1/cb",
        "code_verifier": "v-1",
        "client_id": "client-1",
        "client_secret": "canary-client-secret",
    }


def test_a_refresh_sends_no_scope_and_an_empty_secret_not_at_all(provider: Provider) -> None:
    provider.answer("/token", 200, {"access_token": "t", "expires_in": 10})
    desktop = replace(CLIENT, client_secret=Secret(""))
    reply = oauth2.refresh(GUARD, provider.endpoints, desktop, Secret("canary-refresh"))
    assert reply.refresh_token is None
    assert provider.seen[0][1] == {
        "grant_type": "refresh_token",
        "refresh_token": "canary-refresh",
        "client_id": "client-1",
    }


def test_a_grant_that_ends_by_itself_tells_when(provider: Provider) -> None:
    provider.answer("/token", 200, TOKENS | {"refresh_token_expires_in": 604799})
    assert provider.refresh().refresh_token_expires_in == 604799


@pytest.mark.parametrize(("value", "seconds"), [("3599", 3599), (3599.5, 3599), (-1, None), (True, None), ([], None),
                         ("x", None), (None, None), (1e300, None), (float("inf"), None), (10**40, None)])  # fmt: skip
def test_a_lifetime_is_a_number_or_nothing(provider: Provider, value: object, seconds: int | None) -> None:
    provider.answer("/token", 200, TOKENS | {"expires_in": value})
    assert provider.refresh().expires_in == seconds


def test_scopes_nobody_named_are_those_asked_for(provider: Provider) -> None:
    provider.answer("/token", 200, {"access_token": "t"})
    reply = oauth2.exchange_code(
        GUARD, provider.endpoints, CLIENT, code="c", redirect_uri="r", verifier=Secret("v"), requested=("openid", "x")
    )
    assert reply.scopes == {"openid", "x"}


ANSWERS: tuple[tuple[int, object, type[TwinboxError]], ...] = (
    (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, NeedsRelink),
    (400, {"error": "invalid_grant", "error_description": "Bad Request"}, NeedsRelink),
    (400, {"error": "invalid_grant", "error_subtype": "invalid_rapt"}, NeedsRelink),
    (403, {"error": "access_denied"}, NeedsRelink),
    (401, {"error": "invalid_client", "error_description": "The OAuth client was not found."}, Misconfigured),
    (401, {"error": "deleted_client"}, Misconfigured),
    (401, {"error": "unauthorized_client"}, Misconfigured),
    (400, {"error": "redirect_uri_mismatch"}, Misconfigured),
    (400, {"error": "invalid_scope", "error_description": "canary"}, Misconfigured),
    (400, {"error": "invalid_request"}, Misconfigured),
    (400, {"error": "admin_policy_enforced"}, Misconfigured),
    (400, {"error": "never_heard_of"}, Transient),
    (400, {"error": {"code": 400}}, Transient),
    (400, b"<html>Bad Request</html>", Transient),
    (400, [], Transient),
    (429, {"error": "invalid_grant"}, Transient),
    (500, {"error": "internal_failure"}, Transient),
    (503, {"error": "temporarily_unavailable"}, Transient),
    (503, {"error": "invalid_grant"}, Transient),
    (502, b"<html>", Transient),
    (404, b"", Transient),
    (302, b"", Transient),
    (200, b"<html>portal</html>", Transient),
    (200, b"[" * 50_000, Transient),
    (200, b"\xff\xfe", Transient),
    (200, {}, Transient),
    (200, {"access_token": ""}, Transient),
    (200, {"access_token": 1}, Transient),
    (200, {"access_token": "a\r\nX-Evil: 1"}, Transient),
    (200, {"access_token": "a\x01b"}, Transient),
)


@pytest.mark.parametrize(("status", "body", "kind"), ANSWERS)
def test_an_answer_decides_who_must_act(provider: Provider, status: int, body: object, kind: type) -> None:
    provider.answer("/token", status, body)
    with pytest.raises(TwinboxError) as caught:
        provider.refresh()
    assert type(caught.value) is kind
    assert caught.value.advice or kind is Transient
    assert "canary" not in str(caught.value) + caught.value.advice


def test_a_pause_the_provider_names_is_passed_on(provider: Provider) -> None:
    provider.answer("/token", 429, {"error": "rate"}, Retry_After="17")
    with pytest.raises(Transient) as caught:
        provider.refresh()
    assert caught.value.retry_after == 17
    assert not isinstance(caught.value, Throttled)


def test_a_service_that_is_down_is_a_passing_fault() -> None:
    with serving() as gone:
        pass
    with pytest.raises(Transient):
        gone.refresh()


@pytest.mark.parametrize("status", [200, 204, 400])
def test_a_grant_given_back_or_already_gone_is_the_same(provider: Provider, status: int) -> None:
    provider.answer("/revoke", status, b"" if status == 204 else {"error": "invalid_token"})
    oauth2.revoke(GUARD, provider.endpoints, CLIENT, Secret("canary-refresh"))
    assert provider.seen[0][0] == "/revoke"
    assert provider.seen[0][1]["token"] == "canary-refresh"


def test_a_revocation_that_fails_is_told(provider: Provider) -> None:
    provider.answer("/revoke", 503, b"")
    with pytest.raises(Transient):
        oauth2.revoke(GUARD, provider.endpoints, CLIENT, Secret("x"))


def test_a_service_without_revocation_is_left_alone() -> None:
    oauth2.revoke(GUARD, OAuthEndpoints("", ""), CLIENT, Secret("x"))


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(datetime.now(UTC))


@pytest.fixture(scope="module")
def other_key() -> SigningKey:
    return new_signing_key(datetime.now(UTC))


def claims(**changes: object) -> dict[str, Any]:
    now = int(time.time())
    usual = {
        "iss": "https://accounts.google.com",
        "aud": "client-1",
        "azp": "client-1",
        "sub": "1234567890",
        "email": "ann@example.com",
        "email_verified": True,
        "hd": "example.com",
        "nonce": "n-1",
        "iat": now,
        "exp": now + 3600,
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def test_a_signed_id_token_names_a_person(provider: Provider, key: SigningKey) -> None:
    provider.answer("/oauth2/v1/certs", 200, key.certificates())
    assert provider.identity(key.sign(claims())) == oauth2.Identity(
        "1234567890", "ann@example.com", email_verified=True, hd="example.com"
    )
    assert provider.identity(key.sign(claims(iss="accounts.google.com", email=None, hd=None))).email == ""


def test_a_clock_that_is_a_few_seconds_off_does_no_harm(provider: Provider, key: SigningKey) -> None:
    provider.answer("/oauth2/v1/certs", 200, key.certificates())
    assert provider.identity(key.sign(claims(iat=int(time.time()) + 6))).subject


FORGED: Mapping[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], type[TwinboxError]]] = {
    "another application": (lambda given: given | {"aud": "client-2"}, Misconfigured),
    "another issuer": (lambda given: given | {"iss": "https://accounts.evil.example"}, Misconfigured),
    "no issuer": (lambda given: {n: v for n, v in given.items() if n != "iss"}, Misconfigured),
    "another nonce": (lambda given: given | {"nonce": "n-2"}, NeedsRelink),
    "no nonce": (lambda given: {n: v for n, v in given.items() if n != "nonce"}, NeedsRelink),
    "expired": (lambda given: given | {"iat": 1_000_000, "exp": 1_003_600}, Misconfigured),
    "of tomorrow": (lambda given: given | {"iat": given["iat"] + 86_400}, Misconfigured),
    "no expiry": (lambda given: {n: v for n, v in given.items() if n != "exp"}, Misconfigured),
    "expiry is text": (lambda given: given | {"exp": "later"}, Misconfigured),
    "nobody": (lambda given: {n: v for n, v in given.items() if n != "sub"}, Misconfigured),
    "empty subject": (lambda given: given | {"sub": ""}, Misconfigured),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_wrong_id_token_links_nobody(provider: Provider, key: SigningKey, what: str) -> None:
    provider.answer("/oauth2/v1/certs", 200, key.certificates())
    change, kind = FORGED[what]
    token = key.sign(change(claims()))
    with pytest.raises(TwinboxError) as caught:
        provider.identity(token)
    assert type(caught.value) is kind
    assert caught.value.advice
    assert token.split(".")[1][:20] not in str(caught.value)


def _unsigned() -> str:
    header, body = ({"alg": "none"}, claims())
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, body))
        + "."
    )


def test_a_signature_of_somebody_else_or_none_at_all_is_refused(
    provider: Provider, key: SigningKey, other_key: SigningKey
) -> None:
    provider.answer("/oauth2/v1/certs", 200, key.certificates())
    good = key.sign(claims())
    head, body, _ = good.split(".")
    foreign = replace(other_key, kid=key.kid).sign(claims())
    for token in (
        other_key.sign(claims()),
        foreign,
        _unsigned(),
        f"{head}.{body}.",
        f"{head}.{body}.AAAA",
        "x",
        "a.b.c",
    ):
        with pytest.raises(Misconfigured):
            provider.identity(token)


@pytest.mark.parametrize(("status", "body"), [(503, b""), (200, b"<html>"), (200, [])])
def test_certificates_that_cannot_be_had_are_a_passing_fault(
    provider: Provider, key: SigningKey, status: int, body: object
) -> None:
    provider.answer("/oauth2/v1/certs", status, body)
    with pytest.raises(Transient):
        provider.identity(key.sign(claims()))


def test_certificates_that_are_none_are_refused(provider: Provider, key: SigningKey) -> None:
    provider.answer("/oauth2/v1/certs", 200, {key.kid: "no certificate"})
    with pytest.raises(Misconfigured):
        provider.identity(key.sign(claims()))


def test_without_certificates_the_claims_are_checked_all_the_same(key: SigningKey) -> None:
    endpoints = OAuthEndpoints("", "")

    def read(**changes: object) -> oauth2.Identity:
        reply = oauth2.TokenReply(Secret("t"), id_token=key.sign(claims(**changes)))
        return oauth2.read_identity(GUARD, endpoints, CLIENT, reply, nonce="n-1")

    assert read(iss="https://login.microsoftonline.com/tenant/v2.0").subject == "1234567890"
    for wrong in ({"aud": "client-2"}, {"exp": 1_003_600}, {"nonce": "x"}, {"aud": ["client-1", "b"], "azp": "b"}):
        with pytest.raises(TwinboxError):
            read(**wrong)


def test_without_an_id_token_userinfo_is_asked(provider: Provider) -> None:
    provider.answer("/v1/userinfo", 200, {"sub": "7", "email": "a@example.com", "email_verified": "true"})
    assert provider.identity("") == oauth2.Identity("7", "a@example.com", email_verified=True)
    assert provider.seen[0][2]["Authorization"] == "Bearer canary-access"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {}, NeedsRelink),
        (403, b"", NeedsRelink),
        (500, b"", Transient),
        (200, b"x", Transient),
        (200, {}, Misconfigured),
    ],
)
def test_userinfo_that_tells_nothing_is_an_error(provider: Provider, status: int, body: object, kind: type) -> None:
    provider.answer("/v1/userinfo", status, body)
    with pytest.raises(TwinboxError) as caught:
        provider.identity("")
    assert type(caught.value) is kind
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("granted", "needed", "enough"),
    [
        (["https://mail.google.com/"], ("https://mail.google.com/",), True),
        ([], (), True),
        ([], ("openid",), False),
        (["openid", GOOGLE + "userinfo.email"], ("openid", "email"), True),
        (["email"], (GOOGLE + "userinfo.email",), True),
        ([GOOGLE + "calendar"], (GOOGLE + "calendar.events", GOOGLE + "calendar.calendarlist.readonly"), True),
        ([GOOGLE + "calendar.events"], (GOOGLE + "calendar.events.readonly", GOOGLE + "calendar.events.owned"), True),
        ([GOOGLE + "calendar.events"], (GOOGLE + "calendar.calendarlist.readonly",), False),
        ([GOOGLE + "calendar.readonly"], (GOOGLE + "calendar.events.readonly",), True),
        ([GOOGLE + "calendar.readonly"], (GOOGLE + "calendar.events",), False),
        ([GOOGLE + "calendar.events.readonly"], (GOOGLE + "calendar.events",), False),
        ([GOOGLE + "contacts"], (GOOGLE + "contacts.readonly",), True),
        ([GOOGLE + "contacts.readonly"], (GOOGLE + "contacts",), False),
        (["https://mail.google.com/"], (GOOGLE + "gmail.readonly",), True),
        ([GOOGLE + "gmail.modify"], ("https://mail.google.com/",), False),
        ([GOOGLE + "calendars"], (GOOGLE + "calendar.events",), False),
    ],
)
def test_a_wide_scope_covers_the_narrow_ones_it_holds(
    granted: list[str], needed: tuple[str, ...], enough: bool
) -> None:
    assert oauth2.covers(granted, needed) is enough
