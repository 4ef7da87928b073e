"""The Calendar double over its socket, with Google's client library, httplib2 and google-auth as they are.
Its rules are tested without a socket in tests/unit/test_sandbox_calendar_*."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google.oauth2.credentials
import httplib2
import pytest
from googleapiclient.errors import HttpError

from sandbox.clock import SandboxClock
from sandbox.google import GoogleDouble, SigningKey, access_token, new_signing_key, scopes
from tests.unit.test_sandbox_calendar_fidelity import (
    ANN,
    BOB,
    FULL,
    at,
    build_from_document,
    check,
    document_at,
    event,
    guests,
    method_of,
)

google_auth_httplib2: Any = importlib.import_module("google_auth_httplib2")  # untyped upstream


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return new_signing_key(SandboxClock().now())


@dataclass(frozen=True)
class Linked:
    """A running double and what talks to it; `open` closes the connections at the end of the test."""

    google: GoogleDouble
    open: ExitStack

    def signed_in(self, email: str = ANN, *granted: str) -> Any:
        """The client library with a new token."""
        make: Any = google.oauth2.credentials.Credentials  # untyped upstream
        token = access_token(self.google.store, email, *(granted or (scopes.CALENDAR,)))
        http = httplib2.Http(timeout=30, proxy_info=None)
        self.open.callback(http.close)
        transport = google_auth_httplib2.AuthorizedHttp(make(token), http=http)
        return build_from_document(document_at(f"{self.google.base_url}/"), http=transport)


@pytest.fixture
def linked(key: SigningKey) -> Iterator[Linked]:
    with GoogleDouble(key=key, seed=5) as double, ExitStack() as stack:
        double.users.add(ANN, "Ann Example")
        double.users.add(BOB, "Bob Example")
        yield Linked(double, stack)


def test_insert_list_patch_and_delete_work_as_at_google(linked: Linked) -> None:
    events = linked.signed_in().events()
    made = events.insert(calendarId="primary", body=FULL).execute()
    check(method_of("POST", "/calendar/v3/calendars/primary/events")["response"], made)
    token = events.list(calendarId=ANN).execute()["nextSyncToken"]
    patch = events.patch(calendarId="primary", eventId=made["id"], body={"summary": "Ä"})
    patch.headers["If-Match"] = made["etag"]
    assert patch.execute()["summary"] == "Ä"
    (changed,) = events.list(calendarId="primary", syncToken=token).execute()["items"]
    assert changed["summary"] == "Ä"
    assert events.delete(calendarId="primary", eventId=made["id"]).execute() == ""
    assert linked.google.calendar.calls == {
        "events.insert": 1,
        "events.list": 2,
        "events.patch": 1,
        "events.delete": 1,
    }


def test_ids_with_signs_arrive_percent_encoded(linked: Linked) -> None:
    book = linked.google.calendar.book(ANN)
    team = book.make_calendar("Team")
    events = linked.signed_in().events()
    assert events.insert(calendarId=team, body=event()).execute()["organizer"]["email"] == team
    with pytest.raises(HttpError, match="Not Found"):
        events.list(calendarId="de.german#holiday@group.v.calendar.google.com").execute()


def test_refusals_reach_the_client_library_with_code_and_reason(linked: Linked) -> None:
    events = linked.signed_in(ANN, scopes.CALENDAR_EVENTS_READONLY).events()
    with pytest.raises(HttpError, match="insufficient authentication scopes"):
        events.insert(calendarId="primary", body=event()).execute()
    with pytest.raises(HttpError) as caught:
        events.list(calendarId="primary", syncToken="x").execute()
    assert (caught.value.resp.status, caught.value.reason) == (400, "Invalid sync token value.")


def test_an_answer_lost_after_an_insert_is_met_again_as_a_duplicate(linked: Linked) -> None:
    # httplib2 sends even a POST again when the connection ends without an answer (google.md, E).
    linked.google.faults.next("POST /calendar/v3/calendars/primary/events", drop="after")
    with pytest.raises(HttpError, match="already exists"):
        linked.signed_in().events().insert(calendarId="primary", body=event(id="abcde")).execute()
    assert set(linked.google.calendar.book(ANN).events()) == {"abcde"}


def test_two_users_of_one_double_meet(linked: Linked) -> None:
    ident = linked.signed_in().events().insert(calendarId="primary", body=event(attendees=guests(BOB))).execute()["id"]
    answer = {"attendeesOmitted": True, "attendees": [{"email": BOB, "responseStatus": "accepted"}]}
    linked.signed_in(BOB).events().patch(calendarId="primary", eventId=ident, body=answer).execute()
    (guest,) = linked.google.calendar.book(ANN).event(ident)["attendees"]
    assert guest == {"email": BOB, "responseStatus": "accepted"}
    assert linked.google.calendar.mails == []


def test_an_empty_answer_has_no_body_and_an_unknown_address_is_json(linked: Linked) -> None:
    http = httplib2.Http(timeout=30, proxy_info=None)
    linked.open.callback(http.close)
    answer, content = http.request(f"{linked.google.base_url}/calendar/v3/nothing")
    assert (answer.status, b'"reason":"notFound"' in content) == (404, True)


def test_a_watch_channel_calls_back_over_http(linked: Linked) -> None:
    came: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}/hook?account=1"
        body = {"id": "c1", "type": "web_hook", "address": address, "token": "secret"}
        linked.signed_in().events().watch(calendarId="primary", body=body).execute()
        linked.google.calendar.book(ANN).create("Lunch", at(3, 2, 10), at(3, 2, 11))
        server.shutdown()
        thread.join()
    assert [one["x-goog-resource-state"] for one in came] == ["sync", "exists"]
    assert {one["x-goog-channel-token"] for one in came} == {"secret"}
    assert [one.status for one in linked.google.calendar.channels.sent] == [204, 204]
