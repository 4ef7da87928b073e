"""A stand-in for the Calendar API with as much of its ways as runs need: copies of guests, sync tokens, etags, burnt
ids, occurrences. An httplib2-like object per user; what people do by hand are methods of `CalendarServer`."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httplib2

Json = dict[str, Any]
_ID = re.compile(r"[a-v0-9]{5,1024}")
_OWN = ("reminders", "colorId")
_INSTANCE = re.compile(r"(.+)_(\d{8}(?:T\d{6}Z)?)")
FORBIDDEN_WITH_TOKEN = {"timeMin", "timeMax", "updatedMin", "iCalUID", "orderBy", "q", "privateExtendedProperty"}


class Refused(Exception):
    """An answer that is an error (google.md: legacy envelope)."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason

    def body(self) -> Json:
        one = {"domain": "global", "reason": self.reason, "message": self.reason}
        return {"error": {"errors": [one], "code": self.status, "message": self.reason}}


@dataclass(slots=True)
class CalendarServer:
    """Everybody's calendars. `mails` are the guests that a write would have had mailed; `lose` names a call whose
    answer is lost after it took effect."""

    clock: Callable[[], datetime]
    copies: dict[str, dict[str, Json]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    mails: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    lose: str = ""
    oldest: int = 0
    _number: int = 0

    # -- what everybody's copy is

    def of(self, who: str) -> dict[str, Json]:
        return self.copies.setdefault(who, {})

    def events(self, who: str) -> dict[str, Json]:
        """What a person sees in the calendar: masters, single events, and occurrences that differ."""
        return {one: event for one, event in self.of(who).items() if event["status"] != "cancelled"}

    def put(self, organizer: str, event: Json) -> Json:
        """Store the organizer's copy and hand it to everybody who is invited."""
        guests = [one["email"] for one in event.get("attendees", [])]
        for person in dict.fromkeys([organizer, *guests]):
            self._store(person, organizer, event)
        for person in set(self.copies) - {organizer, *guests}:
            if event["id"] in self.of(person) and self.of(person)[event["id"]]["status"] != "cancelled":
                self._mark(person, event["id"], status="cancelled")
        return self.of(organizer)[event["id"]]

    def _store(self, person: str, organizer: str, event: Json) -> None:
        known = self.of(person).get(event["id"], {})
        mine = copy.deepcopy(event)
        mine |= {name: known[name] for name in _OWN if name in known}
        if person != organizer:
            mine["extendedProperties"] = known.get("extendedProperties", {})
        mine["organizer"] = {"email": organizer} | ({"self": True} if person == organizer else {})
        for guest in mine.get("attendees", []):
            guest.pop("self", None)
            if guest["email"] == person:
                guest["self"] = True
        self.of(person)[event["id"]] = mine
        self._stamp(person, event["id"])

    def _mark(self, person: str, one: str, **values: Any) -> None:
        self.of(person)[one] |= values
        self._stamp(person, one)

    def _stamp(self, person: str, one: str) -> None:
        self._number += 1
        now = self.clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.of(person)[one] |= {"etag": f'"{self._number}"', "updated": now}
        self.logs.setdefault(person, []).append(one)

    # -- a person's hand

    def add(self, who: str, title: str, day: str = "2026-03-10", *guests: str, **more: Any) -> str:
        """An hour from ten o'clock in Berlin on; its id."""
        self._number += 1
        one = f"hand{self._number}"
        event: Json = {
            "id": one,
            "iCalUID": f"{one}@google.com",
            "status": "confirmed",
            "eventType": "default",
            "summary": title,
            "start": {"dateTime": f"{day}T10:00:00+01:00", "timeZone": "Europe/Berlin"},
            "end": {"dateTime": f"{day}T11:00:00+01:00", "timeZone": "Europe/Berlin"},
            **(
                {"attendees": [{"email": guest, "responseStatus": "needsAction"} for guest in guests]} if guests else {}
            ),
            **more,
        }
        self.put(who, event)
        return one

    def edit(self, who: str, one: str, **values: Any) -> None:
        """The organizer changes an event."""
        self.put(who, self.of(who)[one] | values)

    def delete(self, who: str, one: str) -> None:
        """The organizer deletes for everybody, anybody else the own copy."""
        everybody = self.of(who)[one]["organizer"].get("self", False)
        for person in list(self.copies) if everybody else [who]:
            if one in self.of(person):
                self._mark(person, one, status="cancelled")

    def restore(self, who: str, one: str) -> None:
        self.put(who, self.of(who)[one] | {"status": "confirmed"})

    def occurrence(self, who: str, master: str, stamp: str, **values: Any) -> str:
        """The organizer moves or changes one occurrence; with status cancelled, cancels it."""
        one = f"{master}_{stamp}"
        self.put(who, self._instance(who, one) | values)
        return one

    def _instance(self, who: str, one: str) -> Json:
        found = _INSTANCE.fullmatch(one)
        master = self.of(who).get(found[1]) if found else None
        if one in self.of(who):
            return self.of(who)[one]
        if found is None or master is None or "recurrence" not in master:
            raise Refused(404, "notFound")
        start = datetime.strptime(found[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        length = _when(master["end"]) - _when(master["start"])
        zone = master["start"]["timeZone"]
        event = {name: value for name, value in master.items() if name != "recurrence"} | {
            "id": one,
            "recurringEventId": found[1],
            "originalStartTime": {"dateTime": start.isoformat(), "timeZone": zone},
            "start": {"dateTime": start.isoformat(), "timeZone": zone},
            "end": {"dateTime": (start + length).isoformat(), "timeZone": zone},
        }
        return copy.deepcopy(event)


def _when(moment: Json) -> datetime:
    return datetime.fromisoformat(moment["dateTime"])


@dataclass(slots=True)
class CalendarHttp:
    """One user's connection, as httplib2 gives it."""

    server: CalendarServer
    who: str

    def close(self) -> None:
        """Nothing is open."""

    def request(self, uri: str, method: str = "GET", body: Any = None, headers: Any = None) -> Any:
        parts = urlsplit(uri)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        path = unquote(parts.path).removeprefix("/calendar/v3/calendars/primary/events").strip("/")
        named = {name.lower(): value for name, value in (headers or {}).items()}
        name = f"{method} {'one' if path else 'list'}"
        self.server.calls[name] += 1
        try:
            status, answer = 200, self._handle(method, path, query, named, json.loads(body) if body else {})
        except Refused as error:
            status, answer = error.status, error.body()
        if self.server.lose == name:
            self.server.lose = ""
            raise ConnectionResetError("the answer is lost")
        told = {"status": str(status), "date": format_datetime(self.server.clock(), usegmt=True)}
        return httplib2.Response(told), b"" if answer is None else json.dumps(answer).encode()

    def _handle(self, method: str, path: str, query: Json, headers: Json, body: Json) -> Json | None:
        if method == "GET":
            return self._get(path) if path else self._list(query)
        if query.get("sendUpdates", "none") != "none":
            self.server.mails += [one["email"] for one in body.get("attendees", [])]
        if method == "POST":
            return self._insert(body)
        event = self._get(path)
        if "if-match" in headers and headers["if-match"] != event["etag"]:
            raise Refused(412, "conditionNotMet")
        if method == "DELETE":
            if event["status"] == "cancelled":
                raise Refused(410, "deleted")
            self.server.of(self.who).setdefault(path, event)
            self.server.delete(self.who, path)
            return None
        return self._patch(event, body)

    def _get(self, one: str) -> Json:
        known = self.server.of(self.who).get(one)
        if known is None:
            known = self.server._instance(self.who, one) | {"etag": '"instance"', "updated": "2026-01-01T00:00:00.000Z"}
        return copy.deepcopy(known)

    def _list(self, query: Json) -> Json:
        token, log = query.get("syncToken"), self.server.logs.get(self.who, [])
        if token is not None:
            if FORBIDDEN_WITH_TOKEN & set(query):
                raise Refused(400, "badRequest")
            if not token.isdigit():
                raise Refused(400, "invalid")
            if int(token) < self.server.oldest:
                raise Refused(410, "fullSyncRequired")
        ids = set(self.server.of(self.who)) if token is None else set(log[int(token) :])
        events = [copy.deepcopy(self.server.of(self.who)[one]) for one in sorted(ids)]
        if token is None:
            events = [one for one in events if one["status"] != "cancelled" or "recurringEventId" in one]
            events = [one for one in events if self._in_window(one, query)]
        shown = {"kind": "calendar#events", "summary": self.who, "timeZone": "Europe/Berlin", "accessRole": "owner"}
        return shown | {"items": [_as_sent(one) for one in events], "nextSyncToken": str(len(log))}

    def _in_window(self, event: Json, query: Json) -> bool:
        if "iCalUID" in query:
            return bool(event["iCalUID"] == query["iCalUID"])
        since = query.get("timeMin")
        if since is None or "recurrence" in event or "dateTime" not in event.get("end", {}):
            return True
        return _when(event["end"]) > datetime.fromisoformat(since.replace("Z", "+00:00"))

    def _insert(self, body: Json) -> Json:
        one = body.get("id", f"made{len(self.server.logs.get(self.who, []))}")
        if not _ID.fullmatch(one) or "iCalUID" in body:
            raise Refused(400, "invalid")
        if one in self.server.of(self.who):
            raise Refused(409, "duplicate")
        event = {"status": "confirmed", "eventType": "default", "iCalUID": f"{one}@google.com", **body, "id": one}
        return copy.deepcopy(self.server.put(self.who, event))

    def _patch(self, event: Json, body: Json) -> Json:
        if not event["organizer"].get("self") and set(body) - {"reminders", "extendedProperties"}:
            raise Refused(403, "forbiddenForNonOrganizer")
        for name, value in body.items():
            if value is None:
                event.pop(name, None)
            elif isinstance(value, dict) and isinstance(event.get(name), dict):
                merged = {**event[name], **value}
                event[name] = {key: one for key, one in merged.items() if one is not None}
            else:
                event[name] = value
        return copy.deepcopy(self.server.put(self.who, event))


def _as_sent(event: Json) -> Json:
    """A cancelled event is told with little more than its id."""
    if event["status"] != "cancelled":
        return event
    names = ("id", "status", "etag", "updated", "recurringEventId", "originalStartTime", "iCalUID")
    return {name: event[name] for name in names if name in event}
