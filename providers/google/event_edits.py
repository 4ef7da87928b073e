"""What to send so that an event at Google says what ours says, and loses nothing else: only what differs.
Which event that is and how it is sent is left to `calendar_writing`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import ItemRejected
from core.event import Event, canonical
from core.event_parts import with_own_part
from providers.google.errors import Json
from providers.google.event_attendees import edited_attendees, new_attendees, own_answer
from providers.google.event_items import read_only
from providers.google.event_mapping import as_object, read_event
from providers.google.event_reminders import edited_reminders
from providers.google.event_text import as_description
from providers.google.event_times import is_same, write_moment

_TEXTS = {"title": "summary", "location": "location"}
_OWN = frozenset({"attendees", "attendeesOmitted", "reminders"})  # what anybody may change, of an own answer alone


def new_event(event: Event) -> Json:
    """The resource of an event to be made. Raises ItemRejected for one that is cancelled."""
    if event.status == "cancelled":
        raise ItemRejected("a cancelled event is not made at Google", advice="Only occurrences of a series can be.")
    event = canonical(event)
    made = {"start": write_moment(event.start), "end": write_moment(event.end), **_changed(Event(), event)}
    if event.reminders is not None:
        made["reminders"] = edited_reminders({}, None, event.reminders)
    if event.attendees:
        made["attendees"] = new_attendees(event.attendees)
    return made


def patch_for(extra: Mapping[str, Any], event: Event) -> Json:
    """What to send for an event as it was read; {} when it says all that already. With `own_only` nothing counts but
    the own answer and reminders. Raises ItemRejected where we may not."""
    raw = as_object(extra.get("event"))
    now, event = read_event(raw), canonical(event)
    if extra.get("own_only"):
        event = with_own_part(now, event, extra.get("own", ""))
    if event.status == "cancelled":
        # Nothing but this travels: of a cancelled occurrence Google may tell no more than its name.
        patch: Json = {"status": "cancelled"} if now.status != "cancelled" else {}
    else:
        patch = {**_changed(now, event), **_moved(now, event)}
        if now.attendees != event.attendees:
            edited = edited_attendees(raw, now.attendees, event.attendees)
            if edited != raw.get("attendees", []):
                patch["attendees"] = edited
        if now.reminders != event.reminders:
            patch["reminders"] = edited_reminders(raw, now.reminders, event.reminders)
    return _allowed(extra, raw, patch) if patch else patch


def _moved(now: Event, wanted: Event) -> Json:
    pairs = (("start", now.start, wanted.start), ("end", now.end, wanted.end))
    return {name: write_moment(after, before) for name, before, after in pairs if not is_same(before, after)}


def _allowed(extra: Mapping[str, Any], raw: Mapping[str, Any], patch: Json) -> Json:
    refused = read_only(extra)
    if "attendees" in patch and (refused or extra.get("own_only") or raw.get("attendeesOmitted") is True):
        own = own_answer(raw, patch["attendees"])
        if own is None:
            raise refused or ItemRejected(
                "the event is not changed at Google: it has more guests than Google lists",
                advice="Change its guests in Google Calendar.",
            )
        # "When updating an event, this can be used to only update the participant's response" (discovery document).
        patch = {**patch, "attendeesOmitted": True, "attendees": [own]}
    if refused and ("own" not in extra or patch.keys() - _OWN):
        raise refused
    return patch


def _changed(now: Event, wanted: Event) -> Json:
    """The fields of one value that differ, start and end apart."""
    patch: Json = {
        name: getattr(wanted, attribute)
        for attribute, name in _TEXTS.items()
        if getattr(now, attribute) != getattr(wanted, attribute)
    }
    if now.description != wanted.description:
        patch["description"] = as_description(wanted.description)
    if now.recurrence != wanted.recurrence:
        patch["recurrence"] = list(wanted.recurrence)
    if now.status != wanted.status:
        patch["status"] = wanted.status
    if now.visibility != wanted.visibility:
        patch["visibility"] = wanted.visibility
    if now.transparent != wanted.transparent:
        patch["transparency"] = "transparent" if wanted.transparent else "opaque"
    return patch
