"""Runs of calendars that break at any boundary, between a database in memory and Google's double, both of which can be
put back to an earlier moment. Breaking is `crash`, what happens around the runs is the tests' choice."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import Transient
from providers.google.client import Http
from sandbox.google import CalendarApi
from sync.run import RunReport
from tests.support.app_factory import TestClock, make_app
from tests.support.calendar_world import CalendarWorld
from tests.support.crash import Crash, Faults, MemoryDatabase, in_memory, memory

REMEMBERED = {"activities", "links", "sent", "set_aside", "decisions", "remote_keys", "history"}


@dataclass(slots=True)
class BreakingHttp:
    """A connection whose every request is a boundary."""

    inner: Http
    breaks: Faults

    def request(self, uri: str, method: str = "GET", body: Any = None, headers: Any = None) -> Any:
        """Carry out one request, unless it breaks; then nobody hears of it."""
        name = f"{method} {'event' if '/events/' in uri else 'events'}"
        try:
            due = self.breaks.enter(name)
            answer = self.inner.request(uri, method, body, headers)
            self.breaks.leave(due, name)
        except Transient as error:
            raise ConnectionResetError("the connection broke") from error
        return answer

    def close(self) -> None:
        self.inner.close()


@dataclass(slots=True)
class CalendarScene(CalendarWorld):
    """A world whose runs can be broken, and which can be put back to an earlier moment."""

    breaks: Faults = field(default_factory=Faults)

    def http(self, address: str) -> Http:
        """Somebody's connection to Google, which may break."""
        return BreakingHttp(CalendarWorld.http(self, address), self.breaks)

    def broken_run(self, who: str, at: int = 0, kind: str = "") -> RunReport | None:
        """A run that breaks at a boundary; None when it had no end of its own. Afterwards a new process may start."""
        self.breaks.start(at, kind)
        try:
            return self.run(who)
        except (Crash, Transient):
            return None
        finally:
            self.breaks.counting = False
            if self.breaks.fired:
                self.clock.advance(seconds=self.app.settings.lease_seconds + 1)

    def memory(self) -> list[Any]:
        """What the database holds, but for runs and the channel's own row."""
        return memory(self.app.db, REMEMBERED)

    def versions(self) -> list[tuple[str, str]]:
        """Every version of every event at Google, by its etag."""
        return [(one, event["etag"]) for who in self.accounts for one, event in self.everything(who).items()]

    def everything(self, who: str) -> dict[str, dict[str, Any]]:
        """A person's events, deleted ones too."""
        return self.book(who).events(deleted=True)

    def freeze(self) -> Frozen:
        """The present moment."""
        people = dict(self.accounts), dict(self.addresses), dict(self.people)
        return Frozen(self._database.dump(), freeze_google(self.google), people, self.clock.now)

    def thaw(self, frozen: Frozen) -> None:
        """Go back to a moment."""
        self._database.load(frozen.database)
        thaw_google(self.google, frozen.google)
        self.accounts, self.addresses, self.people = (dict(one) for one in frozen.people)
        self.clock.now = frozen.now
        self.reports.clear()

    @property
    def _database(self) -> MemoryDatabase:
        assert isinstance(self.app.db, MemoryDatabase)
        return self.app.db


@dataclass(frozen=True, slots=True)
class Frozen:
    """A moment of a scene."""

    database: bytes = field(repr=False)
    google: Any = field(repr=False)
    people: tuple[dict[str, Any], ...]
    now: datetime


def freeze_google(api: CalendarApi) -> Any:
    """What Google holds of calendars. Nothing may be about to happen there."""
    world = api._world
    assert not world._coming
    lists = world.lists._entries, world.lists._feeds, world.lists._number
    pages = api._pages._count, api._pages._issued, api._pages._expired
    return copy.deepcopy((world.agendas, world._number, world.rng.getstate(), lists, pages))


def thaw_google(api: CalendarApi, frozen: Any) -> None:
    """Become what it was."""
    world = api._world
    world.agendas, world._number, random, lists, pages = copy.deepcopy(frozen)
    world.rng.setstate(random)
    world.lists._entries, world.lists._feeds, world.lists._number = lists
    api._pages._count, api._pages._issued, api._pages._expired = pages
    world._coming.clear()


@contextmanager
def calendar_scene(folder: Path, *users: str) -> Iterator[CalendarScene]:
    """A scene in which these users have linked empty calendars; migrated once, then in memory."""
    clock, breaks = TestClock(), Faults()
    made = make_app(folder, clock=clock)
    made.close()
    scene = CalendarScene(in_memory(made, breaks), clock, breaks=breaks)
    try:
        for address in users:
            scene.link(address)
        yield scene
        scene.check()
    finally:
        scene.app.close()
