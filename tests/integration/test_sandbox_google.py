"""The Google double over its socket: consent, tokens, identity, and what ends them.
Refusals of malformed requests are in test_sandbox_google_refusals, scripted faults in test_sandbox_faults."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import google.auth.exceptions
import google.auth.jwt
import google.auth.transport
import google.oauth2.credentials
import httpx2
import pytest
import trustme
from selectolax.lexbor import LexborHTMLParser

from sandbox.clock import SandboxClock
from sandbox.google import Consent, GoogleDouble, SigningKey, new_signing_key
from tests.integration.google_flow import (
    ANN,
    CONTACTS,
    EMAIL,
    EVENTS,
    MAIL,
    REDIRECT,
    App,
    callback,
    refusal,
)

jwt_decode: Any = google.auth.jwt.decode  # untyped upstream
REVOKED = (400, "invalid_grant", "Token has been expired or revoked.")
BAD_REQUEST = (400, "invalid_grant", "Bad Request")


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(SandboxClock().now())


@pytest.fixture
def clock() -> SandboxClock:
    return SandboxClock()


@pytest.fixture
def app(key: SigningKey, clock: SandboxClock) -> Iterator[App]:
    with GoogleDouble(key=key, clock=clock, seed=7) as double, httpx2.Client() as http:
        double.users.add(ANN, "Ann Example", "100000000000000000001", hd="example.com")
        yield App(double, double.clients.add("desktop"), http)


def test_the_consent_page_is_a_form_with_a_tick_for_each_scope_that_is_not_sign_in(app: App) -> None:
    app.google.users.add("bob@example.com", "Bob <b>")
    page = LexborHTMLParser(app.http.get(app.auth_url()).text)
    (form,) = page.css("form")
    assert form.attributes["method"] == "post"
    ticks = {box.attributes["value"] for box in page.css("input[name=granted][checked]")}
    assert ticks == {MAIL, CONTACTS}
    users = {radio.attributes["value"]: "checked" in radio.attributes for radio in page.css("input[name=user]")}
    assert users == {ANN: True, "bob@example.com": False}
    assert "Bob <b>" in form.text()


def test_posting_the_form_as_a_browser_would_leads_back_to_the_application(app: App) -> None:
    page = LexborHTMLParser(app.http.get(app.auth_url()).text)
    action = page.css("form")[0].attributes["action"]
    form = {"user": ANN, "granted": [MAIL], "decision": "allow"}
    answer = callback(app.http.post(f"{app.google.base_url}{action}", data=form))
    assert answer["state"] == "s t/a+te"
    assert answer["code"].startswith("4/")
    assert answer["hd"] == "example.com"
    assert set(answer["scope"].split()) == {"openid", EMAIL, MAIL}


def test_denial_is_reported_to_the_application_with_its_state(app: App) -> None:
    answer = callback(app.http.post(app.auth_url(), data={"decision": "deny"}))
    assert answer == {"error": "access_denied", "state": "s t/a+te"}


def test_the_first_exchange_gives_every_token(app: App) -> None:
    answer = app.link(scope=f"email {MAIL}")
    assert answer["access_token"].startswith("ya29.")
    assert answer["refresh_token"].startswith("1//")
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3599)
    assert set(answer["scope"].split()) == {"openid", EMAIL, MAIL}
    assert "refresh_token_expires_in" not in answer


def test_an_unticked_scope_is_missing_from_the_token(app: App) -> None:
    assert set(app.link(CONTACTS)["scope"].split()) == {"openid", EMAIL, CONTACTS}


def test_unticking_everything_when_nothing_was_for_sign_in_is_a_denial(app: App) -> None:
    answer = callback(app.http.post(app.auth_url(MAIL), data={"user": ANN, "decision": "allow"}))
    assert answer["error"] == "access_denied"


def test_automatic_consent_answers_without_a_page(app: App) -> None:
    app.google.auto_consent = Consent(user=ANN, untick=[MAIL])
    assert MAIL not in callback(app.http.get(app.auth_url()))["scope"].split()
    app.google.auto_consent = Consent(deny=True)
    assert callback(app.http.get(app.auth_url()))["error"] == "access_denied"


def test_a_second_link_gets_no_refresh_token_unless_consent_is_forced(app: App) -> None:
    first = app.link()["refresh_token"]
    assert "refresh_token" not in app.link()
    assert app.link(prompt="consent")["refresh_token"] != first


def test_without_offline_access_there_is_no_refresh_token(app: App) -> None:
    assert "refresh_token" not in app.link(access_type="online")


def test_granted_scopes_are_included_only_when_asked_for(app: App) -> None:
    app.link()
    assert set(app.link(scope=f"openid {EVENTS}")["scope"].split()) == {"openid", EVENTS}
    merged = app.link(scope=f"openid {EVENTS}", include_granted_scopes="true")
    assert set(merged["scope"].split()) == {"openid", EMAIL, MAIL, CONTACTS, EVENTS}


def test_prompt_none_answers_at_once_for_a_user_who_granted_before(app: App) -> None:
    refused = callback(app.http.get(app.auth_url(prompt="none")))
    assert refused["error"] == "consent_required"
    app.link()
    assert "code" in callback(app.http.get(app.auth_url(prompt="none")))
    unknown = callback(app.http.get(app.auth_url(prompt="none", login_hint=None)))
    assert unknown["error"] == "interaction_required"


def test_a_code_works_once_and_its_second_use_harms_nothing(app: App) -> None:
    code = app.consent()
    refresh = app.exchange(code).json()["refresh_token"]
    assert refusal(app.exchange(code)) == BAD_REQUEST
    assert app.refresh(refresh).status_code == 200


def test_a_code_expires_after_ten_minutes(app: App, clock: SandboxClock) -> None:
    early, late = app.consent(), app.consent()
    clock.advance(590)
    assert app.exchange(early).status_code == 200
    clock.advance(20)
    assert refusal(app.exchange(late)) == BAD_REQUEST


def test_refreshing_keeps_the_refresh_token_and_gives_a_new_access_token(app: App) -> None:
    linked = app.link()
    answer = app.refresh(linked["refresh_token"]).json()
    assert "refresh_token" not in answer
    assert answer["access_token"] != linked["access_token"]
    assert answer["scope"] == linked["scope"]


def test_rotation_gives_a_new_refresh_token_and_kills_the_old(app: App) -> None:
    old = app.link()["refresh_token"]
    app.google.knobs.rotate_refresh_tokens = True
    new = app.refresh(old).json()["refresh_token"]
    assert refusal(app.refresh(old)) == REVOKED
    assert app.refresh(new).status_code == 200


def test_an_access_token_lives_3599_seconds(app: App, clock: SandboxClock) -> None:
    token = app.link()["access_token"]
    clock.advance(3590)
    info = app.google.token_active(token)
    assert info is not None
    assert (info.email, info.sub) == (ANN, "100000000000000000001")
    clock.advance(20)
    assert app.google.token_active(token) is None
    assert app.userinfo(token).status_code == 401


def test_access_tokens_can_be_made_to_expire_while_the_refresh_token_lives(app: App) -> None:
    linked = app.link()
    app.google.expire_access_tokens(ANN)
    assert app.google.mail_user(linked["access_token"]) is None
    fresh = app.refresh(linked["refresh_token"]).json()["access_token"]
    assert app.google.mail_user(fresh) == ANN


def test_status_testing_ends_a_refresh_token_after_seven_days(app: App, clock: SandboxClock) -> None:
    app.google.clients.update(app.client.client_id, testing=True)
    linked = app.link()
    assert linked["refresh_token_expires_in"] in (604798, 604799)
    app.google.clients.update(app.client.client_id, testing=False)
    clock.advance(timedelta(days=6).total_seconds())
    assert app.refresh(linked["refresh_token"]).json()["refresh_token_expires_in"] <= 86400
    clock.advance(timedelta(days=1).total_seconds())
    assert refusal(app.refresh(linked["refresh_token"])) == REVOKED


def test_status_testing_spares_tokens_for_sign_in_only(app: App) -> None:
    app.google.clients.update(app.client.client_id, testing=True)
    assert "refresh_token_expires_in" not in app.link(scope="openid email profile")


def test_time_based_access_ends_when_the_user_said(app: App, clock: SandboxClock) -> None:
    app.google.auto_consent = Consent(user=ANN, expires_in=3600)
    linked = app.exchange(callback(app.http.get(app.auth_url()))["code"]).json()
    assert linked["refresh_token_expires_in"] in (3598, 3599)
    clock.advance(3601)
    assert refusal(app.refresh(linked["refresh_token"])) == REVOKED


def test_a_refresh_token_unused_for_half_a_year_dies(app: App, clock: SandboxClock) -> None:
    token = app.link()["refresh_token"]
    for _ in range(2):
        clock.advance(timedelta(days=179).total_seconds())
        assert app.refresh(token).status_code == 200
    clock.advance(timedelta(days=181).total_seconds())
    assert refusal(app.refresh(token)) == REVOKED


def test_the_hundred_and_first_refresh_token_silently_ends_the_oldest(app: App) -> None:
    tokens = [app.link(prompt="consent")["refresh_token"] for _ in range(101)]
    assert refusal(app.refresh(tokens[0])) == BAD_REQUEST
    assert app.refresh(tokens[1]).status_code == 200
    assert app.google.store.live_refresh_tokens(ANN) == tuple(tokens[1:])


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoking_any_token_kills_all_of_that_client_and_user(app: App, kind: str) -> None:
    linked, second = app.link(), app.link(prompt="consent")
    other = App(app.google, app.google.clients.add("desktop"), app.http)
    spared = other.link()
    answer = app.revoke(linked[kind])
    assert (answer.status_code, answer.json()) == (200, {})
    assert refusal(app.refresh(second["refresh_token"])) == REVOKED
    assert app.google.token_active(second["access_token"]) is None
    assert other.refresh(spared["refresh_token"]).status_code == 200
    assert "refresh_token" in app.link()  # the grant is gone too: this is a first time again


def test_a_revocation_may_reach_access_tokens_late(app: App, clock: SandboxClock) -> None:
    linked = app.link()
    app.google.knobs.revocation_lag = 60
    app.revoke(linked["refresh_token"])
    assert app.google.token_active(linked["access_token"]) is not None
    clock.advance(61)
    assert app.google.token_active(linked["access_token"]) is None


@pytest.mark.parametrize("dead", ["garbage", "revoked", "expired"])
def test_revoking_what_is_dead_or_unknown_is_refused(app: App, dead: str) -> None:
    token = app.link()["access_token"]
    if dead == "revoked":
        app.revoke(token)
    elif dead == "expired":
        app.google.expire_access_tokens()
    else:
        token = "ya29.garbage"
    assert refusal(app.revoke(token)) == (400, "invalid_token", "Token expired or revoked")


def test_a_user_can_take_back_access_in_the_account_settings(app: App) -> None:
    linked = app.link()
    pending = app.consent()
    app.google.revoke_user(ANN)
    assert refusal(app.refresh(linked["refresh_token"])) == REVOKED
    assert refusal(app.exchange(pending)) == BAD_REQUEST


def test_a_new_password_kills_tokens_with_mail_and_spares_the_others(app: App) -> None:
    mail = app.link()
    other = App(app.google, app.google.clients.add("desktop"), app.http)
    contacts = other.link(CONTACTS)
    app.google.change_password(ANN)
    assert refusal(app.refresh(mail["refresh_token"])) == REVOKED
    assert app.google.token_active(mail["access_token"]) is None
    assert other.refresh(contacts["refresh_token"]).status_code == 200


def test_session_control_asks_for_a_new_sign_in_until_the_next_consent(app: App) -> None:
    token = app.link()["refresh_token"]
    app.google.require_reauth(ANN)
    answer = app.refresh(token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert answer.json()["error_subtype"] == "invalid_rapt"
    app.link(prompt="consent")
    assert app.refresh(token).status_code == 200


def test_a_deleted_account_ends_its_tokens_with_a_text_of_its_own(app: App) -> None:
    linked = app.link()
    app.google.users.delete(ANN)
    answer = refusal(app.refresh(linked["refresh_token"]))
    assert answer == (400, "invalid_grant", "Account has been deleted")
    assert app.google.token_active(linked["access_token"]) is None


def test_a_changed_address_keeps_the_subject(app: App) -> None:
    linked = app.link()
    app.google.users.update(ANN, email="ann.new@example.com")
    claims = app.userinfo(linked["access_token"]).json()
    assert (claims["sub"], claims["email"]) == ("100000000000000000001", "ann.new@example.com")


def test_google_auth_accepts_the_id_token_by_the_published_certificates(app: App) -> None:
    linked = app.link(scope=f"openid email profile {MAIL}", nonce="n-0S6")
    certs = app.http.get(f"{app.google.base_url}/oauth2/v1/certs").json()
    claims = jwt_decode(linked["id_token"], certs=certs, audience=app.client.client_id)
    half = hashlib.sha256(linked["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    assert claims["iss"] == "https://accounts.google.com"
    assert claims["azp"] == app.client.client_id
    assert (claims["sub"], claims["hd"]) == ("100000000000000000001", "example.com")
    assert (claims["email"], claims["email_verified"], claims["name"]) == (ANN, True, "Ann Example")
    assert claims["nonce"] == "n-0S6"
    assert claims["exp"] - claims["iat"] == 3600
    refreshed = app.refresh(linked["refresh_token"]).json()["id_token"]
    assert "nonce" not in jwt_decode(refreshed, certs=certs, audience=app.client.client_id)


def test_the_key_set_holds_the_key_of_the_certificate(app: App, key: SigningKey) -> None:
    (jwk,) = app.http.get(f"{app.google.base_url}/oauth2/v3/certs").json()["keys"]
    modulus = int.from_bytes(base64.urlsafe_b64decode(jwk["n"] + "=="), "big")
    assert modulus == key.private.public_key().public_numbers().n
    assert (jwk["kid"], jwk["alg"], jwk["e"]) == (key.kid, "RS256", "AQAB")


def test_google_auth_refreshes_against_the_double_and_reports_a_revoked_grant(app: App) -> None:
    linked = app.link()
    request = HttpxRequest(app.http)
    credentials: Any = google.oauth2.credentials.Credentials(  # type: ignore[no-untyped-call]  # untyped
        token=None,
        refresh_token=linked["refresh_token"],
        token_uri=f"{app.google.base_url}/token",
        client_id=app.client.client_id,
        client_secret=app.client.client_secret,
    )
    credentials.refresh(request)
    assert app.google.mail_user(credentials.token) == ANN
    app.google.revoke_user(ANN)
    with pytest.raises(google.auth.exceptions.RefreshError, match="Token has been expired or revoked"):
        credentials.refresh(request)


def test_discovery_names_the_endpoints_of_the_double(app: App) -> None:
    found = app.http.get(f"{app.google.base_url}/.well-known/openid-configuration").json()
    assert found["issuer"] == "https://accounts.google.com"
    named = {name: value for name, value in found.items() if name.endswith("_endpoint")}
    paths = {name: value.removeprefix(app.google.base_url) for name, value in named.items()}
    assert paths == {
        "authorization_endpoint": "/o/oauth2/v2/auth",
        "token_endpoint": "/token",
        "revocation_endpoint": "/revoke",
        "userinfo_endpoint": "/v1/userinfo",
    }


def test_a_resource_server_can_introspect_in_each_of_dovecots_modes(app: App) -> None:
    token, address = app.link()["access_token"], f"{app.google.base_url}/introspect"
    posted = app.http.post(address, data={"token": token}).json()
    assert posted["active"] is True
    assert (posted["email"], posted["sub"]) == (ANN, "100000000000000000001")
    assert MAIL in posted["scope"].split()
    assert app.http.get(address, headers={"Authorization": f"Bearer {token}"}).json() == posted
    assert app.http.get(f"{address}?token={token}").json() == posted
    assert app.http.post(f"{address}?scope={EVENTS}", data={"token": token}).json() == {"active": False}
    app.google.revoke_user(ANN)
    assert app.http.post(address, data={"token": token}).json() == {"active": False}


def test_calls_are_counted_by_route_and_dates_follow_the_clock(app: App, clock: SandboxClock) -> None:
    app.refresh(app.link()["refresh_token"])
    assert app.google.calls["/token"] == 2
    clock.set(clock.now().replace(year=2031, month=5, day=17))
    assert "17 May 2031" in app.http.get(f"{app.google.base_url}/oauth2/v1/certs").headers["date"]


def test_the_same_seed_draws_the_same_tokens(key: SigningKey) -> None:
    seen = []
    for _ in range(2):
        with GoogleDouble(key=key, seed=3) as double, httpx2.Client() as http:
            double.users.add(ANN)
            seen.append(App(double, double.clients.add("desktop"), http).link()["refresh_token"])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("form", ["context", "paths"])
def test_it_speaks_tls_with_a_context_or_with_files(key: SigningKey, tmp_path: Path, form: str) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    tls: Any = context
    if form == "paths":
        tls = (tmp_path / "chain.pem", tmp_path / "key.pem")
        tls[0].write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(tls[1]))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with GoogleDouble(key=key, tls=tls, hostname="localhost") as double, httpx2.Client(verify=trust) as http:
        double.users.add(ANN)
        assert double.base_url.startswith("https://localhost:")
        assert App(double, double.clients.add("web", [REDIRECT]), http).link()["token_type"] == "Bearer"
        found = http.get(f"{double.base_url}/.well-known/openid-configuration").json()
        assert found["token_endpoint"] == f"{double.base_url}/token"


def test_stopped_it_refuses_connections_and_started_again_it_keeps_address_and_memory(app: App) -> None:
    token, before = app.link()["refresh_token"], app.google.base_url
    app.google.stop()
    with pytest.raises(httpx2.TransportError):
        app.refresh(token)
    app.google.start()
    assert app.google.base_url == before
    assert app.refresh(token).status_code == 200


class HttpxRequest(google.auth.transport.Request):
    """google-auth's transport port over the client the tests use anyway."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> google.auth.transport.Response:
        return HttpxResponse(self._http.request(method, url, content=body, headers=headers))


class HttpxResponse(google.auth.transport.Response):
    """What google-auth reads of an answer."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status_code

    @property
    def headers(self) -> Any:
        return self._response.headers

    @property
    def data(self) -> bytes:
        return self._response.content
