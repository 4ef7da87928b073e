"""PRETENDS the truth about all calendars of one Google: every event copy, who may see which calendar, what is to come.
What a change is allowed to be and whom it reaches is decided by `calendar_meetings` and those who call it."""

from __future__ import annotations

import heapq
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sandbox.google.api_feed import Feed
from sandbox.google.api_wire import Json
from sandbox.google.calendar_knobs import CalendarKnobs
from sandbox.google.calendar_lists import Lists
from sandbox.google.calendar_records import Copy, Mail, Origin, Role
from sandbox.google.calendar_series import occurs
from sandbox.google.calendar_times import later, length, when_of
from sandbox.google.store import Store

_BASE32 = "0123456789abcdefghijklmnopqrstuv"


@dataclass(slots=True)
class Agenda:
    """One calendar. `outside`: of somebody who is no user of this Google; no call reaches it."""

    id: str
    owner: str
    summary: str
    zone: str
    primary: bool
    outside: bool = False
    deleted: bool = False
    reminders: list[Json] = field(default_factory=lambda: [{"method": "popup", "minutes": 30}])
    events: dict[str, Copy] = field(default_factory=dict)
    feed: Feed[Copy] = field(default_factory=Feed)
    access: dict[str, Role] = field(default_factory=dict)
    access_changes: int = 0  # a change of rights ends all sync tokens of the calendar
    meetings: dict[tuple[str, str], str] = field(default_factory=dict)  # (meeting, key) -> id
    latest: Copy | None = None  # the newest version of anything here
    exceptions: dict[str, set[str]] = field(default_factory=dict)  # id of a series -> ids

    def with_uid(self, uid: str) -> Copy | None:
        """The event or series of that iCalUID."""
        return next((one for one in self.events.values() if one.uid == uid and not one.key), None)

    def role(self, email: str) -> Role:
        """What this user may do here."""
        return "owner" if email == self.owner else self.access.get(email, "none")


