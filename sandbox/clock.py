"""PRETENDS time: a clock that tests and the demo can set and push forward.
What happens when time has passed (a token expires, a session ends) is decided by the doubles that read it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def _wall_now() -> datetime:
    return datetime.now(UTC)


class SandboxClock:
    """An aware UTC clock, safe to share between threads.

    Without `start` it follows the wall clock plus everything that was advanced, so that tokens signed by it
    are accepted by a verifier that looks at the real time. With `start` it stands still until it is advanced.
    """

    def __init__(self, start: datetime | None = None, *, wall: Callable[[], datetime] = _wall_now) -> None:
        """Begin at `start` (aware) and stand still, or follow `wall`. Raises ValueError for a naive time."""
        self._lock = threading.Lock()
        self._wall = wall
        self._still = None if start is None else _aware(start)
        self._offset = timedelta(0)

    def now(self) -> datetime:
        """The current sandbox time, aware and in UTC."""
        with self._lock:
            return (self._still or self._wall()) + self._offset

    def advance(self, seconds: float) -> None:
        """Push the time forward by `seconds`; a negative number turns it back."""
        with self._lock:
            self._offset += timedelta(seconds=seconds)

    def set(self, moment: datetime) -> None:
        """Jump to `moment` (aware); the clock goes on from there in the way it went before."""
        target = _aware(moment)
        with self._lock:
            self._offset = target - (self._still or self._wall())


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a sandbox clock needs an aware time, for example datetime(..., tzinfo=UTC)")
    return moment.astimezone(UTC)
