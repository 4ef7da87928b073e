"""Writes a workspace's activities as one iCalendar file, as one user may see them, or as JSON.
What a viewer is shown is decided by `models.activity_records`, the format is `sync.icalendar_write`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from core.event import Attendee, Event, Moment
from core.occurrences import Window, instant
from models.activity_queries import Wanted, iterate_activities, series_clocks
from models.columns import Record
from sync.icalendar_write import Written, write_calendar

# Fields of an event that a record has under the same name.
_SAME = tuple(one.name for one in fields(Event) if one.name != "attendees")
BUSY_AHEAD = timedelta(days=366)  # how far a hidden series is laid out when no window is asked for


def export_activities(session: Session, workspace: str, wanted: Wanted, now: datetime) -> Iterator[str]:
    """The living activities of a workspace as pieces of text. Each bears its UID, else the external id or our own, so
    that it is found again. What is hidden from the viewer is a stretch of time in which somebody is busy."""
    return write_calendar(_events(session, workspace, wanted, now))


def _events(session: Session, workspace: str, wanted: Wanted, now: datetime) -> Iterator[Written]:
    clocks = _Clocks(session, workspace)
    for record, expansion in iterate_activities(session, workspace, wanted):
        if not record["busy"]:
            yield _written(record, clocks)
        elif not record["repeats"]:
            yield _busy(record, now)
        else:
            for one in expansion.occurrences:
                yield _busy(record | {"start": one.start, "end": one.end}, now)
    if wanted.window is None:
        yield from _hidden_series(session, workspace, wanted, now)
    # A cancelled occurrence must be said, or the series would show it.
    for state in (replace(wanted, cancelled=True), replace(wanted, deleted=True)):
        for record, _ in iterate_activities(session, workspace, state):
            if record["original"] and clocks.of(record) is not None:
                yield _written(record | {"status": "cancelled"}, clocks)


def _hidden_series(session: Session, workspace: str, wanted: Wanted, now: datetime) -> Iterator[Written]:
    ahead = replace(wanted, window=Window(now, now + BUSY_AHEAD))
    for record, expansion in iterate_activities(session, workspace, ahead):
        if record["busy"] and record["repeats"]:
            for one in expansion.occurrences:
                yield _busy(record | {"start": one.start, "end": one.end}, now)


class _Clocks:
    """Zones of series, by uid, each asked for once."""

    def __init__(self, session: Session, workspace: str) -> None:
        self._session, self._workspace = session, workspace
        self._known: dict[str, str | None] = {}

    def of(self, record: Record) -> str | None:
        """The zone of the series that an occurrence belongs to; None without a living one."""
        uid = record["uid"]
        if uid not in self._known:
            self._known[uid] = series_clocks(self._session, self._workspace, [uid]).get(uid)
        return self._known[uid]


def _written(record: Record, clocks: _Clocks) -> Written:
    event = _event(record)
    zone = event.start.zone if event.recurrence else ""
    if event.original:
        zone = clocks.of(record) or ""
    uid = event.uid or record["external_id"] or record["id"]
    return Written(event, uid, record["modified_at"], record["version"] - 1, zone, record["reminders_of"])


def _event(record: Record) -> Event:
    people = tuple(
        Attendee(one["email"], one["name"], one["response"], one["optional"], one["resource"])
        for one in record["participants"]
    )
    return Event(**{name: record[name] for name in _SAME}, attendees=people)


def _busy(record: Record, now: datetime) -> Written:
    start: Moment = record["start"]
    event = Event(title=record["title"], start=start, end=record["end"], visibility="private")
    return Written(event, f"busy-{record['id']}-{instant(start):%Y%m%d%H%M%S}", now)