class World:
    """All calendars. Everything but `acting` and `agenda_of` is called with the lock held."""

    def __init__(self, store: Store, now: Callable[[], datetime], seed: int, knobs: CalendarKnobs) -> None:
        self.lock = threading.RLock()
        self.knobs = knobs
        self.store = store
        self.now = now
        self.rng = random.Random(f"{seed} calendar")
        self.agendas: dict[str, Agenda] = {}
        self.lists = Lists(now)
        self.mails: list[Mail] = []
        self.touched: dict[str, None] = {}  # calendars changed since the last notifications
        self.after: list[Callable[[], None]] = []  # run without the lock, once the outermost act is over
        self._depth = 0
        self._number = 0
        self._coming: list[tuple[datetime, int, Callable[[], None]]] = []

    @contextmanager
    def acting(self) -> Iterator[None]:
        """The span of one act: what was due by now has happened, and those who listen are told at its end."""
        with self.lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self.settle()
                yield
            finally:
                self._depth -= 1
            outermost = self._depth == 0
        if outermost:
            for listener in self.after:
                listener()

    # -- calendars

    def agenda(self, ident: str, email: str = "") -> Agenda | None:
        """A calendar by id, or by `primary` of that user."""
        if ident == "primary":
            return self.primary_of(email)
        user = self.store.users.find(ident)
        return self.primary_of(user.email) if user is not None else self.agendas.get(ident)

    def primary_of(self, email: str) -> Agenda:
        """The calendar every user has; its id is the address."""
        if email not in self.agendas:
            self._put_agenda(Agenda(email, email, email, "UTC", primary=True))
        return self.agendas[email]

    def outsider(self, email: str) -> Agenda:
        """The calendar of somebody elsewhere, from which invitations come. Raises ValueError for a user."""
        if self.store.users.find(email) is not None:
            raise ValueError(f"{email} is a user of this Google")
        if email not in self.agendas:
            self.agendas[email] = Agenda(email, email, email, "UTC", primary=True, outside=True)
        return self.agendas[email]

    def new_agenda(self, owner: str, summary: str, zone: str) -> Agenda:
        """A further calendar of a user."""
        ident = f"c_{self.draw(26)}@group.calendar.google.com"
        return self._put_agenda(Agenda(ident, owner, summary, zone, primary=False))

    def _put_agenda(self, agenda: Agenda) -> Agenda:
        self.agendas[agenda.id] = agenda
        self.lists.put(agenda.owner, agenda.id)
        return agenda

    def guest_agenda(self, email: str) -> Agenda | None:
        """Where an invitation to that address arrives, if it is here."""
        found = self.agenda(email)
        return None if found is None or found.deleted else found

    # -- events

    def find(self, agenda: Agenda, ident: str) -> Copy | None:
        """The event or occurrence of that id; an occurrence without a record of its own is made up from its series."""
        known = agenda.events.get(ident)
        if known is not None:
            return known
        base, _, key = ident.rpartition("_")
        master = agenda.events.get(base)
        original = when_of(key, "") if master is not None else None
        if master is None or original is None or not master.is_series or not occurs(master.shared, original):
            return None
        # Of a series that was deleted no occurrence can be had back alone.
        return replace(occurrence(master, key), orphan=master.cancelled)

    def sibling(self, agenda: Agenda, copy: Copy) -> Copy | None:
        """The copy of the same meeting on another calendar, if it has a record there."""
        ident = agenda.meetings.get((copy.meeting, copy.key))
        found = agenda.events.get(ident) if ident is not None else None
        return None if found is None or found.alone != copy.alone else found

    def holders(self, copy: Copy) -> list[Agenda]:
        """The other calendars on which the same meeting has a record."""
        return [one for one in self.agendas.values() if one.id != copy.calendar and self.sibling(one, copy) is not None]

    def exceptions(self, agenda: Agenda, master: Copy) -> list[Copy]:
        """The occurrences of a series that have a record of their own, by original start."""
        found = [agenda.events[ident] for ident in agenda.exceptions.get(master.id, ())]
        return sorted(found, key=lambda one: one.key)

    def put(self, copy: Copy, origin: Origin, *, touch: bool = True, **changes: Any) -> Copy:
        """A new version of a copy with these changes; `updated` moves unless told otherwise."""
        now = self.now()
        self._number += 1
        fresh = replace(copy, number=self._number, updated=now if touch else copy.updated, **changes)
        agenda = self.agendas[fresh.calendar]
        agenda.events[fresh.id] = agenda.latest = fresh
        agenda.meetings[fresh.meeting, fresh.key] = fresh.id
        if fresh.master:
            agenda.exceptions.setdefault(fresh.master, set()).add(fresh.id)
        lag = self.knobs.list_lag_api if origin == "api" else self.knobs.list_lag_hand
        agenda.feed.write(fresh, now + timedelta(seconds=lag))
        self.touched[agenda.id] = None
        return fresh

    def remember(self, copy: Copy, shared: Json) -> None:
        """Note under a cancelled event what it would be: nobody can see that, so it is no new version."""
        self.agendas[copy.calendar].events[copy.id] = replace(copy, shared=shared)

    def draw(self, length_: int) -> str:
        """Letters and digits as ids have them."""
        return "".join(self.rng.choices(_BASE32, k=length_))

    # -- what is to come

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen then; at once for no time at all."""
        if seconds <= 0:
            act()
        else:
            self.next_time(seconds, act)

    def next_time(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen at the first act after that many seconds, never within the present one."""
        self._number += 1
        heapq.heappush(self._coming, (self.now() + timedelta(seconds=seconds), self._number, act))

    def settle(self) -> None:
        """Let everything happen that is due."""
        now, due = self.now(), []
        while self._coming and self._coming[0][0] <= now:
            due.append(heapq.heappop(self._coming)[2])
        for act in due:
            act()


def occurrence(master: Copy, key: str) -> Copy:
    """An occurrence as its series has it."""
    start = master.shared["start"]
    original = when_of(key, start.get("timeZone", ""))
    assert original is not None
    shared = {name: value for name, value in master.shared.items() if name != "recurrence"}
    end = later(original, length(start, master.shared["end"]))
    if "dateTime" in end:
        end = {**master.shared["end"], "dateTime": end["dateTime"]}
    return replace(
        master,
        id=f"{master.id}_{key}",
        shared={**shared, "start": original, "end": end},
        master=master.id,
        original=original,
        key=key,
    )
