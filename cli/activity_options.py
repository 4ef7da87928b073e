"""The options that stand for the fields of an activity, and what was typed as an event or a window of time.
Which activity they go to is decided by `cli.activities`; what can be one is `sync.activity_book`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from core.addresses import address_key
from core.errors import BadInput
from core.event import METHODS, Attendee, Event, Moment, Reminder, write_instant
from core.occurrences import Window, instant
from sync.activity_book import ADVICE

ActivityName = Annotated[str, typer.Argument(metavar="ACTIVITY", help="Id or its beginning, or external id.")]
Viewer = Annotated[str, typer.Option("--as", metavar="USER", help="As this user sees it [default: nobody's private].")]
From = Annotated[str, typer.Option("--from", metavar="TIME", help="Not what ended before; a date is one of UTC.")]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="Not what begins then or later.")]

_Text = str | None
Title = Annotated[_Text, typer.Option("--title", help="Title.")]
Start = Annotated[_Text, typer.Option("--start", metavar="TIME", help="2026-03-02T09:30, or a date for whole days.")]
End = Annotated[
    _Text,
    typer.Option("--end", metavar="TIME", help="End; of whole days the day behind the last [default: 1 h, 1 day]."),
]
Zone = Annotated[_Text, typer.Option("--zone", metavar="ZONE", help="Whose clock it is: Europe/Berlin [default: UTC].")]
AllDay = Annotated[bool, typer.Option("--all-day", help="Of whole days: start and end are dates.")]
Repeat = Annotated[
    list[str] | None,
    typer.Option("--repeat", metavar="RRULE", help="FREQ=WEEKLY;BYDAY=MO, or an RDATE or EXDATE line; repeatable."),
]
Invite = Annotated[
    list[str] | None, typer.Option("--invite", metavar="[NAME ]ADDRESS", help="A participant; may be repeated.")
]
Location = Annotated[_Text, typer.Option("--location", help="Place.")]
Description = Annotated[_Text, typer.Option("--description", help="Description.")]
Private = Annotated[
    bool | None, typer.Option("--private/--not-private", help="Others see that the owner is busy, no more.")
]
Free = Annotated[bool | None, typer.Option("--free/--busy", help="Whether it leaves the time free.")]
Remind = Annotated[
    list[str] | None,
    typer.Option(
        "--remind",
        metavar="[email:]TIME",
        help="How long before: 10m, 2h, 1d, email:1h; up to five times; or none, or default (as the calendar does).",
    ),
]
Show = Annotated[bool | None, typer.Option("--show/--no-show", help="Whether it belongs into the owner's calendar.")]

_REMINDER = re.compile(rf"(?:({'|'.join(METHODS)}):)?(\d{{1,5}})([mhdw]?)", re.ASCII)
_MINUTES = {"": 1, "m": 1, "h": 60, "d": 1_440, "w": 10_080}
_LINE = re.compile(r"(RRULE|RDATE|EXDATE)[;:]", re.IGNORECASE)
_PERSON = re.compile(r"(.*?)[ \t]*<?([^\s<>]+)>?")


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed for an activity; None for what was not."""

    title: str | None = None
    start: str | None = None
    end: str | None = None
    zone: str | None = None
    all_day: bool = False
    repeat: list[str] | None = None
    invite: list[str] | None = None
    location: str | None = None
    description: str | None = None
    private: bool | None = None
    free: bool | None = None
    remind: list[str] | None = None


def typed_into(event: Event, typed: Typed) -> Event:
    """An event with what was typed in place of its own; an empty text empties a field. Raises BadInput."""
    event = _with_times(event, typed)
    texts = {name: getattr(typed, name) for name in ("title", "location", "description")}
    event = replace(event, **{name: text for name, text in texts.items() if text is not None})
    if typed.repeat is not None:
        event = replace(event, recurrence=tuple(_rule(one) for one in typed.repeat if one.strip()))
    if typed.invite is not None:
        event = replace(event, attendees=_people(typed.invite, event.attendees))
    if typed.private is not None:
        event = replace(event, visibility="private" if typed.private else "default")
    if typed.remind is not None:
        event = replace(event, reminders=reminders(typed.remind))
    return event if typed.free is None else replace(event, transparent=typed.free)


