"""What the Google double refuses, with the status, code and text that Google uses for it.
The flow that works is in test_sandbox_google."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from sandbox.clock import SandboxClock
from sandbox.google import Consent, GoogleDouble, SigningKey, new_signing_key
from tests.integration.google_flow import ANN, CONTACTS, MAIL, REDIRECT, App, callback, refusal

WEB_REDIRECT = "https://crm.example.com/callback?tenant=1"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(SandboxClock().now())


@pytest.fixture
def app(key: SigningKey) -> Iterator[App]:
    with GoogleDouble(key=key, seed=7) as double, httpx2.Client() as http:
        double.users.add(ANN, "Ann Example")
        yield App(double, double.clients.add("desktop"), http)


def page_error(response: httpx2.Response) -> tuple[int, str]:
    """Status and code of a page that stops the flow without a redirect."""
    assert "location" not in response.headers
    assert response.headers["content-type"].startswith("text/html")
    status, _, code = response.text.partition("Error ")[2].partition("</strong>")[0].partition(": ")
    assert int(status) == response.status_code
    return response.status_code, code


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"client_id": None}, (400, "invalid_request")),
        ({"client_id": "nobody"}, (401, "invalid_client")),
        ({"redirect_uri": None}, (400, "invalid_request")),
        ({"redirect_uri": "http://127.0.0.1.evil.example/callback"}, (400, "redirect_uri_mismatch")),
        ({"redirect_uri": "http://user@127.0.0.1:8000/"}, (400, "redirect_uri_mismatch")),
        ({"redirect_uri": "https://127.0.0.1:8000/"}, (400, "redirect_uri_mismatch")),
        ({"redirect_uri": "http://127.0.0.1:8000/#x"}, (400, "redirect_uri_mismatch")),
        ({"redirect_uri": "http://127.0.0.1:port/"}, (400, "redirect_uri_mismatch")),
        ({"redirect_uri": "http://[::1"}, (400, "redirect_uri_mismatch")),
        ({"response_type": None}, (400, "invalid_request")),
        ({"response_type": "token"}, (400, "unsupported_response_type")),
        ({"scope": "openid mail nonsense"}, (400, "invalid_scope")),
        ({"scope": " "}, (400, "invalid_request")),
        ({"access_type": "sometimes"}, (400, "invalid_request")),
        ({"include_granted_scopes": "yes"}, (400, "invalid_request")),
        ({"prompt": "none consent"}, (400, "invalid_request")),
        ({"prompt": "please"}, (400, "invalid_request")),
        ({"code_challenge": None}, (400, "invalid_request")),
        ({"code_challenge": "short"}, (400, "invalid_request")),
        ({"code_challenge_method": "plain"}, (400, "invalid_request")),
        ({"code_challenge_method": None}, (400, "invalid_request")),
    ],
)
def test_a_wrong_authorization_request_ends_on_googles_own_page(
    app: App, params: dict[str, Any], expected: tuple[int, str]
) -> None:
    address = app.auth_url(**params)
    assert page_error(app.http.get(address)) == expected
    form = {"user": ANN, "decision": "allow"}
    assert page_error(app.http.post(address, data=form)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"deleted": True}, (401, "deleted_client")),
        ({"disabled": True}, (401, "disabled_client")),
        ({"internal_domain": "example.com"}, (403, "org_internal")),
        ({"testing": True, "test_users": frozenset({"bob@example.com"})}, (403, "access_denied")),
    ],
)
def test_an_application_may_be_closed_to_the_user(app: App, changes: dict[str, Any], expected: tuple[int, str]) -> None:
    app.google.clients.update(app.client.client_id, **changes)
    app.google.auto_consent = Consent(user=ANN)
    assert page_error(app.http.get(app.auth_url())) == expected


def test_an_administrator_may_block_the_service_before_and_after_the_link(app: App) -> None:
    token = app.link()["refresh_token"]
    app.google.users.update(ANN, admin_policy=True)
    form = {"user": ANN, "decision": "allow"}
    assert page_error(app.http.post(app.auth_url(), data=form)) == (400, "admin_policy_enforced")
    assert refusal(app.refresh(token))[:2] == (400, "admin_policy_enforced")


def test_an_embedded_browser_is_sent_away(app: App) -> None:
    agent = {"User-Agent": "Mozilla/5.0 (Linux; Android 14; Pixel Build/X; wv) AppleWebKit/537.36"}
    assert page_error(app.http.get(app.auth_url(), headers=agent)) == (403, "disallowed_useragent")


@pytest.mark.parametrize("form", [{}, {"decision": "maybe"}, {"decision": "allow", "user": "nobody@example.com"}])
def test_a_form_without_a_decision_or_with_an_unknown_user_is_refused(app: App, form: dict[str, str]) -> None:
    assert page_error(app.http.post(app.auth_url(login_hint=None), data=form)) == (400, "invalid_request")


def test_a_web_client_must_name_its_redirect_address_exactly(app: App) -> None:
    web = App(app.google, app.google.clients.add("web", [WEB_REDIRECT]), app.http)
    form = {"user": ANN, "decision": "allow"}
    answer = app.http.post(web.auth_url(redirect_uri=WEB_REDIRECT), data=form)
    assert answer.headers["location"].startswith(f"{WEB_REDIRECT}&state=")
    for wrong in (WEB_REDIRECT + "&x=1", WEB_REDIRECT.removesuffix("?tenant=1"), REDIRECT):
        address = web.auth_url(redirect_uri=wrong)
        assert page_error(app.http.post(address, data=form)) == (400, "redirect_uri_mismatch")


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/", "http://[::1]:40000/a/b", "http://localhost:9/x?y=1"])
def test_a_desktop_client_may_use_any_loopback_port(app: App, address: str) -> None:
    app.google.auto_consent = Consent(user=ANN)
    answer = app.http.get(app.auth_url(redirect_uri=address))
    assert (answer.status_code, answer.headers["location"].startswith(address)) == (302, True)


@pytest.mark.parametrize("address", ["http://crm.example.com/", "https://crm.example.com/#part", "crm:callback"])
def test_the_console_does_not_register_unsafe_redirect_addresses(app: App, address: str) -> None:
    with pytest.raises(ValueError, match="redirect address"):
        app.google.clients.add("web", [address])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"code": "garbage"}, (400, "invalid_grant", "Malformed auth code.")),
        ({"code": "4/0Agarbage"}, (400, "invalid_grant", "Bad Request")),
        ({"code": None}, (400, "invalid_request", "Missing required parameter: code")),
        ({"redirect_uri": None}, (400, "invalid_request", "Missing required parameter: redirect_uri")),
        ({"redirect_uri": REDIRECT + "/"}, (400, "redirect_uri_mismatch", "Bad Request")),
        ({"code_verifier": "w" * 43}, (400, "invalid_grant", "Invalid code verifier.")),
        ({"code_verifier": "wröng" * 10}, (400, "invalid_grant", "Invalid code verifier.")),
        ({"code_verifier": None}, (400, "invalid_grant", "Missing code verifier.")),
        ({"client_secret": "wrong"}, (401, "invalid_client", "The provided client secret is invalid.")),
        ({"client_secret": None}, (400, "invalid_request", "client_secret is missing.")),
        ({"client_id": "nobody"}, (401, "invalid_client", "The OAuth client was not found.")),
        ({"client_id": None}, (400, "invalid_request", "Could not determine client ID from request.")),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", "Invalid grant_type: password")),
        ({"grant_type": None}, (400, "unsupported_grant_type", "Invalid grant_type: ")),
    ],
)
def test_a_wrong_exchange_is_refused_and_leaves_the_code_usable(
    app: App, fields: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    code = app.consent()
    assert refusal(app.exchange(**({"code": code} | fields))) == expected
    assert app.exchange(code).status_code == 200


def test_a_code_belongs_to_the_client_it_was_given_to(app: App) -> None:
    other = App(app.google, app.google.clients.add("desktop"), app.http)
    assert refusal(other.exchange(app.consent())) == (400, "invalid_grant", "Bad Request")


def test_without_a_challenge_google_wants_no_verifier(app: App) -> None:
    app.google.clients.update(app.client.client_id, require_pkce=False)
    app.google.auto_consent = Consent(user=ANN)
    bare = app.auth_url(code_challenge=None, code_challenge_method=None)
    code = callback(app.http.get(bare))["code"]
    unasked = (400, "invalid_grant", "code_verifier or verifier is not needed.")
    assert refusal(app.exchange(code)) == unasked
    assert app.exchange(code, code_verifier=None).status_code == 200


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"refresh_token": "1//garbage"}, (400, "invalid_grant", "Bad Request")),
        ({"refresh_token": None}, (400, "invalid_request", "Missing required parameter: refresh_token")),
        ({"scope": f"{MAIL} https://www.googleapis.com/auth/drive"}, (400, "invalid_scope", "Bad Request")),
        ({"scope": "a b"}, (400, "invalid_scope", "Some requested scopes were invalid. {invalid=[a, b]}")),
    ],
)
def test_a_wrong_refresh_is_refused(app: App, fields: dict[str, Any], expected: tuple[int, str, str]) -> None:
    token = app.link()["refresh_token"]
    assert refusal(app.refresh(**({"token": token} | fields))) == expected


def test_a_refresh_may_ask_for_fewer_scopes(app: App) -> None:
    token = app.link()["refresh_token"]
    assert app.refresh(token, scope=CONTACTS).json()["scope"] == CONTACTS


def test_a_refresh_token_is_useless_to_another_client(app: App) -> None:
    other = App(app.google, app.google.clients.add("desktop"), app.http)
    answer = refusal(other.refresh(app.link()["refresh_token"]))
    assert answer == (401, "unauthorized_client", "Unauthorized")


def test_a_deleted_client_is_an_administrators_problem(app: App) -> None:
    linked = app.link()
    app.google.clients.delete(app.client.client_id)
    expected = (401, "deleted_client", "The OAuth client was deleted.")
    assert refusal(app.refresh(linked["refresh_token"])) == expected
    assert app.google.token_active(linked["access_token"]) is None


def test_the_client_may_prove_itself_by_http_basic(app: App) -> None:
    token = app.link()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    address, ident = f"{app.google.base_url}/token", app.client.client_id
    assert app.http.post(address, data=form, auth=(ident, app.client.client_secret)).status_code == 200
    wrong = app.http.post(address, data=form, auth=(ident, "wrong"))
    assert refusal(wrong)[:2] == (401, "invalid_client")
    broken = app.http.post(address, data=form, headers={"Authorization": "Basic ?"})
    assert refusal(broken)[:2] == (401, "invalid_client")


def test_only_forms_with_single_values_are_read(app: App) -> None:
    address = f"{app.google.base_url}/token"
    assert refusal(app.http.post(address, json={"grant_type": "refresh_token"}))[:2] == (400, "invalid_request")
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    doubled = app.http.post(address, content=b"grant_type=a&grant_type=b", headers=kind)
    assert refusal(doubled)[:2] == (400, "invalid_request")


def test_revoking_without_a_token_is_a_bad_request(app: App) -> None:
    answer = app.http.post(f"{app.google.base_url}/revoke", data={})
    assert refusal(answer) == (400, "invalid_request", "Missing required parameter: token")


@pytest.mark.parametrize("path", ["/revoke", "/token", "/nowhere"])
def test_a_get_where_google_takes_none_is_a_404_page(app: App, path: str) -> None:
    answer = app.http.get(app.google.base_url + path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("authorization", [None, "Bearer ya29.garbage", "Bearer", "Basic eDp5"])
def test_userinfo_refuses_a_missing_or_unknown_token(app: App, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = app.http.get(f"{app.google.base_url}/v1/userinfo", headers=headers)
    assert refusal(answer) == (401, "invalid_request", "Invalid Credentials")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("token", ["", "ya29.garbage"])
def test_introspection_of_an_unknown_token_says_inactive(app: App, token: str) -> None:
    answer = app.http.post(f"{app.google.base_url}/introspect", data={"token": token})
    assert (answer.status_code, answer.json()) == (200, {"active": False})


def test_names_and_errors_are_escaped_in_pages(app: App) -> None:
    app.google.users.add('"><script>@example.com', "<script>alert(1)</script>")
    app.google.clients.update(app.client.client_id, name="<script>")
    assert "<script>" not in app.http.get(app.auth_url(state='"><script>')).text
    assert "<script>" not in app.http.get(app.auth_url(redirect_uri="<script>")).text
