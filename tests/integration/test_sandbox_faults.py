"""Scripted faults in front of the Google double: each kind, as a client sees it on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from sandbox.clock import SandboxClock
from sandbox.google import GoogleDouble, SigningKey, new_signing_key
from tests.integration.google_flow import ANN, App, refusal


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(SandboxClock().now())


@pytest.fixture
def app(key: SigningKey) -> Iterator[App]:
    with GoogleDouble(key=key, seed=7) as double, httpx2.Client() as http:
        double.users.add(ANN)
        yield App(double, double.clients.add("desktop"), http)


def test_a_page_of_html_comes_as_often_as_scripted_and_then_the_double_recovers(app: App) -> None:
    token = app.link()["refresh_token"]
    app.google.faults.next("/token", status=503, html="<h1>Service Unavailable</h1>", times=3)
    answers = [app.refresh(token) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 503, 503, 200]
    assert answers[0].headers["content-type"] == "text/html; charset=utf-8"
    assert app.google.faults.pending() == 0


def test_an_envelope_with_headers_is_sent_as_given(app: App) -> None:
    body = {"error": "internal_failure"}
    app.google.faults.next("POST /token", status=500, json=body, headers={"Retry-After": "30"})
    answer = app.refresh("1//any")
    assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (500, body, "30")


def test_faults_without_an_end_last_until_cleared(app: App) -> None:
    app.google.faults.next("/token", status=429, times=None)
    assert {app.refresh("1//any").status_code for _ in range(5)} == {429}
    app.google.faults.clear()
    assert refusal(app.refresh("1//any"))[0] == 400


def test_faults_are_played_in_order_and_only_on_their_route(app: App) -> None:
    app.google.faults.next("/oauth2/*", status=500)
    app.google.faults.next("/oauth2/v3/certs", status=502)
    app.google.faults.next("POST /oauth2/v1/certs", status=503)
    root = app.google.base_url
    paths = ("/oauth2/v1/certs", "/oauth2/v3/certs", "/oauth2/v1/certs", "/.well-known/openid-configuration")
    assert [app.http.get(root + path).status_code for path in paths] == [500, 502, 200, 200]
    assert app.google.faults.pending() == 1


def test_a_dropped_request_was_not_applied(app: App) -> None:
    code = app.consent()
    app.google.faults.next("/token", drop="before")
    with pytest.raises(httpx2.RemoteProtocolError):
        app.exchange(code)
    assert app.exchange(code).status_code == 200


def test_a_dropped_answer_leaves_the_work_done(app: App) -> None:
    code = app.consent()
    app.google.faults.next("/token", drop="after")
    with pytest.raises(httpx2.RemoteProtocolError):
        app.exchange(code)
    assert refusal(app.exchange(code)) == (400, "invalid_grant", "Bad Request")


def test_an_answer_can_be_replaced_after_the_work_is_done(app: App) -> None:
    linked = app.link()
    app.google.faults.next("/revoke", status=502, html="<h1>Bad Gateway</h1>", apply=True)
    assert app.revoke(linked["access_token"]).status_code == 502
    assert app.google.token_active(linked["access_token"]) is None


def test_a_truncated_answer_breaks_off_in_the_body(app: App) -> None:
    token = app.link()["refresh_token"]
    app.google.faults.next("/token", truncate=20)
    with pytest.raises(httpx2.RemoteProtocolError):
        app.refresh(token)
    app.google.faults.next("/token", status=503, html="<h1>half</h1>", truncate=0)
    with pytest.raises(httpx2.RemoteProtocolError):
        app.refresh(token)


def test_a_wrong_content_type_hides_a_good_answer(app: App) -> None:
    app.google.faults.next("/oauth2/v1/certs", body=b"\x00\xff", headers={"Content-Type": "text/plain"})
    answer = app.http.get(f"{app.google.base_url}/oauth2/v1/certs")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"\x00\xff", "text/plain")


def test_a_held_request_waits_for_its_release_while_others_pass(app: App) -> None:
    token = app.link()["refresh_token"]
    fault = app.google.faults.next("/token", hold=True)
    with ThreadPoolExecutor(1) as pool, httpx2.Client() as other:
        held = pool.submit(App(app.google, app.client, other).refresh, token)
        assert fault.reached.wait(10)
        assert app.refresh(token).status_code == 200
        assert not held.done()
        fault.release()
        assert held.result(10).status_code == 200


def test_a_delay_outlasts_an_impatient_client(app: App) -> None:
    app.google.faults.next("/oauth2/v1/certs", delay=60)
    with pytest.raises(httpx2.ReadTimeout):
        app.http.get(f"{app.google.base_url}/oauth2/v1/certs", timeout=0.05)
    assert app.http.get(f"{app.google.base_url}/oauth2/v1/certs").status_code == 200


def test_stopping_the_double_ends_held_requests(app: App) -> None:
    fault = app.google.faults.next("/token", hold=True)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(app.refresh, "1//any")
        assert fault.reached.wait(10)
        app.google.stop()
        assert isinstance(held.exception(10), httpx2.TransportError)


def test_faulty_requests_are_counted_too(app: App) -> None:
    app.google.faults.next("/token", status=503)
    app.refresh("1//any")
    assert app.google.calls["/token"] == 1


def test_a_fault_that_changes_nothing_is_a_mistake_in_the_script(app: App) -> None:
    with pytest.raises(ValueError, match="a fault needs"):
        app.google.faults.next("/token")
    with pytest.raises(ValueError, match="headers alone"):
        app.google.faults.next("/token", headers={"X": "y"})
