"""Google Calendar as the remote side of the calendar channel (`core.ports.RemoteReplica`): cursor, window, writes.
Talking is `calendar_client`, fields are `event_mapping`; what is to be written was decided by `core.plan`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from datetime import date

from core.calendar_settings import OWN
from core.errors import CursorExpired, Misconfigured
from core.event import Event
from core.replica import Delta, Done, Failed, Item, Scope, Write
from providers.google.calendar_client import CalendarClient
from providers.google.calendar_desk import Desk, Wait
from providers.google.calendar_listing import ALL_KINDS, LIST_PARAMETERS, ORDINARY, Listed, get_events, list_events
from providers.google.calendar_series import SeriesBook
from providers.google.calendar_writing import outcomes
from providers.google.event_items import is_gone

_SECONDARY = "@group.calendar.google.com"  # ends the id of a calendar that is not the main one of a person
BATCH = 50


class GoogleCalendar:
    """One calendar of a Google account. Not thread-safe.

    A series is one record, and each occurrence that differs from it or is cancelled one of its own.
    """

    def __init__(
        self,
        client: CalendarClient,
        scope: Scope,
        *,
        since: date | None,
        send_updates: str = "none",
        all_kinds: bool = False,
        wait: Wait,
    ) -> None:
        """`scope` is the calendar, the account's own if it has no id. Events that end before `since` are no part of it.

        `send_updates` (none, externalOnly, all) says which guests Google may tell of what we write, `all_kinds` whether
        focus time, birthdays and the like come in too. `wait` pauses until a new event is found.
        """
        self._client = client
        self._scope = Scope(scope.id or OWN, scope.name)
        self._since = since
        self._send_updates = send_updates
        self._kinds = ALL_KINDS if all_kinds else ORDINARY
        self._wait = wait
        self._writable = True
        self._shared = self._scope.id != OWN
        self._series = SeriesBook(client, self._scope.id)

    @property
    def skew(self) -> float:
        """Seconds Google's clock is ahead of ours; 0 while both may show the same."""
        return self._client.skew

    @property
    def batch(self) -> int:
        """How many records are written between two steps of a run; each is a call of its own."""
        return BATCH

    def changes(self, cursor: str | None) -> Delta[Event]:
        """All events from `since` on, or what changed since `cursor`: one call when nothing did. Raises CursorExpired.

        What changed may lie outside the window; then it is not selected. `complete` speaks of the window alone.
        """
        token = self._read_cursor(cursor) if cursor else ""
        listed = list_events(self._client, self._scope.id, token, self._since, self._kinds)
        if listed is None:
            return Delta({}, cursor=cursor or "")
        self._writable = listed.writable
        mine = listed.owner and self._scope.id.endswith(_SECONDARY)  # the main one of another may be managed, too
        self._shared = self._scope.id != OWN and not mine
        self._scope = Scope(self._scope.id, listed.name or self._scope.name)
        items, gone = self._read(listed)
        now = self._cursor(listed.token) if listed.token else ""
        return Delta(items, gone, complete=not cursor, cursor=now, scope=self._scope)

    def get(self, ids: Collection[str]) -> Delta[Event]:
        """These events as they are now, one call each, or all pages of the calendar if that is less."""
        items, gone = self._read(get_events(self._client, self._scope.id, ids, self._wait))
        return Delta(items, gone | (frozenset(ids) - items.keys()), scope=self._scope)

    def write(self, writes: Sequence[Write[Event]]) -> Iterator[Done[Event] | Failed]:
        """Carry out writes, one call each; new events come last, series before occurrences.

        Transient after a call was sent: it may have taken effect. ItemRejected for what we may not write, without
        asking Google where we know.
        """
        return outcomes(self._desk(), writes)

    def make_scope(self, name: str) -> Scope:
        """Not done: a calendar that was deleted is the user's decision, and a new one would be empty."""
        raise Misconfigured(
            f"the calendar {name!r} does not exist at Google", advice="Choose another calendar of this account."
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _desk(self) -> Desk:
        return Desk(
            self._client,
            self._scope.id,
            self._series,
            self._since,
            self._writable,
            self._send_updates,
            self._wait,
            self._shared,
            self._kinds,
        )

    def _read(self, listed: Listed) -> tuple[dict[str, Item[Event]], frozenset[str]]:
        # Occurrences may come before their series.
        for event in listed.events.values():
            self._series.learn(event)
        desk = self._desk()
        items: dict[str, Item[Event]] = {}
        for one, event in listed.events.items():
            item = None if is_gone(event) else desk.read(event)
            if item is not None:
                items[one] = item
        return items, frozenset(listed.events.keys() - items.keys())

    def _cursor(self, token: str) -> str:
        asked = {"for": _fingerprint(self._kinds), "calendar": self._scope.id, "since": _day(self._since)}
        return json.dumps({**asked, "token": token})

    def _read_cursor(self, text: str) -> str:
        try:
            stored = json.loads(text)
        except (ValueError, RecursionError):
            stored = None
        if not isinstance(stored, dict) or stored.get("for") != _fingerprint(self._kinds):
            raise CursorExpired("the cursor was made for another listing")
        if stored.get("calendar") != self._scope.id or stored.get("since") != _day(self._since):
            raise CursorExpired("another calendar or another first day was chosen: it must be read")
        token = stored.get("token")
        if not isinstance(token, str) or not token:
            raise CursorExpired("the cursor is incomplete")
        return token


def _day(since: date | None) -> str:
    return since.isoformat() if since else ""


def _fingerprint(kinds: Sequence[str]) -> str:
    """A short name of what we ask for: sync tokens are bound to it."""
    asked = json.dumps({**LIST_PARAMETERS, "eventTypes": list(kinds)}, sort_keys=True)
    return hashlib.blake2b(asked.encode(), digest_size=8).hexdigest()
