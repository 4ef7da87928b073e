"""An event as both sides hold it: the fields that travel, their normal form, and their form as JSON.
What a field is called at a provider is that provider's mapping; merging two events is `core.merge`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.addresses import address_key
from core.text import one_line, paragraphs

MAX_ATTENDEES = 2_000
MAX_REMINDERS = 5  # Calendar API, Event.reminders.overrides
MAX_AHEAD = 40_320  # minutes, four weeks (ibid.)

STATUSES = ("confirmed", "tentative", "cancelled")
VISIBILITIES = ("default", "public", "private", "confidential")
RESPONSES = ("needsAction", "accepted", "tentative", "declined")
METHODS = ("popup", "email")


@dataclass(frozen=True, slots=True)
class Moment:
    """When an event begins or ends: a `date` (YYYY-MM-DD) for one of whole days, else an instant `at`
    (YYYY-MM-DDTHH:MM:SSZ) with the IANA `zone` whose clock it was set by ("" if unknown).

    The end of an event of whole days is the day after its last one (RFC 5545 3.6.1: DTEND is exclusive).
    """

    date: str = ""
    at: str = ""
    zone: str = ""

    @property
    def sort_key(self) -> str:
        """Text that orders moments; a date counts as its first second in UTC."""
        return self.at or f"{self.date}T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Attendee:
    """Somebody who is invited. `response` is one of RESPONSES; `resource` is a room or a thing."""

    email: str
    name: str = ""
    response: str = "needsAction"
    optional: bool = False
    resource: bool = False


@dataclass(frozen=True, slots=True)
class Reminder:
    """What reminds somebody of an event: `method` is one of METHODS, `minutes` how long before the start."""

    method: str = "popup"
    minutes: int = 10


@dataclass(frozen=True, slots=True)
class Event:
    """One event, one series, or one occurrence that differs from its series.

    `uid` is the iCalendar UID, the same in everybody's calendar. `original` is the start an occurrence had in its
    series (RECURRENCE-ID, RFC 5545 3.8.4.4: an instant or a date), "" for an event or series itself. `recurrence` holds
    RRULE, RDATE and EXDATE lines, which are never taken apart. `status` `cancelled` is for occurrences only.
    `uid`, `original`, `organizer` (an e-mail address) and `conference` (a link) come from the provider and are never
    written there. `reminders` are those of one person's copy: None for what the calendar does by default.
    """

    uid: str = ""
    original: str = ""
    title: str = ""
    description: str = ""
    location: str = ""
    start: Moment = Moment()
    end: Moment = Moment()
    recurrence: tuple[str, ...] = ()
    status: str = "confirmed"
    visibility: str = "default"
    transparent: bool = False
    attendees: tuple[Attendee, ...] = ()
    organizer: str = ""
    conference: str = ""
    reminders: tuple[Reminder, ...] | None = None

    @property
    def name(self) -> str:
        """What to call the event in a list."""
        if self.title or not self.original:
            return self.title or "(no title)"
        return f"(occurrence of {self.original[:10]})"  # of a cancelled one providers often tell no more

    @property
    def is_private(self) -> bool:
        """Whether others may know that its owner is busy and nothing else."""
        return self.visibility in ("private", "confidential")


def attendee_key(attendee: Attendee) -> str:
    """What makes two attendees one."""
    return address_key(attendee.email)


LISTS = {"attendees": attendee_key}


def canonical(event: Event) -> Event:
    """The normal form: texts stripped and capped, attendees once each and by address, recurrence lines in order."""
    found: dict[str, Attendee] = {}
    for one in event.attendees:
        email, name = one_line(one.email), one_line(one.name)
        if email:
            found.setdefault(address_key(email), replace(one, email=email, name="" if name == email else name))
    attendees = tuple(found[key] for key in sorted(found))[:MAX_ATTENDEES]
    reminders = event.reminders
    if reminders is not None:
        reminders = tuple(sorted(set(reminders), key=lambda one: (one.minutes, one.method)))
    return replace(
        event,
        title=one_line(event.title),
        description=paragraphs(event.description),
        location=one_line(event.location),
        recurrence=tuple(sorted({line.strip() for line in event.recurrence if line.strip()})),
        attendees=attendees,
        organizer=address_key(event.organizer),
        reminders=reminders,
    )


def to_json(event: Event) -> dict[str, Any]:
    """An event as JSON types; what has its default is left out."""
    shown = {}
    for item in fields(Event):
        value = getattr(event, item.name)
        if value != item.default:
            shown[item.name] = _plain(value)
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Moment | Attendee):
        return {name: one for name, one in asdict(value).items() if one}
    return asdict(value) if isinstance(value, Reminder) else value


def from_json(stored: Mapping[str, Any]) -> Event:
    """The form that `to_json` gives, read back. Raises TypeError for an unknown field."""
    values = dict(stored)
    for name in ("start", "end"):
        if name in values:
            values[name] = Moment(**values[name])
    values["attendees"] = tuple(Attendee(**one) for one in values.get("attendees", ()))
    values["recurrence"] = tuple(values.get("recurrence", ()))
    if values.get("reminders") is not None:
        values["reminders"] = tuple(Reminder(**one) for one in values["reminders"])
    return Event(**values)


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RULE = re.compile(r"(RRULE|RDATE|EXDATE)([;:]).+")
_FREQUENCY = re.compile(r"FREQ=(YEARLY|MONTHLY|WEEKLY|DAILY)(;|$)")


def problem_of(event: Event) -> str:
    """Why an event (in normal form) cannot be taken, "" when it can."""
    for name in ("start", "end"):
        if problem := _moment_problem(getattr(event, name)):
            return f"{name}: {problem}"
    if bool(event.start.date) != bool(event.end.date):
        return "start and end must both be dates or both be times"
    if event.end.sort_key < event.start.sort_key or (event.start.date and event.end.date == event.start.date):
        return "the end lies before the start"
    if event.status not in STATUSES or event.visibility not in VISIBILITIES:
        return "status or visibility has an unknown value"
    if problem := reminders_problem(event.reminders):
        return problem
    if event.recurrence and event.start.at and not event.start.zone:
        return "a series of times needs a time zone"
    wrong = next((line for line in event.recurrence if not _is_rule(line)), "")
    return f"{wrong[:100]!r} is no rule of recurrence" if wrong else ""


def reminders_problem(reminders: tuple[Reminder, ...] | None) -> str:
    """Why nobody can be reminded so, "" if they can."""
    if len(reminders or ()) > MAX_REMINDERS:
        return f"an event has {MAX_REMINDERS} reminders at most"
    for one in reminders or ():
        if one.method not in METHODS:
            return f"{one.method[:40]!r} is no way to be reminded: popup or email"
        if not 0 <= one.minutes <= MAX_AHEAD:
            return f"a reminder comes 0 to {MAX_AHEAD} minutes (four weeks) before the start"
    return ""


def _is_rule(line: str) -> bool:
    if not _RULE.fullmatch(line):
        return False
    return not line.startswith("RRULE") or _FREQUENCY.search(line.partition(":")[2]) is not None


def _moment_problem(moment: Moment) -> str:
    if bool(moment.date) == bool(moment.at):
        return "either a date or a time is needed"
    try:
        if moment.date:
            if not _DAY.fullmatch(moment.date):
                return f"{moment.date!r} is not a date such as 2026-01-31"
            date.fromisoformat(moment.date)
        elif write_instant(read_instant(moment.at)) != moment.at:  # instants are compared as text
            raise ValueError
    except ValueError:
        return f"{(moment.date or moment.at)[:40]!r} is no date or time"
    return "" if not moment.zone or _is_zone(moment.zone) else f"{moment.zone[:40]!r} is no time zone"


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError of its own
        return False
    except KeyError:
        return False
    return True


def read_instant(text: str) -> datetime:
    """An instant as it is stored in a `Moment`. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def write_instant(moment: datetime) -> str:
    """An aware time as it is stored in a `Moment`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
