"""PRETENDS the table of the Calendar API: which method and path is which operation, what it takes, which scopes do.
Held against the discovery document calendar.v3 by a test; how calls are carried out is left to `calendar_api`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sandbox.google import calendar_listing, calendar_reads, calendar_watching, calendar_writes
from sandbox.google import scopes as s
from sandbox.google.api_wire import Json
from sandbox.google.calendar_call import Call

ROOT = "/calendar/v3/"
_OWNED = frozenset({s.CALENDAR_EVENTS_OWNED, s.CALENDAR_EVENTS_OWNED_READONLY})
_WRITE = frozenset({s.CALENDAR, s.CALENDAR_EVENTS, s.CALENDAR_EVENTS_OWNED})
_READ = _WRITE | _OWNED | {s.CALENDAR_READONLY, s.CALENDAR_EVENTS_READONLY}
_LISTS = frozenset({s.CALENDAR, s.CALENDAR_READONLY, s.CALENDAR_LIST, s.CALENDAR_LIST_READONLY})


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of the API: how it is reached, what it takes, what it does."""

    name: str
    method: str
    path: re.Pattern[str]
    template: str
    act: Callable[[Call], Json]
    params: frozenset[str]
    scopes: frozenset[str]
    writes: bool = False
    takes_body: bool = False
    empty: bool = False  # answers 204 without a body

    def allowed(self, granted: frozenset[str]) -> bool:
        """Whether a token with these scopes may call it at all."""
        return bool(self.scopes & granted)

    def only_owned(self, granted: frozenset[str]) -> bool:
        """Whether such a token reaches only calendars of the user's own."""
        return not (self.scopes - _OWNED) & granted


def _operation(
    name: str,
    route: str,
    act: Callable[[Call], Json],
    params: str,
    scopes: frozenset[str],
    *,
    writes: bool = False,
    takes_body: bool = False,
    empty: bool = False,
) -> Operation:
    method, template = route.split()
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(ROOT + template))
    return Operation(
        name,
        method,
        re.compile(pattern),
        template,
        act,
        frozenset(params.split()),
        scopes,
        writes=writes,
        takes_body=takes_body,
        empty=empty,
    )


_EVENTS = "calendars/{calendarId}/events"
_EVENT = f"{_EVENTS}/{{eventId}}"
_MAIL = "sendNotifications sendUpdates"
_BODY = "conferenceDataVersion eventLabelVersion supportsAttachments"
_SEEN = "alwaysIncludeEmail maxAttendees"
_LIST = (
    f"{_SEEN} eventTypes iCalUID maxResults orderBy pageToken privateExtendedProperty q sharedExtendedProperty "
    "showDeleted showHiddenInvitations singleEvents syncToken timeMax timeMin timeZone updatedMin"
)
OPERATIONS = (
    _operation(
        "calendarList.list",
        "GET users/me/calendarList",
        calendar_listing.list_calendars,
        "maxResults minAccessRole pageToken showDeleted showHidden showOwnOrganizationOnly syncToken",
        _LISTS,
    ),
    _operation("events.list", f"GET {_EVENTS}", calendar_reads.list_events, _LIST, _READ),
    _operation("events.get", f"GET {_EVENT}", calendar_reads.get_event, f"{_SEEN} timeZone", _READ),
    _operation(
        "events.instances",
        f"GET {_EVENT}/instances",
        calendar_reads.list_instances,
        f"{_SEEN} maxResults originalStart pageToken showDeleted timeMax timeMin timeZone",
        _READ,
    ),
    _operation(
        "events.insert",
        f"POST {_EVENTS}",
        calendar_writes.insert,
        f"{_MAIL} {_BODY} maxAttendees",
        _WRITE,
        writes=True,
        takes_body=True,
    ),
    _operation(
        "events.import",
        f"POST {_EVENTS}/import",
        calendar_writes.import_event,
        _BODY,
        _WRITE,
        writes=True,
        takes_body=True,
    ),
    _operation(
        "events.patch",
        f"PATCH {_EVENT}",
        calendar_writes.patch,
        f"{_MAIL} {_BODY} {_SEEN}",
        _WRITE,
        writes=True,
        takes_body=True,
    ),
    _operation(
        "events.update",
        f"PUT {_EVENT}",
        calendar_writes.update,
        f"{_MAIL} {_BODY} {_SEEN}",
        _WRITE,
        writes=True,
        takes_body=True,
    ),
    _operation("events.delete", f"DELETE {_EVENT}", calendar_writes.delete, _MAIL, _WRITE, writes=True, empty=True),
    _operation("events.move", f"POST {_EVENT}/move", calendar_writes.move, f"{_MAIL} destination", _WRITE, writes=True),
    _operation("events.watch", f"POST {_EVENTS}/watch", calendar_watching.watch_events, _LIST, _READ, takes_body=True),
    _operation(
        "channels.stop",
        "POST channels/stop",
        calendar_watching.stop_channel,
        "",
        _READ | _LISTS,
        takes_body=True,
        empty=True,
    ),
)
