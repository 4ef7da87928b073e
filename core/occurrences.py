"""Gives the occurrences of an event in a window of time, for display: pure, bounded, never raises.
Rules of recurrence are read by `core.recurrence`; which records replace an occurrence is told by the caller."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.event import Event, Moment, read_instant, write_instant
from core.recurrence import Stamp, local_times, read_rule, read_stamp

MAX_OCCURRENCES = 1_000
MAX_LINES = 50
MAX_DATES = 5_000  # of RDATE and EXDATE together
NOT_EXPANDED = "not expanded"

# Times that every zone can hold: beyond them there is nothing to show.
_FIRST, _LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, `end` excluded; both aware. Whole days count as days of UTC."""

    start: datetime = _FIRST
    end: datetime = _LAST

    def meets(self, start: datetime, end: datetime) -> bool:
        """Whether something from `start` to `end` lies in it at least in part."""
        return start < self.end and (end > self.start or start == end == self.start)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time an event takes place; `original` is its start as an instant or a date, which names it in its series."""

    original: str
    start: Moment
    end: Moment


@dataclass(frozen=True, slots=True)
class Expansion:
    """Occurrences in order. `problem` says why there are none (`not expanded: ...`), or that there are more."""

    occurrences: tuple[Occurrence, ...]
    problem: str = ""


def occurrences(event: Event, window: Window, replaced: Collection[str] = ()) -> Expansion:
    """When an event (in normal form) takes place within a window.

    `replaced` are the original starts that another record speaks for, be it moved or cancelled. The clock of the
    series' zone is kept: a time that a change of clocks skips is taken by the offset before it (RFC 5545 3.3.5).
    """
    window = Window(max(window.start, _FIRST), min(window.end, _LAST))
    try:
        series = _Series(event)
        if not event.recurrence:
            found = [series.at(series.start)]
        else:
            found = list(islice(series.inside(window, replaced), MAX_OCCURRENCES + 1))
    except (ValueError, OverflowError, OSError, ZoneInfoNotFoundError) as error:
        return Expansion((), f"{NOT_EXPANDED}: {error}")
    found = [one for one in found if window.meets(instant(one.start), instant(one.end))]
    problem = f"only the first {MAX_OCCURRENCES} are shown" if len(found) > MAX_OCCURRENCES else ""
    return Expansion(tuple(found[:MAX_OCCURRENCES]), problem)


def rule_problem(event: Event) -> str:
    """What is wrong with the recurrence lines of an event, "" when they can be read."""
    try:
        for line in event.recurrence:
            name, _, value = line.partition(":")
            if name.partition(";")[0] == "RRULE":
                read_rule(value)
            else:
                list(_dates(line))
    except (ValueError, OverflowError, OSError, ZoneInfoNotFoundError) as error:
        return f"{line[:60]}: {error}"
    return ""


def instant(moment: Moment) -> datetime:
    """When a moment is; a date counts as its first second in UTC. Raises ValueError."""
    return (
        datetime.combine(date.fromisoformat(moment.date), datetime.min.time(), UTC)
        if moment.date
        else read_instant(moment.at)
    )


class _Series:
    """An event laid out on the clock of its zone: naive local times."""

    def __init__(self, event: Event) -> None:
        self._event = event
        self._zone: tzinfo = ZoneInfo(event.start.zone) if event.start.at and event.start.zone else UTC
        self._length = instant(event.end) - instant(event.start)
        self.start = instant(event.start).astimezone(self._zone).replace(tzinfo=None)

    def at(self, local: datetime) -> Occurrence:
        """The occurrence that begins at a local time."""
        if self._event.start.date:
            day = local.date()
            return Occurrence(day.isoformat(), Moment(date=day.isoformat()), Moment(date=str(day + self._length)))
        begin = local.replace(tzinfo=self._zone).astimezone(UTC)
        start, end = write_instant(begin), write_instant(begin + self._length)
        return Occurrence(
            start, Moment(at=start, zone=self._event.start.zone), Moment(at=end, zone=self._event.end.zone)
        )

    def inside(self, window: Window, replaced: Collection[str]) -> Iterator[Occurrence]:
        """Occurrences in order, those that may reach into the window."""
        if len(self._event.recurrence) > MAX_LINES:
            raise ValueError(f"it has more than {MAX_LINES} lines")
        # A day more on both sides: zones differ, and so do lengths over a change of clocks.
        slack = timedelta(days=1)
        first = max(window.start - _FIRST - self._length - slack, timedelta()) + _FIRST.replace(tzinfo=None)
        last = min(window.end + slack, _LAST).replace(tzinfo=None)
        gone_days, gone = self._excluded()
        seen = set(replaced)
        for local in self._sorted(first, last):
            if local in gone or local.date() in gone_days:
                continue
            occurrence = self.at(local)
            if occurrence.original not in seen and window.meets(instant(occurrence.start), instant(occurrence.end)):
                seen.add(occurrence.original)
                yield occurrence

    def _sorted(self, first: datetime, last: datetime) -> list[datetime]:
        found = {self.start} if first <= self.start <= last else set()
        for line in self._event.recurrence:
            name, _, value = line.partition(":")
            if name.partition(";")[0] == "RRULE":
                times = local_times(read_rule(value), self.start, self._zone, first, last)
                # One more than can be shown, and those that records replace or lines exclude.
                found.update(islice(times, MAX_OCCURRENCES + MAX_DATES))
            elif name.partition(";")[0] == "RDATE":
                given = (one.within(self._zone) for one in _dates(line))
                found.update(one for one in given if first <= one <= last)
        return sorted(found)

    def _excluded(self) -> tuple[set[date], set[datetime]]:
        days: set[date] = set()
        moments: set[datetime] = set()
        for line in self._event.recurrence:
            if line.startswith("EXDATE"):
                for one in _dates(line):
                    # RFC 5545 3.8.5.1 wants the type of DTSTART; programs write a date for a time as well.
                    if one.whole_day:
                        days.add(one.at.date())
                    else:
                        moments.add(one.within(self._zone))
        return days, moments


def _dates(line: str) -> Iterator[Stamp]:
    """The times of an RDATE or EXDATE line, those in another zone as UTC. Raises ValueError."""
    head, _, value = line.partition(":")
    named = next((part[5:].strip('"') for part in head.split(";") if part.upper().startswith("TZID=")), "")
    values = value.split(",")
    if len(values) > MAX_DATES:
        raise ValueError(f"it names more than {MAX_DATES} dates")
    for text in values:
        stamp = read_stamp(text.strip().partition("/")[0])  # of a PERIOD the start
        if named and not stamp.utc and not stamp.whole_day:
            local = stamp.at.replace(tzinfo=ZoneInfo(named))
            stamp = Stamp(local.astimezone(UTC).replace(tzinfo=None), utc=True)
        yield stamp
