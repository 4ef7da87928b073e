"""Reads from an iTIP part the few properties that link a mail to an activity (RFC 5545 3.1, RFC 6047).
Everything else in the calendar data stays unread here, recurrence rules above all."""

from __future__ import annotations

from core.types import CalendarPart
from sync.mime_body import Part
from sync.mime_charsets import clean_line
from sync.mime_text import part_text

_MAX_ICS = 1_000_000
_MAX_LINES = 20_000
_MAX_VALUE = 998
_SUBTYPES = ("text/calendar", "application/ics")


def is_calendar(part: Part) -> bool:
    """Whether this is an invitation to this message's reader, not one inside an attached message."""
    return part.content_type in _SUBTYPES and not part.nested


def calendar_of(raw: bytes, parts: list[Part], defects: list[str]) -> CalendarPart | None:
    """The invitation of a message; programs send it twice (alternative part and `invite.ics`), the first one counts."""
    for part in parts:
        if is_calendar(part):
            found = read_calendar(part_text(raw, part, _MAX_ICS, defects), part.params.get("method", ""))
            if found:
                return found
    return None


def read_calendar(text: str, method: str = "") -> CalendarPart | None:
    """METHOD, and UID, SEQUENCE and RECURRENCE-ID of the first component with a UID; None without one."""
    values: dict[str, str] = {}
    unfolded = text.replace("\n ", "").replace("\n\t", "")
    for line in unfolded.split("\n", _MAX_LINES)[:_MAX_LINES]:
        head, colon, value = line.partition(":")
        if not colon or len(head) > 200:
            continue
        name = head.partition(";")[0].strip().upper()
        if name == "END" and "UID" in values:
            break
        if name in ("METHOD", "UID", "SEQUENCE", "RECURRENCE-ID") and name not in values:
            values[name] = clean_line(value, _MAX_VALUE)
    if not values.get("UID"):
        return None
    number = values.get("SEQUENCE", "")
    sequence = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
    verb = clean_line(values.get("METHOD") or method, 32).upper()
    return CalendarPart(verb, values["UID"], sequence, values.get("RECURRENCE-ID", ""))
