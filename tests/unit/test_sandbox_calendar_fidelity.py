"""The Calendar double against Google's own discovery document: methods, parameters, fields and answers are its own.
Also the world the other tests of the double stand in: the real client library, in this process, all answers checked."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import googleapiclient
import pytest
from googleapiclient import discovery as client_library
from googleapiclient.errors import HttpError

from sandbox.clock import SandboxClock
from sandbox.google import CalendarApi, CalendarBook, CalendarKnobs, InProcessHttp, access_token, scopes
from sandbox.google.calendar_call import STANDARD
from sandbox.google.calendar_operations import OPERATIONS
from sandbox.google.calendar_schema import ATTENDEE, CHANNEL, EVENT, EVENT_TYPES
from sandbox.google.store import Store

ANN, BOB, CID, EVE = "ann@example.com", "bob@example.com", "cid@example.com", "eve@example.com"
BERLIN = "Europe/Berlin"
WEEKLY = "RRULE:FREQ=WEEKLY"
START = datetime(2026, 3, 2, 8, 0, 0, tzinfo=UTC)  # a Monday
Json = dict[str, Any]
build_from_document: Any = vars(client_library)["build_from_document"]  # unknown to the stubs


@cache
def discovery_text() -> str:
    """Google's description of the API, as shipped with its client library."""
    folder = Path(str(googleapiclient.__file__)).parent
    return (folder / "discovery_cache/documents/calendar.v3.json").read_text(encoding="utf-8")


@cache
def discovery() -> Json:
    """The description, to be looked at."""
    document: Json = json.loads(discovery_text())
    return document


def document_at(root: str) -> Json:
    """The description with its root elsewhere (google.md, E); a fresh one, as the client library writes into it."""
    document: Json = json.loads(discovery_text())
    return {name: value for name, value in document.items() if name != "mtlsRootUrl"} | {"rootUrl": root}


@cache
def methods() -> dict[str, Json]:
    """Google's methods by name, as `events.list`."""

    def walk(resources: Json) -> Iterator[Json]:
        for resource in resources.values():
            yield from resource.get("methods", {}).values()

    return {one["id"].removeprefix("calendar."): one for one in walk(discovery()["resources"])}


def method_of(http: str, path: str) -> Json:
    """The method a request is for."""
    found = [
        one
        for one in methods().values()
        if one["httpMethod"] == http and re.fullmatch("/calendar/v3/" + re.sub(r"\{\w+\}", "[^/]+", one["path"]), path)
    ]
    # Of `events/{eventId}/...` and `events/watch` the one with fewer holes.
    return min(found, key=lambda one: str(one["path"]).count("{"))


def check(schema: Json, value: Any, where: str = "answer") -> None:
    """Hold a value against a schema of the discovery document; an unknown member is a failure."""
    if "$ref" in schema:
        check(discovery()["schemas"][schema["$ref"]], value, where)
    elif schema.get("type") == "array":
        assert isinstance(value, list), where
        for index, item in enumerate(value):
            check(schema["items"], item, f"{where}[{index}]")
    elif schema.get("type") == "object":
        assert isinstance(value, dict), where
        for name, member in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            assert known, f"{where}.{name} is unknown to Google"
            check(known, member, f"{where}.{name}")
    elif schema.get("type") != "any":
        kinds: dict[str, type] = {"string": str, "integer": int, "boolean": bool}
        assert type(value) is kinds[schema["type"]], f"{where}: {value!r}"
        if schema.get("format") == "date-time":
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?(Z|[+-]\d\d:\d\d)", str(value)), where


