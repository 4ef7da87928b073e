"""Dates and times of Google's events as `Moment` and back. Rules of recurrence are never taken apart here but for one
question: whether a series can reach into the time that is synchronised."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from core.event import Event, Moment, read_instant, write_instant
from providers.google.errors import Json

_DAY = timedelta(days=1)
_PARTS = re.compile(r"([A-Z]+)=([^;]*)")
_STAMP = re.compile(r"\d{8}")
_LENGTHS = {"DAILY": _DAY, "WEEKLY": timedelta(days=7)}


def read_moment(raw: Any) -> Moment:
    """A `start`, `end` or `originalStartTime`; blank when it is missing or makes no sense."""
    values = raw if isinstance(raw, dict) else {}
    day, at, zone = (_text(values.get(name)) for name in ("date", "dateTime", "timeZone"))
    try:
        if at:
            return Moment(at=write_instant(_aware(datetime.fromisoformat(at), zone)), zone=zone)
        return Moment(date=date.fromisoformat(day).isoformat()) if day else Moment()
    except (ValueError, OverflowError):
        return Moment()


def read_span(event: Mapping[str, Any]) -> tuple[Moment, Moment]:
    """Start and end of an event. Without an end it ends when it begins, one of whole days with its first day."""
    start, end = read_moment(event.get("start")), read_moment(event.get("end"))
    if start.date and (not end.date or end.date <= start.date) and not end.at:
        return start, Moment(date=_next_day(start.date))
    return start, end if end != Moment() else start


def write_moment(moment: Moment, before: Moment | None = None) -> Json:
    """A start or end as it is sent; `before` is what the event has: the key of the other kind must be taken away."""
    if moment.date:
        return {"date": moment.date, **({"dateTime": None, "timeZone": None} if before and before.at else {})}
    zone = {"timeZone": moment.zone} if moment.zone else {}
    return {"dateTime": moment.at, **zone, **({"date": None} if before and before.date else {})}


def is_same(now: Moment, wanted: Moment) -> bool:
    """Whether nothing needs to be written. The CRM may not know the zone; Google always has one."""
    return (now.date, now.at) == (wanted.date, wanted.at) and wanted.zone in ("", now.zone)


def read_original(event: Mapping[str, Any]) -> str:
    """The start an occurrence had in its series, "" for an event or series itself."""
    if not event.get("recurringEventId"):
        return ""
    moment = read_moment(event.get("originalStartTime"))
    return moment.date or moment.at


def instance_stamp(original: str) -> str:
    """What Google puts behind the id of a series to name one occurrence."""
    return original.replace("-", "").replace(":", "")


# ---- the time that is synchronised -------------------------------------------------------------------------


def listed_from(since: date) -> str:
    """`timeMin` of a listing: somewhat too early, since a day begins earlier in other zones. `reaches` decides."""
    return f"{max(since, date.min + _DAY) - _DAY}T00:00:00Z"


def reaches(event: Event, since: date | None) -> bool:
    """Whether an event ends on or after a day, or a series may do so: in doubt it does."""
    if since is None:
        return True
    if event.recurrence:
        return _series_reaches(event, since - _DAY)
    end = event.end if event.end != Moment() else event.start
    ends = end.date or end.at[:10] or event.original[:10]
    return ends >= since.isoformat()


def _series_reaches(event: Event, since: date) -> bool:
    try:
        first = _day_of(event.start)
        # An occurrence lasts as long as the first one, give or take a change of clocks.
        since = since - max(_day_of(event.end) - first, timedelta()) - _DAY
        lasts = [_last_of(line, first) for line in event.recurrence]
    except (ValueError, OverflowError):
        return True
    return first >= since or any(last is None or last >= since for last in lasts)


def _last_of(line: str, first: date) -> date | None:
    """A day after which a rule names nothing; None when that would take following it. Raises ValueError."""
    name, _, value = line.partition(":")
    if name.startswith("EXDATE"):
        return first
    if name.startswith("RDATE"):
        return max((_stamp_day(one) for one in _STAMP.findall(value)), default=first)
    parts = dict(_PARTS.findall(value))
    if until := _STAMP.match(parts.get("UNTIL", "")):
        return _stamp_day(until[0])
    length = _LENGTHS.get(parts.get("FREQ", ""))
    others = {"FREQ", "COUNT", "INTERVAL", "WKST"} | ({"BYDAY"} if parts.get("FREQ") == "WEEKLY" else set())
    if length and "COUNT" in parts and parts.keys() <= others:
        return first + length * int(parts["COUNT"]) * int(parts.get("INTERVAL", "1"))
    return None


def _stamp_day(stamp: str) -> date:
    return date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]))


def _day_of(moment: Moment) -> date:
    return date.fromisoformat(moment.date) if moment.date else read_instant(moment.at).date()


def _next_day(day: str) -> str:
    return (date.fromisoformat(day) + _DAY).isoformat()


def _aware(moment: datetime, zone: str) -> datetime:
    if moment.tzinfo is not None:
        return moment
    try:
        return moment.replace(tzinfo=ZoneInfo(zone)) if zone else moment.replace(tzinfo=UTC)
    except (KeyError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ValueError("unknown zone") from error


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
