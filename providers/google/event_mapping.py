"""Reads an event of the Calendar API as `core.event.Event`, and keeps of it what is needed to write it again.
Guests are `event_attendees`, dates `event_times`; changes are made by `event_edits`, versions and rights read by
`event_items`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.event import STATUSES, VISIBILITIES, Event, canonical
from providers.google.errors import Json
from providers.google.event_attendees import read_attendees
from providers.google.event_reminders import read_reminders
from providers.google.event_text import plain_text
from providers.google.event_times import read_original, read_span

ORIGIN_KEY = "twinbox"  # a private extended property: of this copy of the event only, seen by applications only

# Of the resource; the rest (attachments, colour, links to pages) is neither read nor written.
KEPT = (
    "id",
    "etag",
    "status",
    "updated",
    "summary",
    "description",
    "location",
    "start",
    "end",
    "recurrence",
    "visibility",
    "transparency",
    "attendees",
    "attendeesOmitted",
    "organizer",
    "creator",
    "hangoutLink",
    "iCalUID",
    "sequence",
    "recurringEventId",
    "originalStartTime",
    "eventType",
    "locked",
    "privateCopy",
    "guestsCanModify",
    "reminders",
)
# Addresses that Google gives to calendars, and to nobody: nobody can be written to under them.
_NOBODY = ("@group.calendar.google.com", "unknownorganizer@calendar.google.com")


def read_event(event: Mapping[str, Any]) -> Event:
    """The event that a resource (or what is kept of it) describes, in normal form. Never raises."""
    start, end = read_span(event)
    status, visibility = _text(event.get("status")), _text(event.get("visibility"))
    lines = event.get("recurrence")
    return canonical(
        Event(
            uid=_text(event.get("iCalUID")),
            original=read_original(event),
            title=_text(event.get("summary")),
            description=plain_text(_text(event.get("description"))),
            location=_text(event.get("location")),
            start=start,
            end=end,
            recurrence=tuple(line for line in lines if isinstance(line, str)) if isinstance(lines, list) else (),
            status=status if status in STATUSES else "confirmed",
            visibility=visibility if visibility in VISIBILITIES else "default",
            transparent=event.get("transparency") == "transparent",
            attendees=read_attendees(event),
            organizer=_organizer(event),
            conference=_conference(event),
            reminders=read_reminders(event),
        )
    )


def kept_of(event: Mapping[str, Any]) -> Json:
    """What must be kept of an event to compare and write it later, as JSON."""
    kept: Json = {name: event[name] for name in KEPT if name in event}
    if link := _video(event):
        kept["conferenceData"] = {"entryPoints": [{"entryPointType": "video", "uri": link}]}
    if mark := origin_mark(event):
        kept["extendedProperties"] = {"private": {ORIGIN_KEY: mark}}
    return kept


def private_properties(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The private extended properties of an event."""
    return as_object(as_object(event.get("extendedProperties")).get("private"))


def origin_mark(event: Mapping[str, Any]) -> str:
    """What we wrote onto an event to know it again."""
    return _text(private_properties(event).get(ORIGIN_KEY))


def as_object(value: Any) -> Mapping[str, Any]:
    """A JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _organizer(event: Mapping[str, Any]) -> str:
    """Who organizes; of an event that belongs to a calendar of its own, who made it."""
    organizer, creator = (_text(as_object(event.get(name)).get("email")) for name in ("organizer", "creator"))
    if organizer.lower().endswith(_NOBODY):
        return "" if creator.lower().endswith(_NOBODY) else creator
    return organizer


def _conference(event: Mapping[str, Any]) -> str:
    return _video(event) or _text(event.get("hangoutLink"))


def _video(event: Mapping[str, Any]) -> str:
    points = as_object(event.get("conferenceData")).get("entryPoints")
    videos = (
        _text(point.get("uri"))
        for point in (points if isinstance(points, list) else [])
        if isinstance(point, dict) and point.get("entryPointType") == "video"
    )
    return next((uri for uri in videos if uri), "")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
