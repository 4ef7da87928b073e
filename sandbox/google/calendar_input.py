"""PRETENDS Google's reading of an Event: every member checked by the rules of google.md, C.2 and C.3, in normal form.
Who may write it is decided by `calendar_writes`, rules of event types by `calendar_types`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sandbox.google.api_wire import Json
from sandbox.google.calendar_errors import CalendarError, invalid, range_empty, required
from sandbox.google.calendar_schema import CHOICES, DEFAULTS, EVENT_TYPES, READ_ONLY
from sandbox.google.calendar_series import check_recurrence
from sandbox.google.calendar_times import instant, read_when

_ID = re.compile(r"[a-v0-9]{5,1024}")
_EMAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+\.[^@\s<>,;]+")
_ANSWERS = frozenset({"needsAction", "declined", "tentative", "accepted"})
_MOST_PROPERTIES, _MOST_BYTES, _LONGEST_KEY, _LONGEST_VALUE = 300, 32 * 1024, 44, 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as somebody wants it: what all guests see, what belongs to this copy, its status."""

    shared: Json
    own: Json
    status: str


def check_id(ident: str) -> None:
    """Raises CalendarError 400 unless it is base32hex of 5 to 1024 characters (discovery document, Event.id)."""
    if not _ID.fullmatch(ident):
        raise invalid("Invalid resource id value.")


def read_event(raw: Json, *, occurrence: bool = False) -> Draft:
    """The normal form of a whole event (schema and nulls already seen to). Raises CalendarError."""
    for name, choices in CHOICES.items():
        if raw.get(name, choices[0]) not in choices:
            raise invalid(f"Invalid value for: {raw[name]} is not a valid value", name)
    shared: Json = {
        name: value
        for name, value in raw.items()
        if name not in READ_ONLY | {"reminders", "colorId", "eventLabelId", "extendedProperties", "status"}
        and value not in ("", [], {})
        and DEFAULTS.get(name) != value
    }
    shared["eventType"] = raw.get("eventType", "default")
    if shared["eventType"] not in EVENT_TYPES:
        raise invalid("Invalid value for: eventType", "eventType")
    _times(shared, occurrence=occurrence)
    if "attendees" in shared:
        shared["attendees"] = read_attendees(shared["attendees"])
    if len(shared.get("attachments", ())) > 25:
        raise invalid("There can be at most 25 attachments per event.")
    if any(not one.get("fileUrl") for one in shared.get("attachments", ())):
        raise required("Missing attachment file URL.")
    properties = raw.get("extendedProperties", {})
    _check_properties(properties)
    own: Json = {name: raw[name] for name in ("colorId", "eventLabelId") if raw.get(name)}
    if properties.get("private"):
        own["private"] = properties["private"]
    if properties.get("shared"):
        shared["properties"] = properties["shared"]
    reminders = _reminders(raw.get("reminders", {"useDefault": True}))
    if not reminders["useDefault"]:
        own["reminders"] = reminders
    return Draft(shared, own, raw.get("status", "confirmed"))


def _times(shared: Json, *, occurrence: bool) -> None:
    recurrence = shared.get("recurrence", [])
    if recurrence and occurrence:
        raise invalid("Recurrence cannot be set on an instance of a recurring event.")
    start = read_when(shared.get("start", {}), "start", recurring=bool(recurrence))
    end = read_when(shared.get("end", {}), "end", recurring=False)
    if ("date" in start) != ("date" in end):
        raise invalid("Start and end times must either both be date or both be dateTime.")
    begins, ends = instant(start, "UTC"), instant(end, "UTC")
    if ends < begins or (ends == begins and "date" in start):
        raise range_empty()
    shared["start"], shared["end"] = start, end
    if recurrence:
        check_recurrence(recurrence, start)


def read_attendees(raw: Iterable[Json]) -> list[Json]:
    """The guests, each address once and in lower case; one without an answer has not answered."""
    found: dict[str, Json] = {}
    for one in raw:
        email = str(one.get("email", "")).strip().lower()
        if not email:
            raise required("Missing attendee email.")
        if not _EMAIL.fullmatch(email):
            raise invalid("Invalid attendee email.")
        answer = one.get("responseStatus", "needsAction")
        if answer not in _ANSWERS:
            raise invalid("Invalid value for: responseStatus")
        guest: Json = {"email": email, "responseStatus": answer}
        for name in ("displayName", "comment", "optional", "resource", "additionalGuests"):
            if one.get(name):
                guest[name] = one[name]
        found.setdefault(email, guest)
    return list(found.values())


def _reminders(raw: Json) -> Json:
    overrides = raw.get("overrides", [])
    if raw.get("useDefault") and overrides:
        text = "Cannot specify both default reminders and overrides at the same time."
        raise CalendarError(400, "cannotUseDefaultRemindersAndSpecifyOverride", text, domain="calendar")
    if len(overrides) > 5:
        raise invalid("At most 5 override reminders are allowed.")
    for one in overrides:
        if "method" not in one or "minutes" not in one:
            raise required("Missing reminder method or minutes.")
        if one["method"] not in ("email", "popup") or not 0 <= one["minutes"] <= 40_320:
            raise invalid("Invalid reminder method or minutes.")
    return {"useDefault": bool(raw.get("useDefault", False)), **({"overrides": overrides} if overrides else {})}


def _check_properties(raw: Json) -> None:
    pairs = [pair for part in ("private", "shared") for pair in raw.get(part, {}).items()]
    if len(pairs) > _MOST_PROPERTIES or sum(len(k.encode()) + len(v.encode()) for k, v in pairs) > _MOST_BYTES:
        raise invalid("Extended properties are limited to 300 and 32 kB.")
    for name, value in pairs:
        if not name or len(name) > _LONGEST_KEY or len(value) > _LONGEST_VALUE:
            raise invalid("The name or value of an extended property is too long.")


def wire_body(shared: Json, own: Json, status: str) -> Json:
    """The event as a client would have to send it to mean the same: what a PATCH is merged into."""
    body = {name: value for name, value in shared.items() if name != "properties"}
    body |= {name: value for name, value in own.items() if name != "private"}
    properties = {"private": own.get("private"), "shared": shared.get("properties")}
    found: Json = {**body, "status": status}
    if kept := {name: value for name, value in properties.items() if value}:
        found["extendedProperties"] = kept
    return found


def changed(old: Json, new: Json) -> set[str]:
    """The members in which two events differ."""
    missing: Any = object()
    return {name for name in old.keys() | new.keys() if old.get(name, missing) != new.get(name, missing)}
