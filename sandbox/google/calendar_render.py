"""PRETENDS how Google sends events: by the rights of who looks, in the zone asked for, with what it leaves out.
What there is to see is decided by `calendar_store`; pages and tokens are left to `calendar_reads`."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from sandbox.google.api_wire import Json, words
from sandbox.google.calendar_meetings import guest_entry
from sandbox.google.calendar_records import Copy, Role, at_least, stamp
from sandbox.google.calendar_store import Agenda
from sandbox.google.calendar_times import show_when

_SEPARATE = frozenset({"start", "end", "attendees", "properties"})
_HIDDEN = frozenset({"private", "confidential"})


@dataclass(frozen=True, slots=True)
class EventView:
    """Who looks at a calendar, with which rights and wishes."""

    agenda: Agenda
    role: Role
    email: str
    zone: str = ""
    max_attendees: int | None = None
    bare_tombstones: bool = False


def render(copy: Copy, view: EventView) -> Json:
    """The event as it is sent."""
    if copy.cancelled and _is_bare(copy, view):
        return _bare(copy, view)
    if _is_hidden(copy, view.role):
        return _busy(copy, view)
    return _whole(copy, view)


def _is_bare(copy: Copy, view: EventView) -> bool:
    """Where no more than the id is promised (discovery document, Event.status)."""
    if copy.orphan or copy.master or view.bare_tombstones or not at_least(view.role, "writer"):
        return True
    return not (copy.organized_here or copy.removed or copy.alone)


def _bare(copy: Copy, view: EventView) -> Json:
    found: Json = {"kind": "calendar#event", "etag": copy.etag, "id": copy.id, "status": "cancelled"}
    if copy.master and copy.original is not None:
        found |= {
            "recurringEventId": copy.master,
            "originalStartTime": show_when(copy.original, view.zone or view.agenda.zone),
        }
    return found


def _is_hidden(copy: Copy, role: Role) -> bool:
    if at_least(role, "writer"):
        return False
    return role == "freeBusyReader" or copy.shared.get("visibility") in _HIDDEN


def _head(copy: Copy, view: EventView) -> Json:
    zone = view.zone or view.agenda.zone
    found: Json = {
        "kind": "calendar#event",
        "etag": copy.etag,
        "id": copy.id,
        "status": "cancelled" if copy.cancelled else copy.status,
        "htmlLink": f"https://www.google.com/calendar/event?eid={_link(copy)}",
        "created": f"{stamp(copy.created)[:-4]}000Z",  # whole seconds
        "updated": stamp(copy.updated),
        "start": show_when(copy.shared["start"], zone),
        "end": show_when(copy.shared["end"], zone),
        "iCalUID": copy.uid,
        "sequence": copy.sequence,
        "eventType": copy.shared["eventType"],
    }
    if "recurrence" in copy.shared:
        found["recurrence"] = list(copy.shared["recurrence"])
    if copy.master and copy.original is not None:
        found |= {"recurringEventId": copy.master, "originalStartTime": show_when(copy.original, zone)}
    return found


def _busy(copy: Copy, view: EventView) -> Json:
    """A private event to somebody who may only read: that there is one, and when (google.md, C.2)."""
    kept = "kind etag id status created updated start end iCalUID eventType recurrence recurringEventId"
    head = _head(copy, view)
    found = {name: head[name] for name in head if name in words(f"{kept} originalStartTime")}
    return {**found, "visibility": "private"}


def _whole(copy: Copy, view: EventView) -> Json:
    head = _head(copy, view)
    here = view.agenda.id
    shared = {name: value for name, value in copy.shared.items() if name not in _SEPARATE and name not in head}
    found: Json = {
        **head,
        **shared,
        "creator": {"email": copy.creator, **({"self": True} if copy.creator == here else {})},
        "organizer": _organizer(copy, view.agenda),
        "reminders": copy.own.get("reminders", {"useDefault": True}),
    }
    found |= {name: copy.own[name] for name in ("colorId", "eventLabelId") if name in copy.own}
    properties = {"private": copy.own.get("private"), "shared": copy.shared.get("properties")}
    if kept := {name: value for name, value in properties.items() if value}:
        found["extendedProperties"] = kept
    if copy.creator != view.email:
        found.pop("source", None)  # "Can only be seen or modified by the creator of the event."
    meet = _meet(copy.shared.get("conferenceData", {}))
    if meet:
        found["hangoutLink"] = meet
    if copy.shared.get("attendees"):
        found |= _guest_list(copy, view)
    return found


def _organizer(copy: Copy, agenda: Agenda) -> Json:
    found: Json = {"email": copy.organizer}
    if copy.organizer == agenda.id:
        found["self"] = True
        if not agenda.primary:
            found["displayName"] = agenda.summary
    return found


def _guest_list(copy: Copy, view: EventView) -> Json:
    everyone = [_guest(copy, one, view.agenda.id) for one in copy.shared["attendees"]]
    me = guest_entry(copy, view.agenda.id)
    own = [] if me is None else [_guest(copy, me, view.agenda.id)]
    secret = copy.shared.get("guestsCanSeeOtherGuests") is False and not copy.organized_here
    too_many = view.max_attendees is not None and len(everyone) > view.max_attendees
    if secret or too_many:
        # Of more guests than asked for, none but the participant is sent (discovery document, maxAttendees).
        return {"attendeesOmitted": True, **({"attendees": own} if own else {})}
    return {"attendees": everyone}


def _guest(copy: Copy, one: Json, here: str) -> Json:
    organizer = {"organizer": True} if one["email"] == copy.organizer else {}
    return {**one, **organizer, **({"self": True} if one["email"] == here else {})}


def _meet(conference: Json) -> str:
    links = [one["uri"] for one in conference.get("entryPoints", ()) if one.get("entryPointType") == "video"]
    return str(links[0]) if links and "createRequest" in conference else ""


def _link(copy: Copy) -> str:
    return base64.urlsafe_b64encode(f"{copy.id} {copy.calendar}".encode()).decode().rstrip("=")