def _with_times(event: Event, typed: Typed) -> Event:
    if typed.start is None and typed.end is None and typed.zone is None:
        return event
    zone = typed.zone or event.start.zone or "UTC"
    start = event.start if typed.start is None else _moment(typed.start, zone, typed.all_day)
    if start.at and typed.zone:
        start = replace(start, zone=zone)
    if typed.end is not None:
        end = _moment(typed.end, zone, typed.all_day)
    elif (event.start.date or event.start.at) and bool(event.start.date) == bool(start.date):
        end = _later(start, instant(event.end) - instant(event.start))  # moved as a whole
    else:
        end = _later(start, timedelta(days=1) if start.date else timedelta(hours=1))
    return replace(event, start=start, end=end)


def _later(start: Moment, length: timedelta) -> Moment:
    end = instant(start) + length
    return Moment(date=end.date().isoformat()) if start.date else Moment(at=write_instant(end), zone=start.zone)


def _moment(text: str, zone: str, all_day: bool) -> Moment:
    found = _read(text)
    if not isinstance(found, datetime):
        return Moment(date=found.isoformat())
    if all_day:
        raise BadInput(f"{text[:40]!r} is a time, and whole days are given as dates", advice=ADVICE["time"])
    try:
        at = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))
        return Moment(at=write_instant(at), zone=zone)
    except (OSError, ValueError, OverflowError, ZoneInfoNotFoundError) as error:
        raise BadInput(f"{zone[:60]!r} is no time zone", advice=ADVICE["zone"]) from error


def _read(text: str) -> date | datetime:
    """A date or a time (ISO 8601)."""
    try:
        return datetime.fromisoformat(text) if len(text) > 10 else date.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{text[:40]!r} is no date or time", advice=ADVICE["time"]) from error


def _rule(text: str) -> str:
    return text.strip() if _LINE.match(text.strip()) else f"RRULE:{text.strip()}"


def reminders(typed: Sequence[str]) -> tuple[Reminder, ...] | None:
    """The reminders that were typed; None for those of the calendar. Raises BadInput."""
    words = [text.strip().lower() for text in typed]
    if words == ["default"]:
        return None
    if words in (["none"], [""]):
        return ()
    found = []
    for word in words:
        match = _REMINDER.fullmatch(word)
        if match is None:
            raise BadInput(f"{word[:40]!r} is no reminder", advice=ADVICE["reminder"])
        found.append(Reminder(match[1] or METHODS[0], int(match[2]) * _MINUTES[match[3]]))
    return tuple(found)


def reminder_text(one: Reminder) -> str:
    """A reminder as it is typed, in the largest unit that fits."""
    unit = next((unit for unit in "wdh" if one.minutes and one.minutes % _MINUTES[unit] == 0), "m")
    method = "" if one.method == METHODS[0] else f"{one.method}:"
    return f"{method}{one.minutes // _MINUTES[unit]}{unit}"


def _people(typed: Sequence[str], known: Sequence[Attendee]) -> tuple[Attendee, ...]:
    """Those who were typed; who takes part already keeps their answer."""
    before = {address_key(one.email): one for one in known}
    people = []
    for text in typed:
        match = _PERSON.fullmatch(text.strip())
        if match:
            person = before.get(address_key(match[2]), Attendee(match[2]))
            people.append(replace(person, name=match[1].strip().strip('"') or person.name))
    return tuple(people)


def window(start: str, end: str) -> Window | None:
    """The window that was typed, None for none. Raises BadInput."""
    if not start and not end:
        return None
    found = Window(
        _instant(start) if start else Window().start,
        _instant(end) if end else Window().end,
    )
    if found.end <= found.start:
        raise BadInput("the end lies before the start", advice="Give --from before --to.")
    return found


def _instant(text: str) -> datetime:
    found = _read(text)
    if not isinstance(found, datetime):
        return datetime.combine(found, datetime.min.time(), UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
