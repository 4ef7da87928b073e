"""PRETENDS calendarList.list: the calendars in a user's list, by page, or what changed since a sync token.
What is on the list is kept by `calendar_lists`."""

from __future__ import annotations

from sandbox.google.api_wire import Json
from sandbox.google.calendar_call import Call
from sandbox.google.calendar_errors import invalid
from sandbox.google.calendar_lists import Entry
from sandbox.google.calendar_pages import Result
from sandbox.google.calendar_records import ROLES, Role, at_least

FEED = "calendars"
_COLOURS = {"colorId": "14", "backgroundColor": "#9fe1e7", "foregroundColor": "#000000"}


def list_calendars(call: Call) -> Json:
    """calendarList.list (google.md, C.4)."""
    size = call.number("maxResults", 100, 250) or 100
    call.world.primary_of(call.email)
    if call.text("pageToken"):
        result, start = call.pages.again(call.text("pageToken"), FEED, call.email, call.pairs)
    else:
        result = _opened(call)
        start = -result.head
    page = call.pages.cut(result, start, size, call.email)
    answer: Json = {
        "kind": "calendar#calendarList",
        "etag": f'"p{call.world.lists.feed(call.email).advance(call.now)}"',
    }
    if page.next:
        answer["nextPageToken"] = page.next
    elif page.result.token is not None:
        answer["nextSyncToken"] = page.result.token.pack()
    return {**answer, "items": [_entry(call, one) for one in page.rows]}


def _opened(call: Call) -> Result:
    feed = call.world.lists.feed(call.email)
    role = call.choice("minAccessRole", *ROLES[1:])
    text = call.text("syncToken")
    old = None
    if text:
        for name in ("minAccessRole", "showOwnOrganizationOnly"):
            if call.sent(name):
                raise invalid(f"Sync token cannot be used with {name}.", name)
        if any(call.sent(name) and not call.flag(name) for name in ("showDeleted", "showHidden")):
            raise invalid("Sync token cannot be used with showDeleted=false or showHidden=false.", "syncToken")
        old = call.pages.known_token(text, FEED, call.email, call.pairs, call.now, 0)
    position = feed.advance(call.now)
    if old is not None:
        rows = feed.since(old.position)
    else:
        rows = [one for one in feed.everything() if _wanted(call, one, role)]
    token = None
    if not role:
        token = call.pages.new_token(FEED, call.email, position, call.pairs, call.now, ("", ""), 0)
    return call.pages.open(rows, FEED, call.pairs, token, old)


def _wanted(call: Call, entry: Entry, role: str) -> bool:
    if entry.deleted:
        return call.flag("showDeleted")
    if entry.hidden and not call.flag("showHidden"):
        return False
    least: Role = next((one for one in ROLES if one == role), "none")
    return at_least(_role(call, entry), least)


def _role(call: Call, entry: Entry) -> Role:
    return call.world.agendas[entry.name].role(call.email)


def _entry(call: Call, entry: Entry) -> Json:
    found: Json = {"kind": "calendar#calendarListEntry", "etag": f'"{entry.number * 1000}"', "id": entry.name}
    if entry.deleted:
        return {**found, "deleted": True}
    agenda = call.world.agendas[entry.name]
    own = agenda.owner == call.email
    found |= {
        "summary": agenda.summary,
        "timeZone": agenda.zone,
        **_COLOURS,
        "selected": True,
        "accessRole": _role(call, entry),
        "defaultReminders": [dict(one) for one in agenda.reminders] if own else [],
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }
    if entry.title:
        found["summaryOverride"] = entry.title
    if entry.hidden:
        found["hidden"] = True
    if agenda.primary and own:
        found["primary"] = True
        found["notificationSettings"] = {"notifications": [{"type": "eventCreation", "method": "email"}]}
    return found
