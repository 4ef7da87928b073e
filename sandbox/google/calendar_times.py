"""PRETENDS how Google's Calendar reads and writes times: days, instants with a zone, names of occurrences.
Normal form: {"date"} or {"dateTime" in UTC, "timeZone" if one was given}; recurrence is left to `calendar_series`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sandbox.google.api_wire import Json
from sandbox.google.calendar_errors import invalid, required

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_OFFSET = re.compile(r"(?:[zZ]|[+-]\d\d:\d\d)$")
_KEY = re.compile(r"\d{8}(?:T\d{6}Z)?")


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo | None:
    """The IANA zone of that name, None if there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def read_when(raw: Json, which: str, *, recurring: bool) -> Json:
    """The normal form of `start` or `end`. Raises CalendarError as Google does (google.md, C.2: never both forms)."""
    day, moment, zone = raw.get("date"), raw.get("dateTime"), raw.get("timeZone")
    if not day and not moment:
        raise required(f"Missing {which} time.")
    if day and moment:
        raise invalid(f"Invalid {which} time.")
    if zone and zone_named(zone) is None:
        raise invalid(f"Invalid time zone definition for {which} time.")
    if day:
        return {"date": _day(day, which).isoformat()}
    if recurring and not zone:
        raise required(f"Missing time zone definition for {which} time.")
    found = _moment(str(moment), zone or "", which)
    return {"dateTime": write_instant(found), **({"timeZone": zone} if zone else {})}


def _day(text: str, which: str) -> date:
    try:
        if not _DAY.fullmatch(text):
            raise ValueError(text)
        return date.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"Invalid {which} time.") from error


def _moment(text: str, zone: str, which: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"Invalid {which} time.") from error
    if "T" not in text.upper():
        raise invalid(f"Invalid {which} time.")
    if found.tzinfo is None:
        if not zone:
            raise required(f"Missing time zone definition for {which} time.")
        found = found.replace(tzinfo=ZoneInfo(zone))
    try:
        return found.astimezone(UTC).replace(microsecond=0)
    except OverflowError as error:
        raise invalid(f"Invalid {which} time.") from error


def read_bound(text: str, parameter: str) -> datetime:
    """A timeMin, timeMax or updatedMin: RFC 3339 with an offset. Raises CalendarError."""
    try:
        if not _OFFSET.search(text):
            raise ValueError(text)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise invalid("Bad Request", parameter) from error


def write_instant(moment: datetime) -> str:
    """An instant as the normal form has it."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def instant(when: Json, zone: str) -> datetime:
    """When that is; a day begins at midnight of the given zone."""
    if "dateTime" in when:
        return datetime.fromisoformat(when["dateTime"])
    return datetime.combine(date.fromisoformat(when["date"]), datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)


def show_when(when: Json, zone: str) -> Json:
    """As sent: instants with the offset of the calendar or of the zone asked for."""
    if "date" in when:
        return dict(when)
    local = datetime.fromisoformat(when["dateTime"]).astimezone(ZoneInfo(zone))
    text = local.isoformat(timespec="seconds")
    return {"dateTime": text.replace("+00:00", "Z"), "timeZone": when.get("timeZone", zone)}


def key_of(when: Json) -> str:
    """How ids of occurrences name their original start: `20260102T090000Z` or `20260102` (google.md, C.2)."""
    return str(when.get("date") or when["dateTime"]).replace("-", "").replace(":", "")


def when_of(key: str, zone: str) -> Json | None:
    """The original start behind a key; None if it is none."""
    if not _KEY.fullmatch(key):
        return None
    try:
        if len(key) == 8:
            return {"date": date.fromisoformat(key).isoformat()}
        found = datetime.fromisoformat(key)
    except ValueError:
        return None
    return {"dateTime": write_instant(found), **({"timeZone": zone} if zone else {})}


def length(start: Json, end: Json) -> timedelta:
    """From start to end; both of one form."""
    return instant(end, "UTC") - instant(start, "UTC")


def later(when: Json, by: timedelta) -> Json:
    """The same form of time, moved."""
    if "date" in when:
        return {"date": (date.fromisoformat(when["date"]) + by).isoformat()}
    return {**when, "dateTime": write_instant(datetime.fromisoformat(when["dateTime"]) + by)}
