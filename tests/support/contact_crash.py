"""Breaks a run of contacts at any boundary (a call of the provider, a commit) in any way, on a database in memory that
is put back to an earlier state in no time. What happens around the runs is the tests' choice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from core.contact import canonical
from core.errors import Transient
from models.columns import Base
from models.db import Database
from sync.app import App
from sync.run import RunReport
from tests.support.app_factory import TestClock, make_app, make_user
from tests.support.contact_world import ContactWorld, make_contacts_account
from tests.support.memory_replica import Book, MemoryReplica

KINDS = ("fail before", "fail after", "crash before", "crash after", "stale read")
READS = ("list", "get")
REMEMBERED = {"contacts", "contact_tags", "links", "sent", "set_aside", "decisions", "remote_keys", "history"}
LAG = timedelta(minutes=10)


class Crash(BaseException):
    """The process is dead from here on; nothing of ours may catch this."""


@dataclass(slots=True)
class Faults:
    """Counts the boundaries of a run and breaks the one called `at` (from 1; 0: none) in the way `kind` says.

    `fail` means the call raises Transient, before it took effect or after (the answer is lost); `crash` that the
    process dies there. `stale read` lets the provider show a state of some minutes ago. `counting`: a run is on.
    """

    at: int = 0
    kind: str = ""
    counting: bool = False
    dead: bool = False
    names: list[str] = field(default_factory=list)
    fired: bool = False

    def start(self, at: int = 0, kind: str = "") -> None:
        """A new run begins."""
        self.at, self.kind, self.counting, self.dead, self.fired = at, kind, True, False, False
        self.names.clear()

    def alive(self) -> None:
        """A dead process does nothing more."""
        if self.counting and self.dead:
            raise Crash

    def enter(self, name: str) -> bool:
        """Just before a boundary takes effect; True if it is the one that breaks."""
        self.alive()
        if not self.counting:
            return False
        self.names.append(name)
        if len(self.names) != self.at:
            return False
        self.fired = self.kind != "stale read" or name in READS
        self._break("before", name)
        return True

    def leave(self, due: bool, name: str) -> None:
        """Just after it took effect."""
        if due:
            self._break("after", name)

    def _break(self, when: str, name: str) -> None:
        if self.kind == f"crash {when}":
            self.dead = True
            raise Crash
        if self.kind == f"fail {when}":
            raise Transient(f"{name} failed {when} it took effect")


class MemoryDatabase(Database):
    """A SQLite database in memory whose commits are boundaries. `load` puts it back to what `dump` gave."""

    def __init__(self, faults: Faults) -> None:
        super().__init__("sqlite://")
        self.faults = faults
        event.listen(self.engine, "connect", _no_sync)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self.faults.alive()
        with super().reading() as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        self.faults.alive()
        with super().transaction() as session:
            yield session
            due = self.faults.enter("commit")
        self.faults.leave(due, "commit")

    def dump(self) -> bytes:
        """The whole database."""
        with self._raw() as raw:
            return raw.serialize()

    def load(self, data: bytes) -> None:
        """Become what it was."""
        with self._raw() as raw:
            raw.deserialize(data)

    @contextmanager
    def _raw(self) -> Iterator[sqlite3.Connection]:
        with self.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            yield raw


def _no_sync(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


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
        tables = [table for table in Base.metadata.sorted_tables if table.name in REMEMBERED]
        with self.app.db.reading() as session:
            return [sorted(map(tuple, session.execute(select(table))), key=repr) for table in tables]

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
    app = _in_memory(made, faults)
    app = replace(app, open_contacts=lambda _app, _account, scope: MemoryReplica(book, scope))
    try:
        scene = Scene(app, clock, who, account, book, faults=faults)
        assert scene.tag
        yield scene
    finally:
        app.close()


def _in_memory(app: App, faults: Faults) -> App:
    path = app.settings.database.removeprefix("sqlite:///")
    with sqlite3.connect(path) as source:
        source.execute("PRAGMA journal_mode=DELETE")  # a database in memory cannot be in WAL mode
        data = source.serialize()
    source.close()
    database = MemoryDatabase(faults)
    database.load(data)
    return replace(app, db=database)
