"""Brings the database to the layout of this version, one process at a time. The steps are in `migrations`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from core.errors import Misconfigured
from models.db import as_sync_error
from sync.app import App

_LOCK = 7_289_401  # any number, the same in all processes
HEAD = "head"


def upgrade(app: App, revision: str = HEAD) -> None:
    """Upgrade to a revision, by default the newest; does nothing when the database is there already.

    Raises Misconfigured when the database belongs to a newer version, is damaged or cannot be written, Transient when
    it is not reachable.
    """
    if revision == HEAD and not needed(app):
        return
    with _locked(app) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(app: App, revision: str) -> None:
    """Go back to an older revision, `base` for an empty database. Data of dropped columns is lost."""
    with _locked(app) as connection:
        command.downgrade(_config(connection), revision)


def current(app: App) -> str:
    """The revision the database is at, "" for an empty one."""
    with _connected(app) as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def needed(app: App) -> bool:
    """Whether an upgrade would do anything. Raises Misconfigured when the database is newer than this program."""
    at = current(app)
    if at and at not in known_revisions():
        raise Misconfigured(
            f"the database was upgraded by a newer version (revision {at})",
            advice="Run that version, or restore a backup made before the upgrade.",
        )
    return at != _scripts().get_current_head()


def known_revisions() -> frozenset[str]:
    """Every layout this version can come from or is at."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "migrations:")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connected(app: App) -> Iterator[Connection]:
    try:
        with app.db.engine.connect() as connection:
            yield connection
    except DatabaseError as error:
        known = as_sync_error(error)
        if known is None:
            raise
        raise known from error


@contextmanager
def _locked(app: App) -> Iterator[Connection]:
    """A connection in a transaction that no other process can migrate beside."""
    with _connected(app) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            yield connection
            connection.commit()
            return
        yield from _sqlite(connection)


def _sqlite(connection: Connection) -> Iterator[Connection]:
    """The write lock is taken first. Tables are altered by copying them, which foreign keys would refuse or, worse,
    follow; SQLite hears that switch only outside a transaction, so it goes to the driver before one begins."""
    driver = connection.connection.driver_connection
    if driver is None:
        raise Misconfigured("the database connection is closed", advice="Try again.")
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        with connection.execution_options(immediate=True).begin():
            yield connection
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise Misconfigured(
                    f"the upgrade would leave rows of {broken[0]} without what they belong to; nothing was changed",
                    advice="Please report this with the version you come from.",
                )
    finally:
        driver.execute("PRAGMA foreign_keys=ON")
