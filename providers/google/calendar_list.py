"""The calendars of a Google account (`core.ports.Calendars`): which there are to choose among.
Their events are `calendar`. And push channels, by which Google tells that something changed in one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from core.errors import RecordGone
from core.ports import CalendarEntry, Notice, Watched, WatchOrder
from core.secret import Secret
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

    def watch(self, calendar: str, order: WatchOrder) -> Watched:
        """Open a push channel on the events of a calendar (Calendar API, events.watch)."""
        body = {"id": order.channel, "type": "web_hook", "address": order.address, "token": order.token.reveal()}
        answer = self._client.call(self._client.events.watch(calendarId=calendar, body=body))
        told = _text(answer, "expiration")
        expires = int(told) / 1000 if told.isascii() and told.isdigit() and len(told) < 15 else None
        # Without a word of its end it is opened anew tomorrow.
        ends = datetime.fromtimestamp(expires, UTC) if expires else self._client.now() + timedelta(days=1)
        return Watched(_text(answer, "resourceId"), ends)

    def unwatch(self, channel: str, resource: str) -> None:
        """Close a push channel (channels.stop). One that is closed, or of another account, is not found."""
        answer = self._client.attempt(self._client.channels.stop(body={"id": channel, "resourceId": resource}))
        if isinstance(answer, Refusal) and not isinstance(answer.error(), RecordGone):
            raise answer.error()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def read_notice(headers: Mapping[str, str]) -> Notice | None:
    """The notice in the headers of a call that came from Google, by lower-case name; None for anything else.

    developers.google.com/workspace/calendar/api/guides/push: the body is empty, the first state is `sync`.
    """
    channel, state = headers.get("x-goog-channel-id", ""), headers.get("x-goog-resource-state", "")
    if not channel or not state:
        return None
    token = Secret(headers.get("x-goog-channel-token", ""))
    return Notice(channel, token, headers.get("x-goog-resource-id", ""), state in ("exists", "not_exists"))


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
