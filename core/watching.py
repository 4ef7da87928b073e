"""Decides which push channels to open and which to close. Talking to the provider and remembering is `sync.watches`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

RENEWED_AT = 0.8  # of its life: a channel cannot be prolonged, so the next one begins while it still lives


@dataclass(frozen=True, slots=True)
class Watch:
    """A push channel for one calendar. `failed`: it was not opened, and until `expires_at` that is not tried again."""

    channel: str
    calendar: str
    address: str
    resource: str
    made_at: datetime
    expires_at: datetime
    failed: bool = False

    def is_good(self, address: str, now: datetime) -> bool:
        """Whether it serves, and will for a while."""
        renewed_at = self.made_at + (self.expires_at - self.made_at) * RENEWED_AT
        return not self.failed and self.address == address and now < renewed_at


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """Calendars that need a channel, and channels that are not needed any more. One that is to be replaced is needed
    until its successor is there."""

    open: tuple[str, ...]
    stop: tuple[Watch, ...]


def plan_watches(known: Sequence[Watch], calendars: Collection[str], address: str, now: datetime) -> WatchPlan:
    """What to do so that all `calendars` are watched, and their notices go to `address`."""
    good: dict[str, str] = {}
    for watch in sorted(known, key=lambda watch: watch.made_at):
        if watch.calendar in calendars and watch.is_good(address, now):
            good[watch.calendar] = watch.channel
    failed = {one.calendar for one in known if one.failed and one.address == address and now < one.expires_at}
    stop = (
        watch
        for watch in known
        if watch.channel not in good.values()
        and (watch.calendar not in calendars or watch.calendar in good or now >= watch.expires_at)
    )
    return WatchPlan(tuple(one for one in calendars if one not in good and one not in failed), tuple(stop))