@dataclass(frozen=True)
class CheckedHttp:
    """An httplib2-like object that holds every good answer against the discovery document."""

    inner: InProcessHttp

    def request(self, uri: str, method: str = "GET", **rest: Any) -> Any:
        answer, content = self.inner.request(uri, method, **rest)
        verb = (rest.get("headers") or {}).get("x-http-method-override", method)
        told = method_of(verb, unquote(uri.partition("?")[0].removeprefix("http://calendar.example")))
        if answer.status == 200:
            check(told["response"], json.loads(content))
        elif answer.status == 204:
            assert "response" not in told
            assert content == b""
        elif answer.status != 304:
            error = json.loads(content)["error"]
            assert error["code"] == answer.status
            assert {"domain", "reason", "message"} <= set(error["errors"][0])
        return answer, content

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True)
class World:
    """Ann, Bob and Cid, each with an empty calendar, and the client library signed in as any of them."""

    clock: SandboxClock
    store: Store
    api: CalendarApi
    clients: dict[Any, Any] = field(default_factory=dict)

    @property
    def knobs(self) -> CalendarKnobs:
        return self.api.knobs

    @property
    def ann(self) -> CalendarBook:
        return self.api.book(ANN)

    @property
    def bob(self) -> CalendarBook:
        return self.api.book(BOB)

    def signed_in(self, email: str = ANN, *granted: str) -> Any:
        """The client library as that user, for events unless other scopes are named."""
        chosen = granted or (scopes.CALENDAR,)
        if (email, chosen) not in self.clients:
            http = InProcessHttp(self.api, lambda: access_token(self.store, email, *chosen))
            document = document_at("http://calendar.example/")
            self.clients[email, chosen] = build_from_document(document, http=CheckedHttp(http))
        return self.clients[email, chosen]

    def events(self, email: str = ANN) -> Any:
        return self.signed_in(email).events()

    def page(self, email: str = ANN, **params: Any) -> Json:
        """One page of events.list, of the own calendar unless told otherwise."""
        answer: Json = self.events(email).list(**{"calendarId": "primary"} | params).execute()
        return answer

    def items(self, email: str = ANN, **params: Any) -> dict[str, Json]:
        """The events on one page, by id."""
        return {one["id"]: one for one in self.page(email, **params)["items"]}

    def get(self, event: str, email: str = ANN, **params: Any) -> Json:
        usual = {"calendarId": "primary", "eventId": event}
        answer: Json = self.events(email).get(**usual | params).execute()
        return answer

    def insert(self, email: str = ANN, body: Json | None = None, **params: Any) -> Json:
        """events.insert of an hour on Monday, or of what is given."""
        usual = {"calendarId": "primary", "body": body or event()}
        answer: Json = self.events(email).insert(**usual | params).execute()
        return answer

    def patch(self, event: str, body: Json, email: str = ANN, etag: str = "", **params: Any) -> Json:
        call = self.events(email).patch(**{"calendarId": "primary", "eventId": event, "body": body} | params)
        if etag:
            call.headers["If-Match"] = etag
        answer: Json = call.execute()
        return answer

    def put(self, event: str, body: Json, email: str = ANN, **params: Any) -> Json:
        usual = {"calendarId": "primary", "eventId": event, "body": body}
        answer: Json = self.events(email).update(**usual | params).execute()
        return answer

    def delete(self, event: str, email: str = ANN, etag: str = "", **params: Any) -> None:
        call = self.events(email).delete(**{"calendarId": "primary", "eventId": event} | params)
        if etag:
            call.headers["If-Match"] = etag
        call.execute()

    def synced(self, email: str = ANN, **params: Any) -> str:
        """The sync token of a full listing that fits on one page."""
        return str(self.page(email, **params)["nextSyncToken"])


def at(month: int, day: int, hour: int, year: int = 2026) -> datetime:
    """An hour on the clock of Berlin."""
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(BERLIN))


def event(**more: Any) -> Json:
    """A body to insert: an hour in Berlin, with other members; None leaves one out."""
    body = {
        "summary": "Lunch",
        "start": {"dateTime": "2026-03-02T10:00:00", "timeZone": BERLIN},
        "end": {"dateTime": "2026-03-02T11:00:00", "timeZone": BERLIN},
        **more,
    }
    return {name: value for name, value in body.items() if value is not None}


def guests(*emails: str) -> list[Json]:
    """Attendees by bare address."""
    return [{"email": one} for one in emails]


def answers(event_: Json) -> dict[str, str]:
    """Who answered what."""
    return {one["email"]: one["responseStatus"] for one in event_.get("attendees", [])}


def new_world(seed: int = 3) -> World:
    clock = SandboxClock(START)
    store = Store(clock.now, random.Random(seed))
    for email in (ANN, BOB, CID):
        store.users.add(email, email.partition("@")[0].title())
    api = CalendarApi(store, clock.now, seed)
    for email in (ANN, BOB, CID):
        api.book(email).set_zone(BERLIN)
    return World(clock, store, api)


def refused(call: Callable[[], object]) -> tuple[int, str]:
    """HTTP code and reason of a refusal."""
    error = refusal(call)
    return error["code"], error["errors"][0]["reason"]


def refusal(call: Callable[[], object]) -> Json:
    """The `error` of a refusal."""
    with pytest.raises(HttpError) as caught:
        call()
    found: Json = json.loads(caught.value.content)["error"]
    return found


@pytest.fixture
def world() -> World:
    return new_world()


# ---- the tables ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_operation_is_a_method_of_google_with_the_same_parameters_and_scopes(operation: Any) -> None:
    method = methods()[operation.name]
    assert (operation.method, operation.template) == (method["httpMethod"], method["path"])
    path_parameters = {name for name, one in method.get("parameters", {}).items() if one["location"] == "path"}
    assert operation.params == set(method.get("parameters", {})) - path_parameters
    assert operation.scopes <= set(method["scopes"])
    assert operation.takes_body == ("request" in method)
    assert operation.empty == ("response" not in method)


