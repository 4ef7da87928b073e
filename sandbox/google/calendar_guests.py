"""PRETENDS what Google lets a guest do to a meeting of somebody else: answer, own reminders and colour, invite others.
The rest is 403 forbiddenForNonOrganizer (google.md, C.3), unless the organizer lets guests change the event."""

from __future__ import annotations

from sandbox.google import calendar_mails as mails
from sandbox.google import calendar_meetings as meetings
from sandbox.google.api_wire import Json
from sandbox.google.calendar_call import Call
from sandbox.google.calendar_errors import not_organizer
from sandbox.google.calendar_input import Draft, changed
from sandbox.google.calendar_records import Copy
from sandbox.google.calendar_store import Agenda

_ANSWER = frozenset({"responseStatus", "comment", "additionalGuests", "displayName"})


def guest_change(call: Call, agenda: Agenda, copy: Copy, draft: Draft) -> Copy:
    """Carry out a guest's change. Raises CalendarError 403 before anything is changed."""
    if draft.status == "cancelled":
        return _off(call, copy, draft)
    fields = changed(copy.shared, draft.shared)
    if copy.shared.get("guestsCanModify") is True and not copy.removed:
        return _as_organizer(call, copy, draft)
    if fields - {"attendees"} or (draft.status != copy.status and not copy.removed):
        raise not_organizer()
    attendees = draft.shared.get("attendees", [])
    check_guest_list(copy, agenda.id, attendees)
    made = copy
    if copy.removed:
        made = meetings.come_back(call.world, copy, "api")
    if "attendees" in fields:
        made = meetings.change_guests(call.world, made, attendees, "api")
        mails.tell(call.world, copy, made, call.notify(), call.email, call.operation)
    return meetings.keep_own(call.world, made, draft.own, "api")


def _off(call: Call, copy: Copy, draft: Draft) -> Copy:
    if changed(copy.shared, draft.shared):
        raise not_organizer()
    if copy.cancelled:
        return meetings.keep_own(call.world, copy, draft.own, "api")
    made = meetings.leave(call.world, copy, "api")
    mails.tell(call.world, copy, made, call.notify(), call.email, call.operation)
    return made


def _as_organizer(call: Call, copy: Copy, draft: Draft) -> Copy:
    lead = meetings.leading(call.world, copy)
    made = meetings.keep_own(call.world, copy, draft.own, "api")
    if lead is None:
        return call.world.put(made, "api", shared=draft.shared)
    led = meetings.rewrite(call.world, lead, Draft(draft.shared, lead.own, draft.status), "api")
    mails.tell(call.world, lead, led, call.notify(), call.email, call.operation)
    call.world.settle()
    return call.world.agendas[copy.calendar].events.get(made.id, made)


def check_guest_list(copy: Copy, me: str, wanted: list[Json]) -> None:
    """Raises CalendarError 403 unless only the own answer changes, or guests join where guests may invite."""
    held = {one["email"]: one for one in copy.shared.get("attendees", [])}
    told = {one["email"]: one for one in wanted}
    if held.keys() - told.keys():
        raise not_organizer()
    joining = told.keys() - held.keys()
    if joining and copy.shared.get("guestsCanInviteOthers") is False:
        raise not_organizer()
    for email, one in held.items():
        fields = changed(one, told[email])
        if fields and (email != me or fields - _ANSWER):
            raise not_organizer()
