"""PRETENDS the reading operations on events: list with its tokens, get, instances (google.md, C.1).
Which events a listing shows is left to `calendar_select`, what a token is good for to `calendar_pages`."""

from __future__ import annotations

import random
from datetime import timedelta

from sandbox.google.api_wire import Json
from sandbox.google.calendar_call import Call
from sandbox.google.calendar_errors import invalid, not_found, range_empty, updated_min_too_long_ago
from sandbox.google.calendar_pages import Page, Result
from sandbox.google.calendar_records import Copy, stamp
from sandbox.google.calendar_render import render
from sandbox.google.calendar_schema import EVENT_TYPES
from sandbox.google.calendar_select import Wanted, Window, by_start, expanded, full, in_window
from sandbox.google.calendar_store import Agenda
from sandbox.google.calendar_times import read_bound

# Not allowed beside a sync token (discovery document, syncToken).
_NOT_WITH_TOKEN = [
    "iCalUID",
    "orderBy",
    "privateExtendedProperty",
    "q",
    "sharedExtendedProperty",
    "timeMin",
    "timeMax",
    "updatedMin",
]
# After a listing with one of these there is nothing to go on from.
_NO_TOKEN = tuple(name for name in _NOT_WITH_TOKEN if name not in ("timeMin", "timeMax"))


def list_events(call: Call) -> Json:
    """events.list: full, by page, or what changed since a sync token."""
    agenda = call.agenda()
    size = call.number("maxResults", 250, 2500) or 250
    for kind in call.texts("eventTypes"):
        if kind not in EVENT_TYPES:
            raise invalid(f"Invalid string value: '{kind}'.", "eventTypes")
    feed = f"events {agenda.id}"
    if call.text("pageToken"):
        result, start = call.pages.again(call.text("pageToken"), feed, call.email, call.pairs)
        if result.old is not None:
            call.pages.check_alive(result.old, call.now, agenda.access_changes)
    else:
        result = _opened(call, agenda, feed)
        start = -result.head
    return _answer(call, agenda, call.pages.cut(result, start, size, call.email))


def _answer(call: Call, agenda: Agenda, page: Page) -> Json:
    view = call.view(agenda)
    latest = agenda.latest
    answer: Json = {
        "kind": "calendar#events",
        "etag": f'"p{0 if latest is None else latest.number}"',
        "summary": agenda.summary,
        "updated": stamp(call.now if latest is None else latest.updated),
        "timeZone": call.zone() or agenda.zone,
        "accessRole": agenda.role(call.email),
        "defaultReminders": [dict(one) for one in agenda.reminders] if agenda.owner == call.email else [],
    }
    call.check_unread(answer["etag"])
    if page.next:
        answer["nextPageToken"] = page.next
    elif page.result.token is not None:
        answer["nextSyncToken"] = page.result.token.pack()
    return {**answer, "items": [render(copy, view) for copy in page.rows]}


def _opened(call: Call, agenda: Agenda, feed: str) -> Result:
    text = call.text("syncToken")
    if text:
        return _changes(call, agenda, feed, text)
    wanted = _wanted(call)
    position = agenda.feed.advance(call.now)
    rows = full(call.world, agenda, agenda.feed.everything(), wanted)
    order = call.choice("orderBy", "startTime", "updated")
    if order == "startTime":
        if not wanted.single:
            raise invalid("The requested ordering is not available for the particular query.", "orderBy")
        rows = by_start(rows, agenda.zone)
    elif order == "updated":
        rows.sort(key=lambda one: (one.updated, one.number))
    elif call.knobs.shuffle_seed is not None:
        random.Random(call.knobs.shuffle_seed).shuffle(rows)
    token = None
    if not any(call.sent(name) for name in _NO_TOKEN):
        window = (call.text("timeMin"), call.text("timeMax"))
        token = call.pages.new_token(feed, call.email, position, call.pairs, call.now, window, agenda.access_changes)
    return call.pages.open(rows, feed, call.pairs, token, None)


