"""Brings the database to the layout of this version, one process at a time.
What changes in each step is in `migrations/versions`; drafting a step is `make migration`."""

from __future__ import annotations

import contextlib
import importlib.resources
import re
from collections.abc import Iterator

from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.exc import DatabaseError

from core.errors import Misconfigured
from models.db import Database, as_sync_error
from sync.app import App

# Any number will do as long as every version of Twinbox uses the same one.
_LOCK = 7_846_213_001
_NUMBERED = re.compile(r"(\d{4})_\w+\.py")


def head() -> str:
    """The newest revision this version knows. Revisions are numbered, so no script has to be loaded for it."""
    names = (entry.name for entry in importlib.resources.files("migrations.versions").iterdir())
    return max(found[1] for name in names if (found := _NUMBERED.fullmatch(name)))


def current(db: Database) -> str | None:
    """The revision the database is at, None when it is empty. Raises Transient when it cannot be reached."""
    with _translated(), db.engine.connect() as connection:
        return _revision(connection)


def needed(db: Database) -> bool:
    """Whether `upgrade` would change something.

    Raises Misconfigured when the database belongs to a newer version of Twinbox.
    """
    at = current(db)
    _refuse_newer(at)
    return at != head()


def upgrade(app: App, revision: str = "head") -> None:
    """Create or upgrade the tables; costs one query when nothing is to be done, and then loads no script.

    Processes that start at the same time wait for each other: a PostgreSQL advisory lock, SQLite's write lock.
    Each upgrade is one transaction on both. Raises Misconfigured when the database is newer than this program.
    """
    if revision == "head" and not needed(app.db):
        return
    with _alone(app.db) as connection:
        _refuse_newer(_revision(connection))
        _alembic(connection, "upgrade", revision)


def downgrade(app: App, revision: str = "base") -> None:
    """Go back to `revision`; "base" drops every table with all that is in it."""
    with _alone(app.db) as connection:
        _alembic(connection, "downgrade", revision)


def _alembic(connection: Connection, command: str, revision: str) -> None:
    # Imported here: most commands find the database up to date and never need it.
    import alembic.command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    getattr(alembic.command, command)(config, revision)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _refuse_newer(at: str | None) -> None:
    if at is not None and at > head():
        raise Misconfigured(
            f"the database has the layout {at}, this program knows only {head()}",
            advice="Run the newer version of Twinbox, or restore the backup made before its upgrade.",
        )


@contextlib.contextmanager
def _alone(db: Database) -> Iterator[Connection]:
    """A connection in a transaction that no other migration can enter at the same time."""
    with _translated():
        if db.engine.dialect.name == "sqlite":
            with _alone_in_sqlite(db) as connection:
                yield connection
        else:
            with db.engine.begin() as connection:
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
                yield connection


@contextlib.contextmanager
def _alone_in_sqlite(db: Database) -> Iterator[Connection]:
    # SQLite changes a table by copying it, which must not fire foreign keys; this pragma does nothing inside a
    # transaction, so it is set before (sqlite.org/lang_altertable.html, "other kinds of schema changes").
    with db.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.execution_options(immediate=True).begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken is not None:
                    raise Misconfigured(f"the upgrade would leave a dangling reference in table {broken[0]}")
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        known = as_sync_error(error)
        if known is None:
            raise
        raise known from error
