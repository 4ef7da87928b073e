"""Reads rules of recurrence (RFC 5545 3.3.10) and gives the local times they name: daily and slower, within bounds.
What an event makes of them is `core.occurrences`; rules travel as they are, nothing is written from this."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, tzinfo
from itertools import product

MAX_DAYS = 100_000  # looked at for one rule: 270 years of days
MAX_TIMES = 24  # a day

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

# Part -> the greatest value, and whether it may count from the end.
_RANGES = {
    "BYSECOND": (60, False),
    "BYMINUTE": (59, False),
    "BYHOUR": (23, False),
    "BYMONTHDAY": (31, True),
    "BYYEARDAY": (366, True),
    "BYWEEKNO": (53, True),
    "BYMONTH": (12, False),
    "BYSETPOS": (366, True),
}
_OF_TIME = ("BYSECOND", "BYMINUTE", "BYHOUR")
_OTHERS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST")
_NUMBER = re.compile(r"[+-]?\d{1,10}", re.ASCII)
_BYDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?", re.ASCII)
_LAST_DAY = date.max.toordinal()


class TooMuch(ValueError):
    """The rule is valid, and following it would take longer than it is worth."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A DATE or DATE-TIME (RFC 5545 3.3.4, 3.3.5): naive, `utc` if it ended in Z."""

    at: datetime
    whole_day: bool = False
    utc: bool = False

    def within(self, zone: tzinfo) -> datetime:
        """The naive local time in a zone; a stamp that names none is local already."""
        return self.at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if self.utc else self.at


@dataclass(frozen=True, slots=True)
class Rule:
    """One RRULE. `by` has the BY... parts that are numbers, `weekdays` pairs of position (0 for each) and weekday."""

    frequency: str
    interval: int = 1
    count: int = 0
    until: Stamp | None = None
    by: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    weekdays: frozenset[tuple[int, int]] = frozenset()
    week_start: int = 0


def read_stamp(text: str) -> Stamp:
    """Read a DATE or DATE-TIME. Raises ValueError."""
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no date or time")
    year, month, day, hour, minute, second = (int(number or 0) for number in match.groups()[:6])
    # RFC 5545 3.3.12: second 60 is a leap second, to be taken as 59.
    try:
        at = datetime(year, month, day, hour, minute, min(second, 59) if second <= 60 else second)  # noqa: DTZ001
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is no date or time") from error
    return Stamp(at, whole_day=match[4] is None, utc=match[7] == "Z")


