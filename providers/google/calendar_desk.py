"""One calendar as it is worked on: what is needed to read and write single events of it, put together.
Which of it happens is decided in `calendar_creating` and `calendar_writing`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date

from core.errors import RecordGone, VersionConflict
from core.event import Event
from core.replica import Item
from providers.google.calendar_client import CalendarClient
from providers.google.calendar_listing import ORDINARY, get_events
from providers.google.calendar_series import SeriesBook
from providers.google.errors import Json, Refusal
from providers.google.event_items import View, read_item

Wait = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Desk:
    """`send_updates` says which guests Google may mail; `writable` whether events of the calendar can be changed;
    `shared` whether it is somebody else's; `kinds` which events take part."""

    client: CalendarClient
    calendar: str
    series: SeriesBook
    since: date | None
    writable: bool
    send_updates: str
    wait: Wait
    shared: bool = False
    kinds: Collection[str] = ORDINARY

    @property
    def view(self) -> View:
        """How events are looked at."""
        return View(self.since, self.writable, self.shared, self.kinds)

    def read(self, event: Json) -> Item[Event] | None:
        """An event as an item; None for an occurrence whose series is gone."""
        self.series.learn(event)
        whole = self.series.completed(event)
        return None if whole is None else read_item(whole, self.view)

    def get(self, one: str) -> Json | None:
        """An event as it is now, be it cancelled; None if it is unknown."""
        return get_events(self.client, self.calendar, [one], self.wait).events.get(one)

    def insert(self, event: Json) -> Json | Refusal:
        """Make an event."""
        return self.client.attempt(
            self.client.events.insert(calendarId=self.calendar, body=event, sendUpdates=self.send_updates)
        )

    def patch(self, one: str, version: str, patch: Mapping[str, object]) -> Json | Refusal:
        """Change fields of an event if it still has this version."""
        request = self.client.events.patch(
            calendarId=self.calendar, eventId=one, body=dict(patch), sendUpdates=self.send_updates
        )
        if version:
            request.headers["If-Match"] = version
        return self.client.attempt(request)

    def delete(self, one: str) -> Json | Refusal:
        """Cancel an event that this calendar organizes, or take another's out of it."""
        return self.client.attempt(
            self.client.events.delete(calendarId=self.calendar, eventId=one, sendUpdates=self.send_updates)
        )


def gone() -> RecordGone:
    """The event is not there."""
    return RecordGone("the event does not exist at Google any more")


def changed() -> VersionConflict:
    """The event is not what it was."""
    return VersionConflict("the event was changed at Google since it was read")
