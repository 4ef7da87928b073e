"""When a channel runs next. Claiming and waking are left to `sync.scheduler`."""

from __future__ import annotations

from datetime import datetime, timedelta

MAX_WAIT = timedelta(hours=6)


def next_run(now: datetime, every: timedelta, failures: int, jitter: float) -> datetime:
    """The next time due: the period, doubled per failure in a row and capped, spread by `jitter` (0 to 0.1)."""
    wait: timedelta = every * (1 << min(failures, 16))
    return now + max(every, min(wait, MAX_WAIT)) * (1 + jitter)
