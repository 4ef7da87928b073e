"""What the owner of an account chose for its calendar channel, and how events of several calendars are told apart.
Pure; the calendars themselves live at the provider."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from core.errors import Misconfigured
from core.replica import Scope

OWN = "primary"  # names the account's own calendar, whatever its id is (Calendar API, "calendarId")
THE_OWN_ALONE = (Scope("", ""),)


@dataclass(frozen=True, slots=True)
class CalendarSettings:
    """Settings of the calendar channel.

    `since`: events that end before this day are left out; None before the first run. `calendars` are those that are
    followed; new events go to the first. The id of the account's own is `OWN`, "" before the first run.
    """

    since: date | None = None
    calendars: tuple[Scope, ...] = THE_OWN_ALONE

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> CalendarSettings:
        """From the JSON of the channel row. Raises Misconfigured on a value of the wrong form."""
        advice = "Run `twinbox settings calendar`."
        try:
            since = date.fromisoformat(stored["since"]) if stored.get("since") else None
        except (TypeError, ValueError) as error:
            raise Misconfigured("since: not a date", advice=advice) from error
        try:
            calendars = tuple(Scope(str(one["id"]), str(one["name"])) for one in stored.get("calendars") or ())
        except (TypeError, KeyError) as error:
            raise Misconfigured("calendars: not a list of calendars", advice=advice) from error
        return cls(since, calendars or THE_OWN_ALONE)

    def to_json(self) -> dict[str, Any]:
        """The form that `read` reads."""
        since = self.since.isoformat() if self.since else None
        return {"since": since, "calendars": [{"id": one.id, "name": one.name} for one in self.calendars]}


def day_begins(day: date) -> datetime:
    """The earliest instant at which a day begins anywhere on earth (UTC+14)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=14)


def mark_of(calendar: str) -> str:
    """What the ids of a calendar's events end with here, so that those of several calendars do not meet: two may hold
    the same meeting under one id. Nothing for the account's own."""
    if calendar in ("", OWN):
        return ""
    return "@" + hashlib.blake2b(calendar.encode(), digest_size=6).hexdigest()


def mark_in(event: str) -> str:
    """The mark at the end of an event's id."""
    _, at, tail = event.rpartition("@")
    return at + tail if at else ""


def same_calendars(some: tuple[Scope, ...], others: tuple[Scope, ...]) -> bool:
    """Whether two choices are the same calendars in the same order, whatever they are called."""
    return [mark_of(one.id) for one in some] == [mark_of(one.id) for one in others]
