"""Reading events: a whole calendar or what changed, page by page, and some by id; and the calendars of an account.
What an answer means for the cursor is left to `calendar`, what an event says to `event_items`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from core.errors import CursorExpired, Misconfigured, Transient
from providers.google.calendar_client import CalendarClient
from providers.google.errors import Json, Refusal
from providers.google.event_times import listed_from

# With a sync token every parameter must be what it was in the first call. Series come as one event each: their
# occurrences one by one would be hundreds for an endless one.
LIST_PARAMETERS: Mapping[str, object] = {
    "singleEvents": False,
    "showDeleted": True,  # else occurrences that were cancelled before the first listing would never come to light
    "eventTypes": ["default"],
    "maxResults": 2500,
}
_WRITERS = frozenset({"owner", "writer", "writerWithoutPrivateAccess"})
_NO_CALENDAR = frozenset({"forbidden", "requiredAccessLevel"})
MANY = 100  # from here on reading the whole calendar takes fewer calls, 2,500 events each
AGAIN = 1.0  # seconds until an event that was not found is asked for once more: it may just have been made


@dataclass(slots=True)
class Listed:
    """What a listing tells: events as they came, by id; the sync token; name and rights of the calendar."""

    events: dict[str, Json] = field(default_factory=dict)
    token: str = ""
    name: str = ""
    writable: bool = True


@dataclass(frozen=True, slots=True)
class CalendarEntry:
    """A calendar the account can choose. `primary`: its own; `writable`: events in it can be changed."""

    id: str
    name: str
    primary: bool
    writable: bool
    zone: str


def list_events(client: CalendarClient, calendar: str, token: str, since: date | None) -> Listed | None:
    """All events that end after a day, or with a token what changed; None when there is no such calendar (any more).

    Raises CursorExpired.
    """
    parameters: Json = {"calendarId": calendar, **LIST_PARAMETERS}
    if token:
        parameters["syncToken"] = token
    elif since is not None:
        parameters["timeMin"] = listed_from(since)  # the token carries it from then on
    listed = Listed()
    for answer in _pages(client, client.events.list, parameters):
        if isinstance(answer, Refusal):
            if _is_absent(answer):
                return None
            raise _list_error(answer, token=bool(token))
        # An event that changed while pages were read comes twice; the later one counts.
        listed.events.update((one, event) for event in _rows(answer) if (one := _text(event.get("id"))))
        listed.name = _text(answer.get("summary")) or listed.name
        listed.writable = answer.get("accessRole", "owner") in _WRITERS
        listed.token = _text(answer.get("nextSyncToken"))
    return listed


def get_events(client: CalendarClient, calendar: str, ids: Collection[str], wait: Callable[[float], None]) -> Listed:
    """These events as they are now, one call each unless they are many; what is not found even when asked again is left
    out."""
    listed = Listed()
    if len(ids) > MANY:
        whole = list_events(client, calendar, "", None)
        listed.events = {one: whole.events[one] for one in whole.events.keys() & set(ids)} if whole else {}
    missing = _got(client, calendar, sorted(set(ids) - listed.events.keys()), listed)
    if missing:
        # "404: Not Found ... use exponential backoff" (Calendar API, Handle errors): a new event is not everywhere yet.
        wait(AGAIN)
        _got(client, calendar, missing, listed)
    return listed


def list_calendars(client: CalendarClient) -> list[CalendarEntry]:
    """The calendars in the account's list, its own first. Raises NotGranted where that was not allowed."""
    found: list[CalendarEntry] = []
    for answer in _pages(client, client.calendars.list, {"maxResults": 250}):
        if isinstance(answer, Refusal):
            raise _list_error(answer, token=False)
        for row in _rows(answer):
            if _text(row.get("id")) and row.get("deleted") is not True:
                found.append(_entry(row))
    return sorted(found, key=lambda entry: (not entry.primary, entry.name.casefold(), entry.id))


def _got(client: CalendarClient, calendar: str, ids: Collection[str], listed: Listed) -> list[str]:
    missing: list[str] = []
    for one in ids:
        answer = client.attempt(client.events.get(calendarId=calendar, eventId=one))
        if isinstance(answer, Refusal):
            if answer.status not in (404, 410):
                raise Transient(f"Google did not answer for an event (HTTP {answer.status})")
            missing.append(one)
        else:
            listed.events[one] = answer
    return missing


def _pages(client: CalendarClient, call: Callable[..., Any], parameters: Json) -> Iterator[Json | Refusal]:
    met: set[str] = set()
    while True:
        answer = client.attempt(call(**parameters))
        if isinstance(answer, Refusal) and met and not _is_expired(answer):
            # A page that is refused behind one that came: whatever it is, what came is not all.
            raise Transient(f"Google broke off a listing (HTTP {answer.status})")
        yield answer
        follow = None if isinstance(answer, Refusal) else answer.get("nextPageToken")
        if not follow:
            return
        if not isinstance(follow, str) or follow in met:
            raise Transient("Google's pages lead in a circle")
        met.add(follow)
        parameters = {**parameters, "pageToken": follow}


def _rows(answer: Json) -> list[Json]:
    rows = answer.get("items")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Transient("Google sent a list that cannot be read")
    return rows


def _is_expired(refusal: Refusal) -> bool:
    return refusal.status == 410 or isinstance(refusal.error(), CursorExpired)


def _is_absent(refusal: Refusal) -> bool:
    return refusal.status == 404 or (refusal.status == 403 and bool(refusal.reasons & _NO_CALENDAR))


def _list_error(refusal: Refusal, *, token: bool) -> Exception:
    # A garbage token is 400 "invalid", one of a calendar whose rights changed 410; the cure is the same.
    if _is_expired(refusal) or (token and refusal.status == 400):
        return CursorExpired("Google no longer knows how far we had read")
    if refusal.status != 400:
        return Transient(f"Google did not give a listing (HTTP {refusal.status})")
    return Misconfigured(f"Google refuses to list events ({refusal.error()})", advice="Please report this as a bug.")


def _entry(row: Json) -> CalendarEntry:
    return CalendarEntry(
        _text(row["id"]),
        _text(row.get("summaryOverride")) or _text(row.get("summary")),
        row.get("primary") is True,
        row.get("accessRole") in _WRITERS,
        _text(row.get("timeZone")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
