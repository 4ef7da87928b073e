"""The Calendar API as one account may use it. How a call is carried out and what a failure means is `client`."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from core.ports import Access, Clock
from providers.google.client import Connection, Http, build_service, cut_document, signed_http
from providers.google.errors import CALENDAR, Json, Refusal
from providers.protocols.connect import Guard

# All we ever call. `update` is not among them: what it is not told, it takes away.
_CALLS: dict[str, Any] = {
    "events": {"methods": ("list", "get", "insert", "patch", "delete", "watch")},
    "channels": {"methods": ("stop",)},
    "calendarList": {"methods": ("list",)},
}


class CalendarClient:
    """The resource objects are kept: making one builds classes at run time and takes longer than a request."""

    def __init__(self, http: Http, *, root: str = "", now: Clock) -> None:
        """`root` replaces Google's own address. Nothing is sent yet."""
        base = (root or "https://www.googleapis.com").rstrip("/") + "/calendar/v3"
        service = build_service(_document(), http, base)
        self.events = service.events()
        self.calendars = service.calendarList()
        self.channels = service.channels()
        self._connection = Connection(http, now=now, wording=CALENDAR)

    @property
    def skew(self) -> float:
        """Seconds Google's clock is ahead of ours, as far as its answers tell."""
        return self._connection.skew

    def now(self) -> datetime:
        """The time at Google."""
        return self._connection.now()

    def call(self, request: Any) -> Json:
        """As `Connection.call`."""
        return self._connection.call(request)

    def attempt(self, request: Any) -> Json | Refusal:
        """As `Connection.attempt`."""
        return self._connection.attempt(request)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_calendar_client(guard: Guard, access: Access, *, root: str, now: Clock) -> CalendarClient:
    """A client for one account over the guarded network. Touches no network yet."""
    return CalendarClient(signed_http(guard, access), root=root, now=now)


@lru_cache(maxsize=1)
def _document() -> str:
    return cut_document("calendar", "v3", _CALLS)
