"""Reads the events of an iCalendar file (RFC 5545) into `core.event`: bad ones come as faults, the rest goes on.
The syntax is `sync.icalendar_lines`; what becomes of an event is decided by `sync.activity_import`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from core.contact_file import FileFault
from core.event import Attendee, Event, Moment, canonical, to_json, write_instant
from core.occurrences import instant
from core.recurrence import Stamp, read_stamp
from core.text import one_line
from sync.icalendar_alarms import read_alarms, read_duration
from sync.icalendar_lines import Component, Property, read_components

MAX_UID = 1_000
KEPT_ZONE = "X-TWINBOX-TZID"  # on a time in UTC: the zone it was set by

_READ = ("VCALENDAR", "VTIMEZONE", "VEVENT", "VTODO", "VJOURNAL")
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_RESPONSES = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "tentative"}
_LINKS = ("CONFERENCE", "X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL")


@dataclass(frozen=True, slots=True)
class FileEvent:
    """An event of a file, in normal form. `revised` is when it was changed last, as far as the file says; `cancelled`
    that all of it is."""

    line: int
    event: Event
    sequence: int = 0
    revised: datetime | None = None
    cancelled: bool = False


FileRecord = FileEvent | FileFault


def read_icalendar(data: bytes, zone: str = "UTC") -> Iterator[FileRecord]:
    """The events of a file in the order of their ends. `zone` is for times that name none, unless the file does."""
    found = list(read_components(data, _READ))
    zones = _Zones([one for one in found if isinstance(one, Component)], zone)
    for one in found:
        if isinstance(one, FileFault):
            yield one
        elif one.name == "VEVENT":
            try:
                yield _event(one, zones)
            except (ValueError, OverflowError) as error:
                yield FileFault(one.line, str(error))
        elif one.name in ("VTODO", "VJOURNAL"):
            yield FileFault(one.line, f"{one.name} is no event")


class _Zones:
    """The zones a file names, by the names of the IANA database."""

    def __init__(self, components: list[Component], default: str) -> None:
        self._known: dict[str, str] = {}
        self.default = default
        for one in components:
            name, place = one.first("TZID"), one.first("X-LIC-LOCATION")
            if one.name == "VTIMEZONE" and name and place:
                self._known[name.text.strip()] = place.text.strip()
            said = one.first("X-WR-TIMEZONE") if one.name == "VCALENDAR" else None
            if said and is_zone(said.text.strip()):
                self.default = said.text.strip()

    def named(self, name: str) -> str:
        """The zone of a TZID. Raises ValueError."""
        # Programs put a prefix in front of the name: /freeassociation.sourceforge.net/Europe/Berlin.
        words = name.strip().strip("/").split("/")
        tails = ["/".join(words[-count:]) for count in (3, 2)] if name.startswith("/") else []
        for one in (name.strip(), self._known.get(name.strip(), ""), WINDOWS_TO_OLSON.get(name.strip(), ""), *tails):
            if is_zone(one):
                return one
        raise ValueError(f"the time zone {name[:60]!r} is not known")


@lru_cache(maxsize=512)
def is_zone(name: str) -> bool:
    """Whether the database of time zones has that name."""
    try:
        return bool(name) and ZoneInfo(name) is not None
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return False


def _event(component: Component, zones: _Zones) -> FileEvent:
    begin = component.first("DTSTART")
    if begin is None:
        raise ValueError("the event has no DTSTART")
    start = _moment(begin, zones)
    recurrence = tuple(_rule(one, zones) for one in component.every("RRULE", "RDATE", "EXDATE", "EXRULE"))
    if recurrence and start.at and not start.zone:
        start = replace(start, zone="UTC")
    status = _word(component, "STATUS")
    original = _original(component, zones)
    body = Event(
        original=original,
        title=_text(component, "SUMMARY"),
        description=_text(component, "DESCRIPTION"),
        location=_text(component, "LOCATION"),
        start=start,
        end=_end(component, start, zones),
        recurrence=recurrence,
        status="tentative"
        if status == "TENTATIVE"
        else "cancelled"
        if status == "CANCELLED" and original
        else "confirmed",
        visibility=_visibility(_word(component, "CLASS")),
        transparent=_word(component, "TRANSP") == "TRANSPARENT",
        attendees=tuple(_attendee(one) for one in component.every("ATTENDEE") if "@" in _address(one)[1:-1]),
        organizer=next((_address(one) for one in component.every("ORGANIZER") if "@" in _address(one)[1:-1]), ""),
        conference=next((one.value.strip() for one in component.every(*_LINKS) if _is_link(one.value.strip())), ""),
    )
    body = replace(body, reminders=read_alarms(component.inner, instant(body.start), instant(body.end)))
    body = canonical(body)
    number = _word(component, "SEQUENCE")
    return FileEvent(
        component.line,
        replace(body, uid=_uid(component, body)),
        sequence=int(number) if _NUMBER.fullmatch(number) else 0,
        revised=_revised(component),
        cancelled=status == "CANCELLED" and not original,
    )


def _word(component: Component, name: str) -> str:
    found = component.first(name)
    return found.value.strip().upper() if found else ""


def _text(component: Component, name: str) -> str:
    found = component.first(name)
    return found.text if found else ""


def _uid(component: Component, body: Event) -> str:
    uid = one_line(_text(component, "UID"))
    if len(uid) > MAX_UID:
        raise ValueError(f"UID has more than {MAX_UID} characters")
    # Without one the text itself must do, so that the same file read twice gives the same.
    return uid or hashlib.sha256(orjson.dumps(to_json(body))).hexdigest()[:32]


# ---- times -----------------------------------------------------------------------------------------------


def _moment(one: Property, zones: _Zones) -> Moment:
    stamp = read_stamp(one.value.strip())
    if stamp.whole_day:
        return Moment(date=stamp.at.date().isoformat())
    if stamp.utc:
        kept = one.parameters.get(KEPT_ZONE, "")
        return Moment(at=write_instant(stamp.at.replace(tzinfo=UTC)), zone=kept if is_zone(kept) else "")
    zone = _zone_of(one.parameters, zones)
    return Moment(at=write_instant(stamp.at.replace(tzinfo=ZoneInfo(zone))), zone=zone)


def _zone_of(parameters: Mapping[str, str], zones: _Zones) -> str:
    return zones.named(parameters["TZID"]) if parameters.get("TZID") else zones.default


def _end(component: Component, start: Moment, zones: _Zones) -> Moment:
    end, length = component.first("DTEND"), component.first("DURATION")
    if end is not None:
        found = _moment(end, zones)
        # RFC 5545 3.8.2.2 wants the day behind the last one; programs write the last one as well.
        return _later(start, timedelta(days=1)) if found.date and found.date == start.date else found
    if length is not None:
        return _later(start, read_duration(length.value.strip()))
    return _later(start, timedelta(days=1 if start.date else 0))  # RFC 5545 3.6.1


def _later(start: Moment, length: timedelta) -> Moment:
    end = instant(start) + length
    return Moment(date=end.date().isoformat()) if start.date else Moment(at=write_instant(end), zone=start.zone)


def _original(component: Component, zones: _Zones) -> str:
    one = component.first("RECURRENCE-ID")
    if one is None:
        return ""
    if "RANGE" in one.parameters:  # RFC 5545 3.8.4.4: no program writes it, and few understand it
        raise ValueError("a change of this and all future occurrences is not understood")
    moment = _moment(one, zones)
    return moment.date or moment.at


def _rule(one: Property, zones: _Zones) -> str:
    if one.name == "EXRULE":
        raise ValueError("EXRULE is obsolete and not understood")
    head = one.name
    if one.name != "RRULE":
        if one.parameters.get("TZID"):
            head += f";TZID={zones.named(one.parameters['TZID'])}"
        if one.parameters.get("VALUE", "").upper() in ("DATE", "PERIOD"):
            head += f";VALUE={one.parameters['VALUE'].upper()}"
    return f"{head}:{one_line(one.value)}"


def _revised(component: Component) -> datetime | None:
    for name in ("LAST-MODIFIED", "DTSTAMP"):
        found = component.first(name)
        if found is not None:
            try:
                stamp: Stamp = read_stamp(found.value.strip())
            except ValueError:
                continue
            return stamp.at.replace(tzinfo=UTC)
    return None


# ---- people and words ------------------------------------------------------------------------------------


def _status(word: str, original: str) -> str:
    if word == "CANCELLED" and original:
        return "cancelled"
    return "tentative" if word == "TENTATIVE" else "confirmed"


def _visibility(word: str) -> str:
    # RFC 5545 3.8.1.3: an unknown word is to be treated as PRIVATE.
    return {"": "default", "PUBLIC": "public", "CONFIDENTIAL": "confidential"}.get(word, "private")


def _address(one: Property) -> str:
    value = one.value.strip()
    if value[:7].upper() == "MAILTO:":
        return one_line(value[7:])
    return one_line(one.parameters.get("EMAIL", "") or value)  # RFC 7986 6.2


def _attendee(one: Property) -> Attendee:
    return Attendee(
        email=_address(one),
        name=one.parameters.get("CN", ""),
        response=_RESPONSES.get(one.parameters.get("PARTSTAT", "").upper(), "needsAction"),
        optional=one.parameters.get("ROLE", "").upper() in ("OPT-PARTICIPANT", "NON-PARTICIPANT"),
        resource=one.parameters.get("CUTYPE", "").upper() in ("RESOURCE", "ROOM"),
    )


def _is_link(text: str) -> bool:
    return text.startswith(("https://", "http://")) and len(text) <= 2_000 and text.isprintable() and " " not in text
