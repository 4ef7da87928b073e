"""PRETENDS the writing operations on events: insert, import, patch, update, delete, move (google.md, C.3).
Everything is checked before anything is stored; how other calendars follow is left to `calendar_meetings`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sandbox.google import calendar_conference as conference
from sandbox.google import calendar_mails as mails
from sandbox.google import calendar_meetings as meetings
from sandbox.google.api_wire import Json
from sandbox.google.calendar_call import Call
from sandbox.google.calendar_errors import CalendarError, deleted, duplicate, forbidden, invalid, required
from sandbox.google.calendar_guests import guest_change
from sandbox.google.calendar_input import Draft, changed, check_id, read_attendees, read_event, wire_body
from sandbox.google.calendar_records import Copy, at_least
from sandbox.google.calendar_render import render
from sandbox.google.calendar_schema import EVENT, fits, merged, without_null
from sandbox.google.calendar_store import Agenda
from sandbox.google.calendar_types import check_change, check_new, check_only_default

_HIDDEN = ("private", "confidential")


def insert(call: Call) -> Json:
    """events.insert: a new event, under an id of the client's choice if it names one."""
    agenda = call.writable()
    fits(EVENT, call.body, "event")
    body = without_null(call.body)
    ident, uid = body.get("id", ""), body.get("iCalUID", "")
    if ident and uid:
        raise invalid("Invalid resource id value.")
    if ident:
        check_id(ident)
    draft = read_event(_tamed(call, body, None))
    if draft.status == "cancelled":
        raise invalid("A new event cannot be cancelled.", "status")
    check_new(draft, primary=agenda.primary)
    if ident in agenda.events or (uid and agenda.with_uid(uid) is not None):
        raise duplicate()
    call.limits.count_guests(call.email, len(draft.shared.get("attendees", ())))
    made = meetings.create(call.world, agenda, draft, "api", creator=call.email, ident=ident, uid=uid)
    if call.knobs.insert_settle:
        seen = call.now + timedelta(seconds=call.knobs.insert_settle)
        agenda.events[made.id] = replace(made, visible_from=seen)
    mails.tell(call.world, None, made, call.notify(), call.email, call.operation)
    conference.start(call.world, made)
    return render(made, call.view(agenda))


def import_event(call: Call) -> Json:
    """events.import: a private copy of an event that lives elsewhere; the same iCalUID again changes that copy."""
    agenda = call.writable()
    fits(EVENT, call.body, "event")
    body = without_null(call.body)
    uid = body.get("iCalUID", "")
    if not uid:
        raise required("Missing iCalUID.")
    check_only_default(body.get("eventType", "default"), "imported")
    draft = read_event(_tamed(call, body, None))
    organizer = str(body.get("organizer", {}).get("email", "")).lower() or agenda.id
    known = agenda.with_uid(uid)
    if known is not None:
        if not known.alone:
            raise duplicate()
        made = call.world.put(
            known, "api", shared=draft.shared, own=draft.own, status=draft.status, removed=False, organizer=organizer
        )
    else:
        made = meetings.create(
            call.world, agenda, draft, "api", creator=call.email, uid=uid, organizer=organizer, alone=True
        )
    return render(made, call.view(agenda))


def patch(call: Call) -> Json:
    """events.patch: objects are merged, lists replaced, null takes away."""
    agenda, copy = _to_change(call)
    fits(EVENT, call.body, "event")
    body = dict(call.body)
    if body.get("reminders", {}) and body["reminders"].get("useDefault") and "overrides" not in body["reminders"]:
        body["reminders"] = {**body["reminders"], "overrides": None}
    before = wire_body(copy.shared, copy.own, "cancelled" if copy.cancelled else copy.status)
    whole = merged(before, body)
    if call.body.get("attendeesOmitted"):
        whole["attendees"] = _partly(copy, call.body.get("attendees") or [])
    return _change(call, agenda, copy, without_null(whole))


def update(call: Call) -> Json:
    """events.update: what is not sent is dropped; of a guest it counts as setting what all see (google.md, C.3)."""
    agenda, copy = _to_change(call)
    fits(EVENT, call.body, "event")
    body = without_null(call.body)
    if copy.cancelled and not call.knobs.revive:
        raise forbidden()
    if not _leads(copy) and copy.shared.get("guestsCanModify") is not True:
        raise CalendarError(
            403,
            "forbiddenForNonOrganizer",
            "Shared properties can only be changed by the organizer of the event.",
            domain="calendar",
        )
    body.setdefault("eventType", copy.shared["eventType"])
    if body.get("attendeesOmitted"):
        body["attendees"] = _partly(copy, body.get("attendees", []))
    return _change(call, agenda, copy, body)


