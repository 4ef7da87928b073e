"""The calendars of a Google account (`core.ports.CalendarList`): which there are to choose among.
Their events are `calendar`."""

from __future__ import annotations

from core.ports import CalendarEntry
from providers.google.calendar_client import CalendarClient
from providers.google.calendar_listing import WRITERS, list_error, pages_of, rows_of
from providers.google.errors import Json, Refusal


class GoogleCalendars:
    """The list a person keeps of calendars: their own, further ones, those others share with them."""

    def __init__(self, client: CalendarClient) -> None:
        self._client = client

    def calendars(self) -> list[CalendarEntry]:
        """The calendars in the list, the account's own first. Raises NotGranted where that was not allowed."""
        found: list[CalendarEntry] = []
        for answer in pages_of(self._client, self._client.calendars.list, {"maxResults": 250}):
            if isinstance(answer, Refusal):
                raise list_error(answer, token=False)
            found += [_entry(row) for row in rows_of(answer) if _text(row, "id") and row.get("deleted") is not True]
        return sorted(found, key=lambda entry: (not entry.primary, entry.name.casefold(), entry.id))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _entry(row: Json) -> CalendarEntry:
    return CalendarEntry(
        _text(row, "id"),
        _text(row, "summaryOverride") or _text(row, "summary"),
        row.get("primary") is True,
        row.get("accessRole") in WRITERS,
        _text(row, "timeZone"),
    )


def _text(row: Json, name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""
