"""The connection of one user to Google's double within this process, as our adapters get it.
The double itself is `sandbox.google`, faults are `sandbox.faults`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from sandbox.google import InProcessHttp


class GoogleHttp:
    """An httplib2-like object on the double: adds the `Date` of Google's clock and notes what was sent."""

    def __init__(self, inner: InProcessHttp, now: Callable[[], datetime]) -> None:
        self._inner = inner
        self._now = now
        self.sent: list[str] = []

    def request(self, uri: str, method: str = "GET", body: Any = None, headers: Any = None) -> Any:
        """Carry out one request."""
        self.sent.append(f"{method} {uri.partition('?')[0]}")
        response, content = self._inner.request(uri, method, body, headers)
        response.setdefault("date", format_datetime(self._now(), usegmt=True))
        return response, content

    def close(self) -> None:
        """Nothing is open."""
