"""The one place that opens database sessions: engine, `reading()`, `transaction()`, SQLite pragmas."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, CursorResult, Engine, Result, Table, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from core.errors import Misconfigured, Transient, TwinboxError
from models.columns import Base

BUSY_SECONDS = 15
BATCH = 500
T = TypeVar("T")


class Database:
    """An engine and its sessions. `in_transaction` tells adapters' guards that a session is open in this thread."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.engine = _engine(url, pool_size)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._open = threading.local()

    @property
    def in_transaction(self) -> bool:
        """Whether this thread holds an open session: no network call may be made meanwhile."""
        return bool(getattr(self._open, "depth", 0))

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for queries; nothing done in it is kept."""
        with self._tracked() as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end of the block, or rolls all of it back when the block raises.

        Raises Transient when the database is locked or gone, Misconfigured when the disk is full or read-only.
        """
        with self._tracked() as session:
            # SQLite: take the write lock at once; a later upgrade from reading fails without waiting.
            session.connection(execution_options={"immediate": True})
            yield session
            session.commit()

    @contextmanager
    def _tracked(self) -> Iterator[Session]:
        self._open.depth = getattr(self._open, "depth", 0) + 1
        try:
            with self._sessions() as session:
                yield session
        except DatabaseError as error:
            known = as_sync_error(error)
            if known is None:
                raise
            raise known from error
        finally:
            self._open.depth -= 1

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def as_sync_error(error: DatabaseError) -> TwinboxError | None:
    """The expected failure behind a driver's error, None when it is a bug of ours."""
    text = str(error.orig).lower()
    if "disk is full" in text or "no space left" in text or "disk full" in text:
        return Misconfigured("the disk that holds the database is full", advice="Free disk space; nothing was lost.")
    if "readonly database" in text or "unable to open database" in text:
        return Misconfigured(
            "the database file cannot be opened for writing",
            advice="Check TWINBOX_DATA_DIR and the permissions of that folder.",
        )
    if "not a database" in text or "malformed" in text:
        return Misconfigured(
            "the database file is damaged, or not a database",
            advice="Restore it from a backup, or point TWINBOX_DATA_DIR at another folder.",
        )
    if "no such table" in text or "no such column" in text or "undefinedtable" in text:
        return Misconfigured("the database has an older layout", advice="Run `twinbox migrate`.")
    if isinstance(error, OperationalError):
        return Transient(
            "the database is busy or not reachable", advice="Try again; check TWINBOX_DATABASE_URL if it stays."
        )
    return None


def _engine(url: str, pool_size: int) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _sqlite_pragmas)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_pragmas(connection: Any, _record: object) -> None:
    # The driver would open transactions late and commit before DDL; `_sqlite_begin` opens them itself.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        # Of a new file only. Packs are large values: with pages of 4 KB a first sync takes a tenth more processor time.
        "page_size=16384",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=FAST",
        f"busy_timeout={BUSY_SECONDS * 1000}",
        "cache_size=-16384",
        "wal_autocheckpoint=2000",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def table_of(model: type[Base]) -> Table:
    """The bare table of a model. An UPDATE of it takes half the time of one of the model, which also looks for loaded
    objects to keep in step: for statements that run with every commit, where none is loaded or used afterwards."""
    return cast("Table", model.__table__)


def affected(result: Result[Any]) -> int:
    """How many rows an UPDATE or DELETE matched."""
    return cast("CursorResult[Any]", result).rowcount


def parts(items: list[T]) -> Iterable[list[T]]:
    """A list in pieces short enough for an IN clause."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