def _changes(call: Call, agenda: Agenda, feed: str, text: str) -> Result:
    for name in _NOT_WITH_TOKEN:
        if call.sent(name):
            raise invalid(f"Sync token cannot be used with {name}.", name)
    if call.sent("showDeleted") and not call.flag("showDeleted"):
        raise invalid("Sync token cannot be used with showDeleted=false.", "showDeleted")
    old = call.pages.known_token(text, feed, call.email, call.pairs, call.now, agenda.access_changes)
    position = agenda.feed.advance(call.now)
    window = _window(*old.window)
    kinds = frozenset(call.texts("eventTypes"))
    rows: list[Copy] = []
    for copy in agenda.feed.since(old.position):
        if kinds and copy.shared["eventType"] not in kinds:
            continue
        if call.flag("singleEvents") and copy.is_series:
            rows.extend(expanded(call.world, agenda, copy, window))
        elif copy.cancelled or call.knobs.window_leaks or in_window(copy, window, agenda.zone):
            # Changes outside the window come as well (google.md, C.1): clients must look for themselves.
            rows.append(copy)
    token = call.pages.new_token(feed, call.email, position, call.pairs, call.now, old.window, agenda.access_changes)
    return call.pages.open(rows, feed, call.pairs, token, old)


def _window(start: str, end: str) -> Window:
    return Window(read_bound(start, "timeMin") if start else None, read_bound(end, "timeMax") if end else None)


def _wanted(call: Call) -> Wanted:
    window = Window(call.moment("timeMin"), call.moment("timeMax"))
    if window.start is not None and window.end is not None and window.start >= window.end:
        raise range_empty()
    updated_min = call.moment("updatedMin")
    if updated_min is not None and call.now - updated_min > timedelta(days=call.knobs.updated_min_days):
        raise updated_min_too_long_ago()
    for name in ("privateExtendedProperty", "sharedExtendedProperty"):
        if any("=" not in pair for pair in call.texts(name)):
            raise invalid("Invalid extended property constraint.", name)
    return Wanted(
        window=window,
        deleted=call.flag("showDeleted"),
        single=call.flag("singleEvents"),
        types=frozenset(call.texts("eventTypes")),
        updated_min=updated_min,
        text=call.text("q"),
        uid=call.text("iCalUID"),
        private=call.texts("privateExtendedProperty"),
        shared=call.texts("sharedExtendedProperty"),
    )


def get_event(call: Call) -> Json:
    """events.get: cancelled ones too."""
    agenda = call.agenda()
    copy = call.found(agenda)
    call.check_unread(copy.etag)
    return render(copy, call.view(agenda))


def list_instances(call: Call) -> Json:
    """events.instances: the occurrences of one series, those with a record of their own among them."""
    agenda = call.agenda()
    master = call.found(agenda)
    if master.master:
        raise not_found()
    size = call.number("maxResults", 250, 2500) or 250
    feed = f"instances {agenda.id} {master.id}"
    if call.text("pageToken"):
        result, start = call.pages.again(call.text("pageToken"), feed, call.email, call.pairs)
    else:
        result, start = call.pages.open(_instances(call, agenda, master), feed, call.pairs, None, None), 0
    return _answer(call, agenda, call.pages.cut(result, start, size, call.email))


def _instances(call: Call, agenda: Agenda, master: Copy) -> list[Copy]:
    wanted = Wanted(Window(call.moment("timeMin"), call.moment("timeMax")), call.flag("showDeleted"), True, frozenset())
    copies = [master, *call.world.exceptions(agenda, master)] if master.is_series else []
    rows = by_start(full(call.world, agenda, copies, wanted), agenda.zone)
    original = call.text("originalStart")
    if not original:
        return rows
    if len(original) == 10:
        return [one for one in rows if one.original == {"date": original}]
    moment = read_bound(original, "originalStart")
    return [
        one
        for one in rows
        if one.original is not None
        and "dateTime" in one.original
        and moment == read_bound(one.original["dateTime"], "originalStart")
    ]
