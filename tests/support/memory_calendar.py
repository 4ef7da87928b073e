"""Calendars of several people in memory, as `core.ports.RemoteReplica`: everybody has a copy of a meeting, and what the
organizer changes shows in every copy."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from core.errors import CursorExpired, ItemRejected, RecordGone, VersionConflict
from core.event import Event, canonical
from core.replica import Delta, Done, Failed, Item, Scope, Stamp, Write


@dataclass(slots=True)
class Copy:
    """One person's copy of a meeting."""

    id: str
    body: Event
    owned: bool
    version: int
    modified_at: datetime
    origin: str = ""
    cancelled: bool = False


@dataclass(slots=True)
class Calendars:
    """The calendars of everybody, by address, and what people do to them. `mails` are those that guests were sent."""

    clock: Callable[[], datetime]
    copies: dict[str, dict[str, Copy]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    mails: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def of(self, who: str) -> dict[str, Copy]:
        return self.copies.setdefault(who, {})

    # -- a person's hand

    def add(self, who: str, body: Event, *, origin: str = "") -> str:
        """The person makes an event; its id, the same in every copy."""
        one = f"e{next(self._numbers)}"
        self.put(who, one, canonical(replace(body, uid=body.uid or f"{one}@calendar", organizer=who)), origin)
        return one

    def put(self, who: str, one: str, body: Event, origin: str = "") -> None:
        """Write the organizer's copy and hand it to everybody who is invited."""
        known = self.of(who).get(one)
        origin = origin or (known.origin if known else "")
        for person in {who, *(guest.email for guest in body.attendees)}:
            self._store(person, one, body, person == who, origin if person == who else "")

    def edit(self, who: str, one: str, **values: Any) -> None:
        """The organizer changes an event."""
        self.put(who, one, canonical(replace(self.of(who)[one].body, **values)))

    def cancel(self, who: str, one: str) -> None:
        """The organizer deletes an event for everybody; anybody else only the own copy."""
        everybody = self.of(who)[one].owned
        for person in list(self.copies) if everybody else [who]:
            if copy := self.of(person).get(one):
                copy.cancelled = True
                copy.version += 1
                self.logs.setdefault(person, []).append(one)

    def restore(self, who: str, one: str) -> None:
        """The organizer takes the deletion back."""
        for person in self.copies:
            if copy := self.of(person).get(one):
                copy.cancelled = False
                self._touch(person, one)

    def _store(self, person: str, one: str, body: Event, owned: bool, origin: str) -> None:
        copy = self.of(person).get(one)
        if copy is None:
            self.of(person)[one] = Copy(one, body, owned, 0, self.clock(), origin)
        else:
            copy.body, copy.cancelled = body, False
        self._touch(person, one)

    def _touch(self, person: str, one: str) -> None:
        copy = self.of(person)[one]
        copy.version, copy.modified_at = copy.version + 1, self.clock()
        self.logs.setdefault(person, []).append(one)

    def shown(self, who: str) -> dict[str, Event]:
        """The events a person sees, by id."""
        return {one: copy.body for one, copy in self.of(who).items() if not copy.cancelled}


class MemoryCalendar:
    """One connection to one person's calendar."""

    def __init__(self, calendars: Calendars, who: str, since: date | None) -> None:
        self.calendars, self.who, self._since = calendars, who, since
        self.expired_below = 0

    skew = 0.0
    batch = 50

    def close(self) -> None:
        return

    def make_scope(self, name: str) -> Scope:
        raise AssertionError(f"the calendar {name} is there")

    def changes(self, cursor: str | None) -> Delta[Event]:
        self.calendars.calls["list"] += 1
        log = self.calendars.logs.get(self.who, [])
        if cursor is not None and int(cursor) < self.expired_below:
            raise CursorExpired("too old")
        copies = self.calendars.of(self.who)
        ids = set(copies) if cursor is None else set(log[int(cursor) :])
        if cursor is None:
            ids = {one for one in ids if self._in_range(copies[one].body)}
        gone = frozenset(one for one in ids if copies[one].cancelled)
        items = {one: self._item(copies[one]) for one in ids - gone}
        return Delta(items, gone, complete=cursor is None, cursor=str(len(log)), scope=Scope("primary", self.who))

    def get(self, ids: Collection[str]) -> Delta[Event]:
        self.calendars.calls["get"] += 1
        copies = self.calendars.of(self.who)
        items = {one: self._item(copies[one]) for one in ids if one in copies and not copies[one].cancelled}
        return Delta(items, frozenset(ids) - items.keys(), scope=Scope("primary", self.who))

    def write(self, writes: Sequence[Write[Event]]) -> Iterator[Done[Event] | Failed]:
        for one in writes:
            self.calendars.calls["write"] += 1
            yield self._write(one)

    def _write(self, one: Write[Event]) -> Done[Event] | Failed:
        calendars = self.calendars
        if not one.id:
            assert one.body is not None
            made = calendars.add(self.who, one.body, origin=one.origin)
            return Done(one.key, self._item(calendars.of(self.who)[made]))
        copy = calendars.of(self.who).get(one.id)
        if copy is None or (copy.cancelled and one.body is not None):
            return Failed(one.key, RecordGone("no such event"))
        if one.body is not None:
            if str(copy.version) != one.expect:
                return Failed(one.key, VersionConflict("another version"))
            if not copy.owned:
                return Failed(one.key, ItemRejected("organized by somebody else"))
            calendars.put(self.who, one.id, canonical(replace(one.body, uid=copy.body.uid, organizer=self.who)))
        if one.selected is False:
            calendars.cancel(self.who, one.id)
        elif one.selected:
            calendars.restore(self.who, one.id)
        return Done(one.key, self._item(copy))

    def _in_range(self, body: Event) -> bool:
        return self._since is None or bool(body.recurrence) or body.end.sort_key[:10] >= self._since.isoformat()

    def _item(self, copy: Copy) -> Item[Event]:
        extra = {"owned": copy.owned, "writable": copy.owned}
        stamp = Stamp(str(copy.version), copy.modified_at)
        return Item(copy.id, stamp, self._in_range(copy.body) and not copy.cancelled, copy.body, copy.origin, extra)
