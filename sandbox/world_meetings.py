"""PRETENDS the calendars of the demo world: what Anna has at the stand-in for Google before the story of it begins.
As a person would have made it, by hand; serving it is left to `google`."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sandbox.google.calendar_book import CalendarBook

JONAS = "jonas@example.com"  # a colleague: another user of the same workspace
ZONE = "Europe/Berlin"
TEAM, FAIR, DENTIST = "Team meeting", "Trade fair", "Dentist"
PARTY, FOCUS = "Summer party", "Deep work"  # long over; and no meeting
LONG_AGO = timedelta(days=200)


def fill_calendar(book: CalendarBook, now: datetime) -> None:
    """Give Anna a weekly series with Jonas, a fair of whole days, a private date; and two that a CRM has no use for."""
    fair = monday(now) + timedelta(days=16)
    book.create(TEAM, *hours(now, 0, 9), repeat="RRULE:FREQ=WEEKLY;COUNT=10", guests=[JONAS])
    book.create(FAIR, fair.date(), (fair + timedelta(days=3)).date(), location="Hall 3")
    book.create(DENTIST, *hours(now, 2, 8), visibility="private", location="Dr Lang, Seestraße 4")
    book.create(PARTY, now - LONG_AGO, now - LONG_AGO + timedelta(hours=5), zone=ZONE)
    book.create(FOCUS, *hours(now, 3, 14), eventType="focusTime")


def monday(now: datetime) -> datetime:
    """Midnight of the first Monday at least two days ahead, on Anna's clock."""
    day = now.astimezone(ZoneInfo(ZONE)).date() + timedelta(days=2)
    return datetime.combine(day + timedelta(days=-day.weekday() % 7), time(), ZoneInfo(ZONE))


def hours(now: datetime, day: int, hour: int, *, week: int = 0) -> tuple[datetime, datetime]:
    """One hour of that week, from `hour` on: `day` 0 is its Monday."""
    start = monday(now) + timedelta(days=7 * week + day, hours=hour)
    return start, start + timedelta(hours=1)
