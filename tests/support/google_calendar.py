"""Ways to look at a Google calendar as our service does, without a socket: on scripted answers, and on the double.
Faults are those of `sandbox.faults`; the double itself is `sandbox.google`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httplib2

from core.event import Event, Moment
from core.replica import Delta, Done, Failed, Item, Scope, Write
from providers.google.calendar import GoogleCalendar
from providers.google.calendar_client import CalendarClient
from tests.support.app_factory import START

Json = dict[str, Any]
ORIGIN = "0123456789abcdef0123456789abcdef"
BERLIN = "Europe/Berlin"
LUNCH = Event(
    title="Lunch",
    start=Moment(at="2026-03-02T11:00:00Z", zone=BERLIN),
    end=Moment(at="2026-03-02T12:00:00Z", zone=BERLIN),
)


@dataclass(frozen=True)
class Sent:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: Any

    @property
    def call(self) -> str:
        return f"{self.method} {self.path.removeprefix('/calendar/v3')}"


@dataclass
class ScriptedHttp:
    """An httplib2-like object that plays answers in order: JSON, (status, JSON), or an error to raise."""

    answers: list[Any]
    sent: list[Sent] = field(default_factory=list)

    def request(self, uri: str, method: str = "GET", body: Any = None, headers: Any = None) -> Any:
        """Play the next answer."""
        parts = urlsplit(uri)
        named = {name.lower(): value for name, value in headers.items()}
        told = json.loads(body) if body else None
        self.sent.append(Sent(method, unquote(parts.path), parse_qs(parts.query), named, told))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        return httplib2.Response({"status": str(status)}), json.dumps(content).encode() if content is not None else b""

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Scripted:
    """Our adapter on scripted answers. All of them must be used."""

    http: ScriptedHttp
    calendar: GoogleCalendar
    waited: list[float]

    @property
    def calls(self) -> list[str]:
        return [one.call for one in self.http.sent]

    @property
    def bodies(self) -> list[Any]:
        return [one.body for one in self.http.sent if one.body is not None]


def scripted(*answers: Any, since: date | None = None, scope: Scope | None = None, send: str = "none") -> Scripted:
    """An adapter whose calls get these answers."""
    http, waited = ScriptedHttp(list(answers)), list[float]()
    client = CalendarClient(http, now=lambda: START)
    calendar = GoogleCalendar(client, scope or Scope("primary", ""), since=since, send_updates=send, wait=waited.append)
    return Scripted(http, calendar, waited)


def resource(one: str = "e1", **more: Any) -> Json:
    """An event as Google sends it; None leaves a member out."""
    me = {"email": "ann@example.com", "self": True}
    event: Json = {
        "id": one,
        "etag": '"1"',
        "status": "confirmed",
        "updated": "2026-03-02T09:30:12.345Z",
        "summary": "Lunch",
        "creator": me,
        "organizer": me,
        "start": {"dateTime": "2026-03-02T12:00:00+01:00", "timeZone": BERLIN},
        "end": {"dateTime": "2026-03-02T13:00:00+01:00", "timeZone": BERLIN},
        "iCalUID": f"{one}@google.com",
        "eventType": "default",
        **more,
    }
    return {name: value for name, value in event.items() if value is not None}


def page(*events: Json, token: str = "t1", **more: Any) -> Json:
    """A page of a listing, the last one unless it has no sync token."""
    end = {"nextSyncToken": token} if token else {}
    return {"kind": "calendar#events", "summary": "Ann", "accessRole": "owner", "items": list(events), **end, **more}


def refusal(status: int, reason: str, message: str = "no") -> tuple[int, Json]:
    """An error answer of the Calendar API."""
    one = {"domain": "calendar", "reason": reason, "message": message}
    return status, {"error": {"errors": [one], "code": status, "message": message}}


def creation(key: str, body: Event, *, origin: str = ORIGIN) -> Write[Event]:
    """An event to be made."""
    return Write(key, "", "", body, True, origin=origin)


def rewrite(item: Item[Event], body: Event | None, *, selected: bool | None = None) -> Write[Event]:
    """A change of an event as it was read; its key is its id."""
    return Write(item.id, item.id, item.stamp.version, body, selected, extra=item.extra)


def done(outcomes: Iterator[Done[Event] | Failed]) -> dict[str, Item[Event]]:
    """The items of writes that must all succeed, by key."""
    found: dict[str, Item[Event]] = {}
    for outcome in outcomes:
        assert isinstance(outcome, Done), outcome.error
        found[outcome.key] = outcome.item
    return found


def failure(outcomes: Iterator[Done[Event] | Failed]) -> Exception:
    """The error of the one write there is."""
    (outcome,) = outcomes
    assert isinstance(outcome, Failed), outcome
    return outcome.error


def only(delta: Delta[Event]) -> Item[Event]:
    """The one item of a delta."""
    (item,) = delta.items.values()
    return item
