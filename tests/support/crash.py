"""Breaks a run at any boundary (a call of the provider, a commit) in any way, on a database in memory that is put back
to an earlier state in no time, with ids that can be the same in every run. What is run, and what shall come of it, is
the callers' choice."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from core.errors import Transient
from models.columns import Base
from models.db import Database
from sync.app import App

CRASHES = ("crash before", "crash after")
FAULTS = ("fail before", "fail after", *CRASHES)
KINDS = (*FAULTS, "stale read")
READS = ("list", "get")


class Numbers(random.Random):
    """In place of `secrets`: ids that are the same in every run. What comes first among equals may hang on them."""

    def token_hex(self, size: int) -> str:
        return self.randbytes(size).hex()

    def randbits(self, bits: int) -> int:
        return self.getrandbits(bits)


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


def in_memory(app: App, faults: Faults) -> App:
    """The same app on a copy of its database in memory, whose commits may break."""
    path = app.settings.database.removeprefix("sqlite:///")
    with sqlite3.connect(path) as source:
        source.execute("PRAGMA journal_mode=DELETE")  # a database in memory cannot be in WAL mode
        data = source.serialize()
    source.close()
    database = MemoryDatabase(faults)
    database.load(data)
    return replace(app, db=database)


def memory(database: Database, tables: set[str]) -> list[Any]:
    """What these tables hold."""
    chosen = [table for table in Base.metadata.sorted_tables if table.name in tables]
    with database.reading() as session:
        return [sorted(map(tuple, session.execute(select(table))), key=repr) for table in chosen]


# ---- all boundaries, one after the other -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Played:
    """The state a story ended in, and the boundaries the broken run came to."""

    end: dict[str, Any]
    boundaries: list[str]


Play = Callable[[int, str], Played]  # breaks at a boundary (0: at none) in a way
Kinds = Callable[[str], Sequence[str]]  # in which ways a boundary breaks
Forgive = Callable[[dict[str, Any], dict[str, Any]], None]  # takes out of an end what may differ from the undisturbed


def break_everywhere(play: Play, kinds: Kinds, *, forgive: Forgive | None = None) -> tuple[Played, int]:
    """Play undisturbed, then break at every boundary in every way: each end must be the undisturbed one. That, and how
    many broken runs there were."""
    clean, tried = play(0, ""), 0
    for at, boundary in enumerate(clean.boundaries, 1):
        for kind in kinds(boundary):
            where = f"{kind} {boundary} ({at} of {clean.boundaries})"
            try:
                end = play(at, kind).end
                if forgive is not None:
                    forgive(end, clean.end)
                assert end == clean.end, where
            except AssertionError as error:
                error.add_note(where)
                raise
            tried += 1
    return clean, tried
