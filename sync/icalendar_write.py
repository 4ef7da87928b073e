"""Writes events as an iCalendar file (RFC 5545), piece by piece. Times are instants in UTC; those of a series are on
the clock of its zone, by the zone's name. What goes into a file is decided by `sync.icalendar_files`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from icalendar import vText
from icalendar.parser import Contentline, Parameters

from core.event import Attendee, Event, Moment, read_instant
from core.vcard_lines import fold
from sync.icalendar_alarms import alarm_lines
from sync.icalendar_read import KEPT_ZONE

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Twinbox//Twinbox//EN\r\nCALSCALE:GREGORIAN\r\n"
TAIL = "END:VCALENDAR\r\n"

_UTC_NAMES = ("", "UTC", "Etc/UTC")
_CLASSES = {"public": "PUBLIC", "private": "PRIVATE", "confidential": "CONFIDENTIAL"}
_PARTSTATS = {"accepted": "ACCEPTED", "declined": "DECLINED", "tentative": "TENTATIVE"}


@dataclass(frozen=True, slots=True)
class Written:
    """One event as it is to be written. `uid` is its own or what stands for it; `zone` is the clock of the series
    ("" for a single event); an override has that of its series. `reminded` is the address that reminders go to."""

    event: Event
    uid: str
    revised: datetime
    sequence: int = 0
    zone: str = ""
    reminded: str = ""


def write_event(one: Written) -> str:
    """A VEVENT."""
    event = one.event
    stamp = _utc(one.revised)
    lines = ["BEGIN:VEVENT", _line("UID", one.uid), f"DTSTAMP:{stamp}", f"LAST-MODIFIED:{stamp}"]
    lines += [f"SEQUENCE:{one.sequence}"] if one.sequence else []
    lines.append(_time("DTSTART", event.start, one.zone))
    lines.append(_time("DTEND", event.end, one.zone))
    if event.original:
        original = Moment(at=event.original, zone=one.zone)
        if "T" not in event.original:
            original = Moment(date=event.original)
        lines.append(_time("RECURRENCE-ID", original, one.zone))
    lines += event.recurrence
    for name in ("title", "location", "description"):
        if text := getattr(event, name):
            lines.append(_line("SUMMARY" if name == "title" else name.upper(), text))
    lines.append(f"STATUS:{event.status.upper()}")
    lines += [f"CLASS:{_CLASSES[event.visibility]}"] if event.visibility in _CLASSES else []
    lines += ["TRANSP:TRANSPARENT"] if event.transparent else []
    lines += [_address("ORGANIZER", event.organizer, {})] if event.organizer else []
    lines += [_address("ATTENDEE", person.email, _about(person)) for person in event.attendees]
    # RFC 7986 5.11: a link, no text, so nothing is escaped.
    lines += [f"CONFERENCE;VALUE=URI:{event.conference}"] if event.conference else []
    text = _line("DESCRIPTION", event.title or "Reminder").partition(":")[2]
    lines += alarm_lines(event.reminders or (), text, one.reminded)
    lines.append("END:VEVENT")
    return "".join(_folded(line) for line in lines)


def write_calendar(events: Iterator[Written]) -> Iterator[str]:
    """A whole file."""
    yield HEAD
    for one in events:
        yield write_event(one)
    yield TAIL


def _line(name: str, text: str, parameters: Mapping[str, str] | None = None) -> str:
    return str(Contentline.from_parts(name, Parameters(parameters or {}), vText(text)))


def _address(name: str, email: str, parameters: Mapping[str, str]) -> str:
    head = _line(name, "", parameters)
    return f"{head}mailto:{email}"


def _about(person: Attendee) -> Mapping[str, str]:
    about = {"CN": person.name, "CUTYPE": "RESOURCE" if person.resource else ""}
    about |= {"ROLE": "OPT-PARTICIPANT" if person.optional else "", "PARTSTAT": _PARTSTATS.get(person.response, "")}
    return {name: value for name, value in about.items() if value}


def _folded(line: str) -> str:
    # No text ends a line before its time, whoever wrote it.
    return fold(line.replace("\r", "").replace("\n", ""))


def _time(name: str, moment: Moment, zone: str) -> str:
    if moment.date:
        return f"{name};VALUE=DATE:{date.fromisoformat(moment.date):%Y%m%d}"
    at = read_instant(moment.at)
    local = at.astimezone(ZoneInfo(zone or "UTC"))
    # The second of two equal hours has no name on the clock.
    if zone in _UTC_NAMES or moment.zone != zone or local.fold:
        kept = f";{KEPT_ZONE}={moment.zone}" if moment.zone else ""
        return f"{name}{kept}:{_utc(at)}"
    return f"{name};TZID={zone}:{_digits(local)}"


def _utc(moment: datetime) -> str:
    return f"{_digits(moment.astimezone(UTC))}Z"


def _digits(moment: datetime) -> str:
    # strftime does not pad years before 1000.
    return moment.replace(tzinfo=None, microsecond=0).isoformat().replace("-", "").replace(":", "")
