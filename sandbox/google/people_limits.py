"""PRETENDS Google's quotas per user and minute, and watches for two writers on one address book.
Which call counts against what is decided by `people_api`; the limits themselves are knobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from sandbox.google.people_records import stamp
from sandbox.google.people_wire import full_sync_quota_exceeded, quota_exceeded

_WINDOW = timedelta(minutes=1)


class Quotas:
    """Counters by user in windows of one minute. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], tuple[datetime, int]] = {}

    def critical_read(self, sub: str, now: datetime, limit: int | None) -> None:
        """Count one critical read. Raises ApiError 429 beyond the limit."""
        started, count = self._count("read", sub, now)
        if limit is not None and count > limit:
            raise quota_exceeded(stamp(started))

    def full_sync(self, sub: str, now: datetime, limit: int | None) -> None:
        """Count the first page of a full sync. Raises ApiError 429 beyond the limit."""
        _, count = self._count("full sync", sub, now)
        if limit is not None and count > limit:
            raise full_sync_quota_exceeded()

    def _count(self, what: str, sub: str, now: datetime) -> tuple[datetime, int]:
        with self._lock:
            started, count = self._windows.get((what, sub), (now, 0))
            if not started <= now < started + _WINDOW:
                started, count = now, 0
            self._windows[what, sub] = started, count + 1
            return started, count + 1


class Writers:
    """Who writes just now; "mutate requests for the same user should be sent sequentially" (discovery document)."""

    def __init__(self, violations: list[str]) -> None:
        self._lock = threading.Lock()
        self._active: dict[str, list[str]] = {}
        self._violations = violations

    @contextmanager
    def writing(self, email: str, operation: str) -> Iterator[None]:
        """The span of one mutation; one that begins within another of the same user is a violation."""
        with self._lock:
            active = self._active.setdefault(email, [])
            if active:
                self._violations.append(f"{operation} of {email} while {active[-1]} was under way")
            active.append(operation)
        try:
            yield
        finally:
            with self._lock:
                active.remove(operation)
