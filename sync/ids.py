"""Makes the ids of new records: random ones for everything people name, time-ordered ones for messages.
Which table they go to is left to the caller."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

_SEQUENCE_BITS = 21  # above them the milliseconds since 1970: 62 bits until the year 2039, 63 until 2109


def new_id() -> str:
    """A random 128-bit id in 32 hexadecimal digits; it cannot be guessed and says nothing of its record."""
    return secrets.token_hex(16)


class MessageIds:
    """Hands out ascending 63-bit integers, so that new rows go to the end of every index.

    The random start within a millisecond keeps processes apart that write at the same moment.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._last = 0

    def take(self, count: int) -> range:
        """`count` consecutive ids, all greater than any taken before, also when the clock was set back."""
        start = (self._now_ms() << _SEQUENCE_BITS) | secrets.randbits(_SEQUENCE_BITS)
        with self._lock:
            first = max(start, self._last + 1)
            self._last = first + count - 1
        return range(first, first + count)


_IDS = MessageIds()  # one sequence per process: two of them could give the same id


def next_message_ids(count: int) -> range:
    """The next `count` message ids of this process, ascending."""
    return _IDS.take(count)
