"""PRETENDS Google's limits: requests per user and minute, the stop for writes after too many guests.
The limits are knobs; which call counts against what is decided by `calendar_api` and `calendar_writes`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sandbox.google.calendar_errors import CalendarError, usage
from sandbox.google.calendar_knobs import CalendarKnobs

_WINDOW = timedelta(minutes=1)
_TEXTS = {
    "rateLimitExceeded": "Rate Limit Exceeded",
    "userRateLimitExceeded": "User Rate Limit Exceeded",
    "quotaExceeded": "Calendar usage limits exceeded.",
    "dailyLimitExceeded": "Daily Limit Exceeded",
}


class Limits:
    """Counters by user. The caller holds the lock of the world."""

    def __init__(self, now: Callable[[], datetime], knobs: CalendarKnobs) -> None:
        self._now = now
        self._knobs = knobs
        self._windows: dict[str, tuple[datetime, int]] = {}
        self._guests: dict[str, int] = {}
        self._paused: dict[str, datetime] = {}

    def count_request(self, email: str, *, writes: bool) -> None:
        """Count one call. Raises CalendarError beyond a limit."""
        now, limit = self._now(), self._knobs.requests_per_minute
        started, count = self._windows.get(email, (now, 0))
        if not started <= now < started + _WINDOW:
            started, count = now, 0
        self._windows[email] = started, count + 1
        if limit is not None and count >= limit:
            reason = self._knobs.rate_reason
            raise usage(reason, _TEXTS[reason], self._knobs.rate_status)
        if writes and (email in self._knobs.read_only or now < self._paused.get(email, now)):
            raise _used_up()

    def count_guests(self, email: str, number: int) -> None:
        """Count guests written, letters or none (google.md, C.3). Raises CalendarError, and goes on so for hours."""
        limit = self._knobs.guest_limit
        self._guests[email] = self._guests.get(email, 0) + number
        if limit is not None and self._guests[email] > limit:
            self._guests[email] = 0
            self._paused[email] = self._now() + timedelta(seconds=self._knobs.guest_pause)
            raise _used_up()


def _used_up() -> CalendarError:
    return usage("quotaExceeded", _TEXTS["quotaExceeded"])
