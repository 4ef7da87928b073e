"""PRETENDS the expansion of series: which occurrences a rule has, within bounds; lines that cannot be read are refused.
Rules are kept as the strings they came in; exceptions and cancelled occurrences are left to `calendar_store`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.google.api_wire import Json
from sandbox.google.calendar_errors import invalid
from sandbox.google.calendar_times import write_instant, zone_named

_rules: Any = importlib.import_module("dateutil.rrule")  # comes without types
MOST = 50_000  # occurrences looked at, of one series
_NAME = re.compile(r"(RRULE|EXRULE|RDATE|EXDATE)((?:;[^:]*)?):(.+)", re.IGNORECASE)
_LOOKS = re.compile(r"[A-Z-]+=[A-Z0-9,+:-]+(;[A-Z-]+=[A-Z0-9,+:-]+)*;?", re.IGNORECASE)
_STAMP = re.compile(r"\d{8}(T\d{6}Z?)?")


def check_recurrence(lines: Sequence[str], start: Json) -> None:
    """Raises CalendarError 400 for lines that are no recurrence; DTSTART and DTEND do not belong there."""
    try:
        _expansion(tuple(lines), *_begin(start))
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid("Invalid recurrence rule.") from error


def occurrences(shared: Json, after: datetime | None = None, before: datetime | None = None) -> Iterator[Json]:
    """The starts of a series in order, as whens; between two instants give or take a day."""
    start = shared["start"]
    begin, zone = _begin(start)
    slack = timedelta(days=2)
    first = None if after is None else _naive(after) - slack
    last = None if before is None else _naive(before) + slack
    seen: datetime | None = None
    for local in islice(_expansion(tuple(shared["recurrence"]), begin, zone), MOST):
        if last is not None and local > last:
            return
        if local != seen and (first is None or local >= first):
            seen = local
            yield _when(local, start, zone)


def occurs(shared: Json, original: Json) -> bool:
    """Whether a series has an occurrence with this original start."""
    if ("date" in original) != ("date" in shared["start"]):
        return False
    name = "date" if "date" in original else "dateTime"
    about = datetime.fromisoformat(original[name])
    about = about if about.tzinfo else about.replace(tzinfo=UTC)
    return any(one[name] == original[name] for one in occurrences(shared, about, about))


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _begin(start: Json) -> tuple[datetime, str]:
    if "date" in start:
        return datetime.combine(date.fromisoformat(start["date"]), datetime.min.time()), ""
    zone = start.get("timeZone", "UTC")
    return datetime.fromisoformat(start["dateTime"]).astimezone(ZoneInfo(zone)).replace(tzinfo=None), zone


def _when(local: datetime, start: Json, zone: str) -> Json:
    if not zone:
        return {"date": local.date().isoformat()}
    return {**start, "dateTime": write_instant(local.replace(tzinfo=ZoneInfo(zone)))}


@lru_cache(maxsize=512)
def _expansion(lines: tuple[str, ...], begin: datetime, zone: str) -> Any:
    found = _rules.rruleset()
    found.rdate(begin)  # DTSTART is the first occurrence of every series (RFC 5545, 3.8.5.3)
    for line in lines:
        match = _NAME.fullmatch(line.strip())
        if match is None:
            raise ValueError(line)
        name, parameters, value = match.group(1).upper(), match.group(2), match.group(3)
        if name in ("RRULE", "EXRULE"):
            (found.rrule if name == "RRULE" else found.exrule)(_rule(value, begin, zone))
        else:
            for text in value.split(","):
                moment = _stamp(text.partition("/")[0], parameters, begin, zone)
                (found.rdate if name == "RDATE" else found.exdate)(moment)
    return found


def _rule(value: str, begin: datetime, zone: str) -> Any:
    if not _LOOKS.fullmatch(value):
        raise ValueError(value)
    parts = dict(part.upper().split("=", 1) for part in value.strip(";").split(";"))
    if "FREQ" not in parts or ("COUNT" in parts and "UNTIL" in parts) or parts.get("INTERVAL", "1").strip("0") == "":
        raise ValueError(value)
    if "UNTIL" in parts:
        # The clock of the series is counted without its zone; a day as the end means all of it.
        until = parts["UNTIL"]
        moment = _stamp(until, "", begin, zone)
        whole_day = zone and len(until) == 8
        parts["UNTIL"] = (moment.replace(hour=23, minute=59, second=59) if whole_day else moment).strftime(
            "%Y%m%dT%H%M%S"
        )
    return _rules.rrulestr(";".join(f"{name}={text}" for name, text in parts.items()), dtstart=begin)


def _stamp(text: str, parameters: str, begin: datetime, zone: str) -> datetime:
    if not _STAMP.fullmatch(text):
        raise ValueError(text)
    if len(text) == 8:
        day = datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007  # local to the series
        return datetime.combine(day.date(), begin.time())
    found = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007  # local to the series
    if not zone:
        return datetime.combine(found.date(), datetime.min.time())
    named = re.search(r"TZID=\"?([^;\"]+)", parameters)
    if text.endswith("Z"):
        return found.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    if named:
        other = zone_named(named.group(1))
        if other is None:
            raise ValueError(parameters)
        return found.replace(tzinfo=other).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return found