def test_the_parameters_taken_by_every_method_are_googles() -> None:
    assert set(discovery()["parameters"]) == STANDARD


@pytest.mark.parametrize(("kind", "name"), [(EVENT, "Event"), (ATTENDEE, "EventAttendee"), (CHANNEL, "Channel")])
def test_the_fields_of_an_event_are_googles_member_by_member(kind: Any, name: str) -> None:
    assert shape(kind) == shape_of({"$ref": name})


def shape(kind: Any) -> Any:
    if isinstance(kind, tuple):
        return [shape(kind[0])]
    return kind if isinstance(kind, str) else {name: shape(one) for name, one in kind.items()}


def shape_of(schema: Json) -> Any:
    """A schema of the discovery document in the words of our table."""
    if "$ref" in schema:
        return shape_of(discovery()["schemas"][schema["$ref"]])
    kind = schema["type"]
    if kind == "array":
        return [shape_of(schema["items"])]
    if kind != "object":
        return {"string": "text", "boolean": "flag", "integer": "number"}.get(kind, kind)
    if "additionalProperties" in schema:
        return "texts by name"
    return {name: shape_of(one) for name, one in schema["properties"].items()}


def test_the_event_types_are_googles() -> None:
    assert set(methods()["events.list"]["parameters"]["eventTypes"]["enum"]) == EVENT_TYPES


# ---- answers with everything in them ---------------------------------------------------------------------

FULL: Json = event(
    description="Bring a <b>spoon</b>",
    location="Canteen",
    recurrence=["RRULE:FREQ=DAILY;COUNT=5", "EXDATE;TZID=Europe/Berlin:20260303T100000"],
    attendees=[
        {"email": ANN, "responseStatus": "accepted"},
        {"email": BOB, "optional": True, "displayName": "Bob", "comment": "maybe", "additionalGuests": 2},
        {"email": "room@example.com", "resource": True},
    ],
    transparency="transparent",
    visibility="private",
    colorId="5",
    reminders={"useDefault": False, "overrides": [{"method": "popup", "minutes": 5}]},
    extendedProperties={"private": {"crm": "1"}, "shared": {"deal": "2"}},
    guestsCanInviteOthers=False,
    guestsCanModify=True,
    guestsCanSeeOtherGuests=False,
    anyoneCanAddSelf=True,
    source={"title": "CRM", "url": "https://crm.example/1"},
    attachments=[{"fileUrl": "https://files.example/1", "title": "Menu"}],
    status="tentative",
)


def test_an_event_with_everything_comes_back_whole_and_fits_the_schema(world: World) -> None:
    made = world.insert(body=FULL, supportsAttachments=True)
    for name in FULL.keys() - {"start", "end", "attendees"}:
        assert made[name] == FULL[name], name
    assert made["start"] == {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": BERLIN}
    assert made["creator"] == made["organizer"] == {"email": ANN, "self": True}
    assert [one.get("self", False) for one in made["attendees"]] == [True, False, False]
    assert made["attendees"][0]["organizer"] is True
    assert world.get(made["id"]) == made
    assert world.items()[made["id"]] == made


def test_what_google_fills_in_is_filled_in(world: World) -> None:
    made = world.insert()
    assert made["kind"] == "calendar#event"
    assert made["iCalUID"] == f"{made['id']}@google.com"
    assert made["status"] == "confirmed"
    assert made["eventType"] == "default"
    assert made["sequence"] == 0
    assert made["reminders"] == {"useDefault": True}
    assert made["etag"].startswith('"')
    assert made["htmlLink"].startswith("https://www.google.com/calendar/event?eid=")


def test_the_same_seed_gives_the_same_ids_and_etags() -> None:
    assert new_world().insert(body=FULL) == new_world().insert(body=FULL)


def test_a_page_tells_of_its_calendar(world: World) -> None:
    page = world.page()
    assert (page["summary"], page["timeZone"], page["accessRole"]) == (ANN, BERLIN, "owner")
    assert page["defaultReminders"] == [{"method": "popup", "minutes": 30}]
    assert page["items"] == []


def test_times_are_sent_in_the_zone_asked_for_else_in_that_of_the_calendar(world: World) -> None:
    made = world.insert()
    there = world.get(made["id"], timeZone="America/New_York")["start"]
    assert there == {"dateTime": "2026-03-02T04:00:00-05:00", "timeZone": BERLIN}
    assert world.page(timeZone="UTC")["items"][0]["start"]["dateTime"] == "2026-03-02T09:00:00Z"