def read_rule(text: str) -> Rule:
    """Read the value of an RRULE. Raises ValueError saying what is wrong with it."""
    parts: dict[str, str] = {}
    for part in text.strip().rstrip(";").upper().split(";"):
        name, _, value = part.partition("=")
        if not value or name in parts or not (name in _RANGES or name in _OTHERS):
            raise ValueError(f"{part[:40]!r} is no part of a rule")
        parts[name] = value
    if parts.get("FREQ") not in FREQUENCIES:
        raise ValueError(f"FREQ must be one of {', '.join(FREQUENCIES)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("COUNT and UNTIL exclude each other")
    return Rule(
        parts["FREQ"],
        interval=_number(parts, "INTERVAL", 1),
        count=_number(parts, "COUNT", 0),
        until=read_stamp(parts["UNTIL"]) if "UNTIL" in parts else None,
        by={name: _numbers(name, value) for name, value in parts.items() if name in _RANGES},
        weekdays=_weekdays(parts.get("BYDAY", "")),
        week_start=WEEKDAYS.index(_one_of(parts.get("WKST", "MO"), WEEKDAYS)),
    )


def _number(parts: Mapping[str, str], name: str, default: int) -> int:
    if name not in parts:
        return default
    if not _NUMBER.fullmatch(parts[name]) or int(parts[name]) < 1:
        raise ValueError(f"{name}={parts[name][:20]} is no number from 1 on")
    return int(parts[name])


def _numbers(name: str, value: str) -> tuple[int, ...]:
    greatest, backwards = _RANGES[name]
    least = 0 if name in _OF_TIME else 1
    found = set()
    for text in value.split(","):
        number = int(text) if _NUMBER.fullmatch(text) else greatest + 1
        if not (least <= number <= greatest or (backwards and -greatest <= number <= -1)):
            raise ValueError(f"{name}={text[:20]} is out of range")
        found.add(number)
    return tuple(sorted(found))


def _weekdays(value: str) -> frozenset[tuple[int, int]]:
    found = set()
    for text in value.split(",") if value else ():
        match = _BYDAY.fullmatch(text)
        if match is None or (match[1] and not 1 <= abs(int(match[1])) <= 53):
            raise ValueError(f"BYDAY={text[:20]} is no weekday")
        found.add((int(match[1] or 0), WEEKDAYS.index(match[2])))
    return frozenset(found)


def _one_of(value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{value[:20]!r} is none of {', '.join(known)}")
    return value


# ---- following a rule ------------------------------------------------------------------------------------


def local_times(rule: Rule, start: datetime, zone: tzinfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """The naive local times of a series that begins at `start`, from `first` to `last`, in order.

    `start` is always the first of them (RFC 5545 3.3.10 counts it so). Raises TooMuch.
    """
    rule = _completed(rule, start)
    times = _times(rule, start)
    end = min(last, _until(rule.until, zone)) if rule.until else last
    if first <= start <= last:
        yield start
    count, looked = 1, 0
    # Only what is counted must be followed from the beginning.
    for begin, behind in _periods(rule, start.date(), start.date() if rule.count else max(start, first).date()):
        looked += behind - begin
        if looked > MAX_DAYS:
            raise TooMuch("it names too few days to be followed")
        if begin > end.toordinal():
            return
        for moment in _in_period(rule, times, begin, behind):
            if moment <= start:
                continue
            count += 1
            if moment > end or (rule.count and count > rule.count):
                return
            if moment >= first:
                yield moment


def _until(until: Stamp, zone: tzinfo) -> datetime:
    # A date ends a series of times with its last second: so all calendar programs read it.
    return datetime.combine(until.at, time.max) if until.whole_day else until.within(zone)


def _completed(rule: Rule, start: datetime) -> Rule:
    """What the rule leaves open is as `start` has it (RFC 5545 3.3.10)."""
    by = dict(rule.by)
    if rule.weekdays or by.keys() & {"BYMONTHDAY", "BYYEARDAY"}:
        return rule
    if rule.frequency == "WEEKLY" or "BYWEEKNO" in by:
        return replace(rule, weekdays=frozenset({(0, start.weekday())}))
    if rule.frequency == "YEARLY":
        by.setdefault("BYMONTH", (start.month,))
    if rule.frequency in ("YEARLY", "MONTHLY"):
        by["BYMONTHDAY"] = (start.day,)
    return replace(rule, by=by)


def _times(rule: Rule, start: datetime) -> list[time]:
    hours, minutes = rule.by.get("BYHOUR", (start.hour,)), rule.by.get("BYMINUTE", (start.minute,))
    seconds = rule.by.get("BYSECOND", (start.second,))
    if len(hours) * len(minutes) * len(seconds) > MAX_TIMES:
        raise TooMuch(f"it names more than {MAX_TIMES} times a day")
    return sorted({time(hour, minute, min(second, 59)) for hour, minute, second in product(hours, minutes, seconds)})


def _periods(rule: Rule, start: date, ahead: date) -> Iterator[tuple[int, int]]:
    """The days, weeks, months or years that the rule looks at: ordinals of the first day and of the day behind."""
    index, days = _UNITS[rule.frequency]
    origin, wanted = index(start, rule.week_start), index(ahead, rule.week_start)
    number = origin + max(0, (wanted - origin) // rule.interval) * rule.interval
    while True:
        begin, behind = days(number, rule.week_start)
        if begin > _LAST_DAY:
            return
        yield max(begin, 1), min(behind, _LAST_DAY + 1)
        number += rule.interval


def _year_days(year: int, _week_start: int) -> tuple[int, int]:
    return _month_start(year * 12), _month_start(year * 12 + 12)


def _month_days(number: int, _week_start: int) -> tuple[int, int]:
    return _month_start(number), _month_start(number + 1)


def _month_start(number: int) -> int:
    return date(number // 12, number % 12 + 1, 1).toordinal() if number // 12 <= date.max.year else _LAST_DAY + 1


_Index = Callable[[date, int], int]
_Days = Callable[[int, int], tuple[int, int]]
# Day 1 (0001-01-01) is a Monday.
_UNITS: Mapping[str, tuple[_Index, _Days]] = {
    "YEARLY": (lambda day, _: day.year, _year_days),
    "MONTHLY": (lambda day, _: day.year * 12 + day.month - 1, _month_days),
    "WEEKLY": (
        lambda day, start: (day.toordinal() - 1 - start) // 7,
        lambda number, start: (number * 7 + 1 + start, number * 7 + 8 + start),
    ),
    "DAILY": (lambda day, _: day.toordinal(), lambda number, _: (number, number + 1)),
}


def _in_period(rule: Rule, times: list[time], begin: int, behind: int) -> list[datetime]:
    days = [day for day in map(date.fromordinal, range(begin, behind)) if _is_named(rule, day)]
    moments = [datetime.combine(day, at) for day in days for at in times]
    if "BYSETPOS" not in rule.by:
        return moments
    places = (place - 1 if place > 0 else len(moments) + place for place in rule.by["BYSETPOS"])
    return [moments[place] for place in sorted(set(places)) if 0 <= place < len(moments)]


def _is_named(rule: Rule, day: date) -> bool:
    by = rule.by
    if "BYMONTH" in by and day.month not in by["BYMONTH"]:
        return False
    if "BYMONTHDAY" in by and not _counted(by["BYMONTHDAY"], day, *_month_of(day)):
        return False
    if "BYYEARDAY" in by and not _counted(by["BYYEARDAY"], day, *_year_days(day.year, 0)):
        return False
    if "BYWEEKNO" in by and not _in_week(by["BYWEEKNO"], day, rule.week_start):
        return False
    return not rule.weekdays or _on_weekday(rule, day)


def _counted(wanted: tuple[int, ...], day: date, begin: int, behind: int) -> bool:
    number = day.toordinal()
    return number - begin + 1 in wanted or number - behind in wanted


def _month_of(day: date) -> tuple[int, int]:
    return _month_days(day.year * 12 + day.month - 1, 0)


def _in_week(wanted: tuple[int, ...], day: date, week_start: int) -> bool:
    # Week 1 is the first with four days or more in the year: a week belongs to the year of its fourth day.
    fourth = day.toordinal() - (day.weekday() - week_start) % 7 + 3
    if not 1 <= fourth <= _LAST_DAY:
        return False
    begin, behind = _year_days(date.fromordinal(fourth).year, 0)
    return (fourth - begin) // 7 + 1 in wanted or -((behind - 1 - fourth) // 7 + 1) in wanted


def _on_weekday(rule: Rule, day: date) -> bool:
    weekday = day.weekday()
    if (0, weekday) in rule.weekdays:
        return True
    wanted = {place for place, one in rule.weekdays if one == weekday}
    if not wanted or rule.frequency in ("WEEKLY", "DAILY") or "BYWEEKNO" in rule.by:
        return bool(wanted)
    monthly = rule.frequency == "MONTHLY" or "BYMONTH" in rule.by
    begin, behind = _month_of(day) if monthly else _year_days(day.year, 0)
    number = day.toordinal()
    return (number - begin) // 7 + 1 in wanted or -((behind - 1 - number) // 7 + 1) in wanted
