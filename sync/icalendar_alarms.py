"""Alarms of iCalendar files as reminders and back (RFC 5545 3.6.6). What is no reminder is left out and does no harm to
its event. Reading events is `sync.icalendar_read`, writing them `sync.icalendar_write`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from core.event import MAX_AHEAD, MAX_REMINDERS, Reminder
from core.recurrence import read_stamp
from sync.icalendar_lines import Component, Property

_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,5})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?", re.A
)
_METHODS = {"DISPLAY": "popup", "AUDIO": "popup", "EMAIL": "email"}
_MINUTE = timedelta(minutes=1)


def read_duration(text: str) -> timedelta:
    """A DURATION (RFC 5545 3.3.6). Raises ValueError."""
    match = _DURATION.fullmatch(text.upper())
    if match is None or not any(match.groups()[1:]):
        raise ValueError(f"{text[:40]!r} is no duration")
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in match.groups()[1:])
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -length if match[1] == "-" else length


def read_alarms(components: Iterable[Component], start: datetime, end: datetime) -> tuple[Reminder, ...] | None:
    """The reminders among the components of an event, the nearest ones if they are many; None if there are none: a file
    cannot say "no reminders"."""
    alarms = (_reminder(one, start, end) for one in components if one.name == "VALARM")
    found = sorted({one for one in alarms if one is not None}, key=lambda one: (one.minutes, one.method))
    return tuple(found[:MAX_REMINDERS]) or None


def _reminder(alarm: Component, start: datetime, end: datetime) -> Reminder | None:
    action, trigger = alarm.first("ACTION"), alarm.first("TRIGGER")
    method = _METHODS.get(action.value.strip().upper(), "") if action else ""
    if not method or trigger is None:
        return None
    try:
        ahead = start - _fires_at(trigger, start, end)
    except (ValueError, OverflowError):
        return None
    minutes = -(-ahead // _MINUTE)  # rather early than late
    return Reminder(method, minutes) if 0 <= minutes <= MAX_AHEAD else None


def _fires_at(trigger: Property, start: datetime, end: datetime) -> datetime:
    """Raises ValueError."""
    value = trigger.value.strip()
    if trigger.parameters.get("VALUE", "").upper() == "DATE-TIME":
        return read_stamp(value).at.replace(tzinfo=UTC)  # always in UTC (RFC 5545 3.8.6.3)
    return (end if trigger.parameters.get("RELATED", "").upper() == "END" else start) + read_duration(value)


def alarm_lines(reminders: Iterable[Reminder], text: str, address: str) -> list[str]:
    """VALARMs as lines, `text` escaped already. An e-mail needs somebody to go to; without an address it pops up."""
    lines: list[str] = []
    for one in reminders:
        mail = one.method == "email" and address
        lines += ["BEGIN:VALARM", f"ACTION:{'EMAIL' if mail else 'DISPLAY'}", f"TRIGGER:-PT{one.minutes}M"]
        lines += [f"DESCRIPTION:{text}", *([f"SUMMARY:{text}", f"ATTENDEE:mailto:{address}"] if mail else [])]
        lines.append("END:VALARM")
    return lines
