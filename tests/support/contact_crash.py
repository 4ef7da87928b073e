"""A run of contacts that breaks at any boundary, between a database and a book in memory. Breaking is `crash`, what
happens around the runs is the tests' choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from core.contact import canonical
from core.errors import Transient
from sync.run import RunReport
from tests.support.app_factory import TestClock, make_app, make_user
from tests.support.contact_world import ContactWorld, make_contacts_account
from tests.support.crash import READS, Crash, Faults, MemoryDatabase, in_memory, memory
from tests.support.memory_replica import Book, MemoryReplica

REMEMBERED = {"contacts", "contact_tags", "links", "sent", "set_aside", "decisions", "remote_keys", "history"}
LAG = timedelta(minutes=10)


@dataclass(slots=True)
class Scene(ContactWorld):
    """A world whose runs can be broken, and which can be put back to an earlier moment."""

    faults: Faults = field(default_factory=Faults)

    @property
    def database(self) -> MemoryDatabase:
        assert isinstance(self.app.db, MemoryDatabase)
        return self.app.db

    def broken_run(self, at: int = 0, kind: str = "") -> RunReport | None:
        """A run that breaks at a boundary; None when it had no end of its own. Afterwards a new process may start."""
        book, lags = self.book, (self.book.lag, self.book.get_lag)
        due = False
        usual = book.hook

        def hook(name: str, when: str) -> None:
            nonlocal due
            if when == "before":
                due = self.faults.enter(name)
                if due and self.faults.kind == "stale read" and name in READS:
                    book.lag, book.get_lag = LAG, None
            else:
                self.faults.leave(due, name)
                book.lag, book.get_lag = lags
            usual(name, when)

        book.hook = hook
        self.faults.start(at, kind)
        try:
            return self.run()
        except (Crash, Transient):
            return None
        finally:
            self.faults.counting = False
            book.hook, book.lag, book.get_lag = usual, *lags
            if self.faults.fired and self.faults.kind != "stale read":
                self.clock.advance(seconds=self.app.settings.lease_seconds + 1)

    def memory(self) -> list[Any]:
        """What the database holds, but for runs and the channel's own row."""
        return memory(self.app.db, REMEMBERED)

    def freeze(self) -> Frozen:
        """The present moment."""
        return Frozen(self.database.dump(), self.book.freeze(), self.clock.now)

    def thaw(self, frozen: Frozen) -> None:
        """Go back to a moment, with a well provider."""
        self.database.load(frozen.database)
        self.book.thaw(frozen.book)
        self.book.lag, self.book.get_lag = timedelta(0), None
        self.book.refuse, self.book.normal, self.book.batch = _nobody, canonical, 200
        self.clock.now = frozen.now
        self.reports.clear()


def _nobody(_body: object) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Frozen:
    """A moment of a scene."""

    database: bytes = field(repr=False)
    book: tuple[Any, ...] = field(repr=False)
    now: datetime


@contextmanager
def contact_scene(folder: Path, **options: Any) -> Iterator[Scene]:
    """A scene with one account, its tag, and an empty book; migrated once, then in memory."""
    clock = TestClock()
    faults = Faults()
    book = Book(clock)
    made = make_app(folder, clock=clock, **options)
    who = make_user(made)
    account = make_contacts_account(made, who)
    made.close()
    app = in_memory(made, faults)
    app = replace(app, open_contacts=lambda _app, _account, scope: MemoryReplica(book, scope))
    try:
        scene = Scene(app, clock, who, account, book, faults=faults)
        assert scene.tag
        yield scene
    finally:
        app.close()
