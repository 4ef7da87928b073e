"""Reading events: a whole calendar or what changed, page by page, and some by id.
What an answer means for the cursor is left to `calendar`, what an event says to `event_items`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
    "maxResults": 2500,
}
ORDINARY = ("default",)
ALL_KINDS = (*ORDINARY, "birthday", "focusTime", "fromGmail", "outOfOffice", "workingLocation")
WRITERS = frozenset({"owner", "writer", "writerWithoutPrivateAccess"})
_NO_CALENDAR = frozenset({"forbidden", "requiredAccessLevel"})
MANY = 100  # from here on reading the whole calendar takes fewer calls, 2,500 events each
AGAIN = 1.0  # seconds until an event that was not found is asked for once more: it may just have been made


@dataclass(slots=True)
class Listed:
    """What a listing tells: events as they came, by id; the sync token; name and rights of the calendar (`writable`:
    events can be changed; `owner`: so can the calendar)."""

    events: dict[str, Json] = field(default_factory=dict)
    token: str = ""
    name: str = ""
    writable: bool = True
    owner: bool = False


def list_events(
    client: CalendarClient, calendar: str, token: str, since: date | None, kinds: Sequence[str] = ALL_KINDS
) -> Listed | None:
    """All events of these kinds that end after a day, or with a token what changed; None when there is no such calendar
    (any more).

    Raises CursorExpired.
    """
    parameters: Json = {"calendarId": calendar, **LIST_PARAMETERS, "eventTypes": list(kinds)}
    if token:
        parameters["syncToken"] = token
    elif since is not None:
        parameters["timeMin"] = listed_from(since)  # the token carries it from then on
    listed = Listed()
    for answer in pages_of(client, client.events.list, parameters):
        if isinstance(answer, Refusal):
            if _is_absent(answer):
                return None
            raise list_error(answer, token=bool(token))
        # An event that changed while pages were read comes twice; the later one counts.
        listed.events.update((one, event) for event in rows_of(answer) if (one := _text(event.get("id"))))
        listed.name = _text(answer.get("summary")) or listed.name
        role = answer.get("accessRole", "owner")
        listed.writable, listed.owner = role in WRITERS, role == "owner"
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


def pages_of(client: CalendarClient, call: Callable[..., Any], parameters: Json) -> Iterator[Json | Refusal]:
    """The pages of a listing as they come; a refusal is the last. Raises Transient when one comes in the middle."""
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


def rows_of(answer: Json) -> list[Json]:
    """What is on a page. Raises Transient for something else than a list."""
    rows = answer.get("items")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Transient("Google sent a list that cannot be read")
    return rows


def _is_expired(refusal: Refusal) -> bool:
    return refusal.status == 410 or isinstance(refusal.error(), CursorExpired)


def _is_absent(refusal: Refusal) -> bool:
    return refusal.status == 404 or (refusal.status == 403 and bool(refusal.reasons & _NO_CALENDAR))


def list_error(refusal: Refusal, *, token: bool) -> Exception:
    """What the refusal of a listing means that was asked for with, or without, a sync token."""
    # A garbage token is 400 "invalid", one of a calendar whose rights changed 410; the cure is the same.
    if _is_expired(refusal) or (token and refusal.status == 400):
        return CursorExpired("Google no longer knows how far we had read")
    if refusal.status != 400:
        return Transient(f"Google did not give a listing (HTTP {refusal.status})")
    return Misconfigured(f"Google refuses to list events ({refusal.error()})", advice="Please report this as a bug.")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
