"""An event of the Calendar API as an `Item`: version, whether it is in scope, whose it is, whether we may write it.
Its fields are `event_mapping`; which series an occurrence belongs to is `calendar_series`."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from core.errors import ItemRejected
from core.event import Event
from core.replica import LONG_AGO, Item, Stamp
from providers.google.errors import Json
from providers.google.event_attendees import own_address
from providers.google.event_mapping import kept_of, origin_mark, read_event
from providers.google.event_times import reaches, read_original

GENERATIONS = 32  # one character of base32hex
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_OUR_LENGTH = 27  # 16 bytes in base32hex, and the generation

# Why an event is read-only to us: code in `extra["reason"]`, what people are told, and what they can do.
REASONS = {
    "kind": ("it is no ordinary event", "Focus time, birthdays and the like can be changed at Google only."),
    "calendar": ("the calendar can only be read", "Ask its owner for the right to change events, or choose another."),
    "foreign": ("somebody else organizes it", "Ask the organizer; only your own answer can be changed."),
    "locked": ("Google has locked its text", "It can be changed where it came from."),
    "private_copy": ("it is a copy that Google keeps to itself", "It can be changed at Google only."),
}
# Of these not even the own answer or reminders can be changed.
UNTOUCHABLE = ("kind", "calendar")


@dataclass(frozen=True, slots=True)
class View:
    """How events of one calendar are looked at: from which day on they count, whether they may be changed.
    `shared`: the calendar is somebody else's. `kinds`: which values of `eventType` take part."""

    since: date | None
    writable: bool
    shared: bool = False
    kinds: Collection[str] = ("default",)


def read_item(event: Mapping[str, Any], view: View) -> Item[Event]:
    """An event that exists as an item; for a cancelled one that is no occurrence see `is_gone`."""
    kept = kept_of(event)
    body = read_event(kept)
    reason = _reason(kept, writable=view.writable)
    extra: Json = {"event": kept, "owned": _is_owned(kept), "writable": not reason}
    if reason:
        extra["reason"] = reason
    if view.shared:
        extra["shared"] = True
    if reason not in UNTOUCHABLE:
        extra["own"] = own_address(kept)
    origin, generation = _origin(kept)
    if generation:
        extra["generation"] = generation
    wanted = kept.get("eventType", "default") in view.kinds
    selected = wanted and not is_gone(kept) and reaches(body, view.since)
    return Item(_text(kept.get("id")), _stamp(kept), selected, body, origin, extra)


def is_gone(event: Mapping[str, Any]) -> bool:
    """Whether an event or series was deleted. An occurrence that is cancelled lives as long as its series."""
    return event.get("status") == "cancelled" and not event.get("recurringEventId")


def read_only(extra: Mapping[str, Any]) -> ItemRejected | None:
    """Why the text of an event cannot be written, from its `extra`; None if it can."""
    if extra.get("writable", True):
        return None
    why, advice = REASONS.get(_text(extra.get("reason")), ("Google does not allow it", ""))
    return ItemRejected(f"the event is not changed at Google: {why}", advice=advice)


# ---- our own name for an event -----------------------------------------------------------------------------


def event_id(origin: str, generation: int) -> str:
    """The id we choose, so that a creation can be sent again: base32hex of our id and a counter, since Google never
    gives an id twice in one calendar, not even after the event was deleted."""
    raw = bytes.fromhex(origin) if re.fullmatch(r"[0-9a-f]{32}", origin) else origin.encode()
    return base64.b32hexencode(raw).decode("ascii").rstrip("=").lower() + _DIGITS[generation]


def mark_of(origin: str, original: str) -> str:
    """What is written onto an event to know it again. Occurrences inherit that of their series, and must not be taken
    for it: theirs names the occurrence as well."""
    return f"{origin} {original}" if original else origin


def _origin(event: Mapping[str, Any]) -> tuple[str, int]:
    """Our id and the generation in the event's own, ("", 0) for an event we did not make: copies of ours carry the
    mark as well (a series that was split, an event that somebody duplicated), under ids that we did not choose. The
    copies of guests have the id and not the mark, which only the organizer sees."""
    mark, original, one = origin_mark(event), read_original(event), _text(event.get("id"))
    origin, _, named = mark.partition(" ")
    if original or event.get("recurringEventId"):
        return (origin, 0) if named and named == original else ("", 0)
    if not _is_owned(event):
        origin = origin or _origin_in(one)
    if not origin or named or one[:-1] != event_id(origin, 0)[:-1] or one[-1] not in _DIGITS:
        return "", 0
    return origin, _DIGITS.index(one[-1])


def _origin_in(one: str) -> str:
    """The id of ours that an event's id of our choice is made of, "" for any other: Google's own are shorter."""
    if len(one) != _OUR_LENGTH:
        return ""
    try:
        return base64.b32hexdecode(one[:-1].upper() + "=" * (-len(one[:-1]) % 8)).hex()
    except ValueError:
        return ""


# ---- whose it is -------------------------------------------------------------------------------------------


def _reason(event: Mapping[str, Any], *, writable: bool) -> str:
    if not _is_ordinary(event):
        return "kind"
    if not writable:
        return "calendar"
    if event.get("locked") is True:
        return "locked"
    if event.get("privateCopy") is True:
        return "private_copy"
    return "" if _is_owned(event) or event.get("guestsCanModify") is True else "foreign"


def _is_ordinary(event: Mapping[str, Any]) -> bool:
    return event.get("eventType") in (None, "default")


def _is_owned(event: Mapping[str, Any]) -> bool:
    """Whether this calendar organizes the event. Google leaves the organizer out of what is cancelled only."""
    organizer = event.get("organizer")
    return not isinstance(organizer, dict) or organizer.get("self") is True


def _stamp(event: Mapping[str, Any]) -> Stamp:
    """Of a cancelled occurrence Google need not tell more than the name: it is not known then when that happened."""
    try:
        moment = datetime.fromisoformat(_text(event.get("updated")))
    except ValueError:
        return Stamp(_text(event.get("etag")), LONG_AGO)
    return Stamp(_text(event.get("etag")), moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
