"""Which series an occurrence belongs to: ids and UIDs of the series of one calendar, as far as they came by.
Google need not tell more of a cancelled occurrence than the id of its series; then that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.google.calendar_client import CalendarClient
from providers.google.errors import Json, Refusal
from providers.google.event_items import is_gone

_SHARED = ("iCalUID", "organizer", "creator")  # what an occurrence has from its series


class SeriesBook:
    """The series of one calendar, filled while events are read and written."""

    def __init__(self, client: CalendarClient, calendar: str) -> None:
        self._client = client
        self._calendar = calendar
        self._known: dict[str, Json | None] = {}  # by id; None: it is gone
        self._ids: dict[str, str] = {}  # by UID

    def learn(self, event: Mapping[str, Any]) -> None:
        """Take note of an event that was read; one that is no series does no harm."""
        one, uid = event.get("id"), event.get("iCalUID")
        if not isinstance(one, str) or event.get("recurringEventId"):
            return
        if is_gone(event):
            self._known[one] = None
            return
        self._known[one] = {name: event[name] for name in _SHARED if name in event}
        if isinstance(uid, str) and event.get("recurrence"):
            self._ids[uid] = one

    def is_gone(self, one: str) -> bool:
        """Whether this series is known to have been deleted, and its occurrences with it."""
        return one in self._known and self._known[one] is None

    def renamed(self, uid: str, one: str) -> None:
        """The series of this UID was made anew, under this id: its occurrences still ask for it by the old UID."""
        if uid:
            self._ids[uid] = one

    def completed(self, event: Json) -> Json | None:
        """An event with what it has from its series; None when that is gone, and the occurrence with it."""
        series = event.get("recurringEventId")
        if not isinstance(series, str) or not series:
            return event
        lacking = [name for name in _SHARED if name not in event]
        if "iCalUID" not in event or "organizer" not in event or series in self._known:
            shared = self._of(series)
            if shared is None:
                return None if event.get("status") == "cancelled" else event
            return {**event, **{name: shared[name] for name in lacking if name in shared}}
        return event

    def id_of(self, uid: str) -> str:
        """The id of the series with this UID, "" if there is none in the calendar."""
        if not uid:
            return ""
        if self._known.get(self._ids.get(uid, "")) is None:
            answer = self._client.attempt(
                self._client.events.list(calendarId=self._calendar, iCalUID=uid, singleEvents=False, showDeleted=False)
            )
            found = answer.get("items") if not isinstance(answer, Refusal) else None
            for event in found if isinstance(found, list) else []:
                if isinstance(event, dict):
                    self.learn(event)
        one = self._ids.get(uid, "")
        return one if self._known.get(one) is not None else ""

    def _of(self, series: str) -> Json | None:
        if series not in self._known:
            answer = self._client.attempt(self._client.events.get(calendarId=self._calendar, eventId=series))
            self._known[series] = None
            if not isinstance(answer, Refusal):
                self.learn({**answer, "id": series})
        return self._known[series]
