"""PRETENDS which events a listing shows: windows, deletions, types, searches, and series as they are or expanded.
Pages and tokens are left to `calendar_reads`, looks to `calendar_render`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from sandbox.google.api_wire import Json
from sandbox.google.calendar_records import Copy
from sandbox.google.calendar_series import occurrences
from sandbox.google.calendar_store import Agenda, World, occurrence
from sandbox.google.calendar_times import instant, key_of, length

MOST_INSTANCES = 1000  # of one series in one listing with singleEvents


@dataclass(frozen=True, slots=True)
class Window:
    """From when (an end must be later) until when (a start must be earlier); None: without bound."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, begins: datetime, ends: datetime) -> bool:
        """Whether something lies in it at least in part; what takes no time counts where it begins."""
        after = self.start is None or ends > self.start or (begins == ends == self.start)
        return after and (self.end is None or begins < self.end)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a full listing asks for."""

    window: Window
    deleted: bool
    single: bool
    types: frozenset[str]
    updated_min: datetime | None = None
    text: str = ""
    uid: str = ""
    private: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def full(world: World, agenda: Agenda, copies: Iterable[Copy], wanted: Wanted) -> list[Copy]:
    """The rows of a full listing."""
    rows: list[Copy] = []
    for copy in copies:
        if not _fits(copy, wanted):
            continue
        if wanted.single:
            rows.extend(one for one in expanded(world, agenda, copy, wanted.window) if _shown(world, one, wanted))
        elif _shown(world, copy, wanted) and in_window(copy, wanted.window, agenda.zone):
            rows.append(copy)
    return rows


def _shown(world: World, copy: Copy, wanted: Wanted) -> bool:
    if not copy.cancelled or wanted.deleted or wanted.updated_min is not None:
        return True
    # "Cancelled instances ... will still be included if showDeleted and singleEvents are both False" says the
    # reference; clients report otherwise (google.md, C.2).
    return bool(copy.master) and not copy.orphan and not wanted.single and not world.knobs.cancelled_hidden


def _fits(copy: Copy, wanted: Wanted) -> bool:
    shared = copy.shared
    if wanted.types and shared["eventType"] not in wanted.types:
        return False
    if wanted.uid and copy.uid != wanted.uid:
        return False
    if wanted.updated_min is not None and copy.updated < wanted.updated_min:
        return False
    if wanted.text and wanted.text.casefold() not in _words(shared):
        return False
    return _has(copy.own.get("private", {}), wanted.private) and _has(shared.get("properties", {}), wanted.shared)


def _words(shared: Json) -> str:
    texts = [shared.get(name, "") for name in ("summary", "description", "location")]
    guests = [text for one in shared.get("attendees", ()) for text in (one["email"], one.get("displayName", ""))]
    return " ".join((*texts, *guests)).casefold()


def _has(properties: Json, wanted: tuple[str, ...]) -> bool:
    return all(properties.get(name) == value for name, _, value in (pair.partition("=") for pair in wanted))


def in_window(copy: Copy, window: Window, zone: str) -> bool:
    """Whether an event, or any occurrence of a series, or the place an occurrence was moved from, lies in a window."""
    begins = instant(copy.shared["start"], zone)
    lasts = instant(copy.shared["end"], zone) - begins
    if copy.is_series:
        starts = (instant(one, zone) for one in occurrences(copy.shared, _before(window.start, lasts), window.end))
        return any(window.holds(one, one + lasts) for one in starts)
    if window.holds(begins, begins + lasts):
        return True
    if copy.original is None:
        return False
    original = instant(copy.original, zone)
    return window.holds(original, original + lasts)


def _before(start: datetime | None, lasts: timedelta) -> datetime | None:
    return None if start is None else start - lasts


def expanded(world: World, agenda: Agenda, copy: Copy, window: Window) -> Iterator[Copy]:
    """An event, or the occurrences of a series without a record of their own; bounded in number and time."""
    if not copy.is_series:
        if _inside(copy, window, agenda.zone):
            yield copy
        return
    own_records = {one.key for one in world.exceptions(agenda, copy)}
    horizon = world.now() + timedelta(days=world.knobs.horizon_days)
    lasts = length(copy.shared["start"], copy.shared["end"])
    starts = occurrences(copy.shared, _before(window.start, lasts), window.end or horizon)
    fresh = (occurrence(copy, key_of(one)) for one in starts if key_of(one) not in own_records)
    yield from islice((one for one in fresh if _inside(one, window, agenda.zone)), MOST_INSTANCES)


def _inside(copy: Copy, window: Window, zone: str) -> bool:
    return window.holds(instant(copy.shared["start"], zone), instant(copy.shared["end"], zone))


def by_start(rows: list[Copy], zone: str) -> list[Copy]:
    """In the order of their starts."""
    return sorted(rows, key=lambda one: (instant(one.shared["start"], zone), one.id))
