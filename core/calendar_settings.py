"""What the owner of an account chose for its calendar channel. Pure; the calendar itself lives at the provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from core.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class CalendarSettings:
    """Settings of the calendar channel.

    `since`: events that end before this day are left out; None before the first run. `calendar_id` is the id of the
    calendar at the provider, "" for the account's own, `calendar` its name.
    """

    since: date | None = None
    calendar: str = ""
    calendar_id: str = ""

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> CalendarSettings:
        """From the JSON of the channel row. Raises Misconfigured on a value of the wrong form."""
        try:
            since = date.fromisoformat(stored["since"]) if stored.get("since") else None
        except (TypeError, ValueError) as error:
            raise Misconfigured("since: not a date", advice="Run `twinbox settings calendar`.") from error
        return cls(since, str(stored.get("calendar") or ""), str(stored.get("calendar_id") or ""))

    def to_json(self) -> dict[str, Any]:
        """The form that `read` reads."""
        since = self.since.isoformat() if self.since else None
        return {"since": since, "calendar": self.calendar, "calendar_id": self.calendar_id}


def day_begins(day: date) -> datetime:
    """The earliest instant at which a day begins anywhere on earth (UTC+14)."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=14)