def _to_change(call: Call) -> tuple[Agenda, Copy]:
    agenda = call.writable()
    copy = call.found(agenda)
    hidden = copy.shared.get("visibility") in _HIDDEN and not at_least(agenda.role(call.email), "writer")
    if hidden:
        raise forbidden()
    call.check_version(copy)
    return agenda, copy


def _leads(copy: Copy) -> bool:
    return copy.organized_here or copy.alone


def _tamed(call: Call, body: Json, copy: Copy | None) -> Json:
    """The body without what counts only with a version parameter; what is there stays then."""
    held = {} if copy is None else wire_body(copy.shared, copy.own, copy.status)
    for name, allowed in (
        ("conferenceData", call.version("conferenceDataVersion") == 1),
        ("attachments", call.flag("supportsAttachments")),
        ("eventLabelId", call.version("eventLabelVersion") == 1),
    ):
        if not allowed:
            body = {key: value for key, value in body.items() if key != name}
            if name in held:
                body[name] = held[name]
    return conference.asked(body, held)


def _partly(copy: Copy, sent: list[Json]) -> list[Json]:
    """The guest list with changes to some of them: what attendeesOmitted is for."""
    told = {one["email"]: one for one in read_attendees(sent)}
    held = [
        {**one, **told.pop(one["email"])} if one["email"] in told else one for one in copy.shared.get("attendees", [])
    ]
    return [*held, *told.values()]


def _change(call: Call, agenda: Agenda, copy: Copy, body: Json) -> Json:
    draft = read_event(_tamed(call, body, copy), occurrence=bool(copy.master))
    if copy.shared.get("locked"):
        draft = Draft({**draft.shared, "locked": True}, draft.own, draft.status)
    fields = changed(copy.shared, draft.shared) | changed(copy.own, draft.own)
    check_change(copy.shared["eventType"], draft, fields)
    if copy.shared.get("locked") and fields & {"summary", "description", "location", "start", "end", "recurrence"}:
        raise forbidden()
    if "attendees" in fields:
        call.limits.count_guests(call.email, len(draft.shared.get("attendees", ())))
    made = _by_organizer(call, copy, draft) if _leads(copy) else guest_change(call, agenda, copy, draft)
    conference.start(call.world, made)
    return render(made, call.view(agenda))


def _by_organizer(call: Call, copy: Copy, draft: Draft) -> Copy:
    if draft.status == "cancelled":
        if copy.cancelled:
            made = call.world.put(copy, "api", shared=draft.shared, own=draft.own)
        else:
            made = meetings.cancel(call.world, replace(copy, shared=draft.shared, own=draft.own), "api")
    elif copy.orphan:
        raise forbidden()  # an occurrence that its series no longer has
    else:
        made = meetings.rewrite(call.world, copy, draft, "api")
    mails.tell(call.world, copy, made, call.notify(), call.email, call.operation)
    return made


def delete(call: Call) -> Json:
    """events.delete: of the organizer for all, of a guest off the own calendar; twice is 410."""
    _, copy = _to_change(call)
    if copy.cancelled:
        raise deleted()
    if copy.organized_here or copy.alone:
        made = meetings.cancel(call.world, copy, "api")
    else:
        made = meetings.leave(call.world, copy, "api")
    mails.tell(call.world, copy, made, call.notify(), call.email, call.operation)
    return {}


def move(call: Call) -> Json:
    """events.move: to another calendar, which organizes it from then on."""
    if not call.text("destination"):
        raise required("Required")
    source, copy = _to_change(call)
    target = call.writable(call.text("destination"))
    check_only_default(copy.shared["eventType"], "moved")
    if copy.master:
        raise invalid("An instance of a recurring event cannot be moved.")
    if not copy.organized_here:
        raise CalendarError(
            403, "cannotChangeOrganizerOfInstance", "Only the organizer can move an event.", domain="calendar"
        )
    if copy.cancelled:
        raise deleted()
    if target.id == source.id:
        return render(copy, call.view(source))
    made = meetings.move(call.world, copy, target, "api")
    mails.tell(call.world, copy, made, call.notify(), call.email, call.operation)
    return render(made, call.view(target))
