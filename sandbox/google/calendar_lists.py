"""PRETENDS the list of calendars every user keeps: what is on it, hidden, renamed, and when that changed.
Calendars themselves are left to `calendar_store`, how the list is sent to `calendar_reads`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sandbox.google.api_feed import Feed


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of one line in one user's list."""

    name: str  # the calendar's id
    number: int
    deleted: bool = False
    hidden: bool = False
    title: str = ""  # summaryOverride


class Lists:
    """The lists of all users by e-mail address. The caller holds the lock of the world."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._entries: dict[str, dict[str, Entry]] = {}
        self._feeds: dict[str, Feed[Entry]] = {}
        self._number = 0

    def feed(self, email: str) -> Feed[Entry]:
        """What happened to a user's list."""
        return self._feeds.setdefault(email, Feed())

    def put(self, email: str, calendar: str, **changes: Any) -> None:
        """A new version of a line; a new line if there was none, and one taken off comes back."""
        self._number += 1
        entries = self._entries.setdefault(email, {})
        known = entries.get(calendar, Entry(calendar, 0))
        entries[calendar] = replace(known, number=self._number, **{"deleted": False, **changes})
        self.feed(email).write(entries[calendar], self._now())
