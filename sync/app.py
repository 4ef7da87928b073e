"""The one assembly point: builds the parts every use case and job needs and hands them on as `App`.
Reading the environment is left to the entry points, the schema to `sync.migrate`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Protocol

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from core.contact import Contact
from core.errors import Misconfigured
from core.event import Event
from core.ports import Calendars, Clock, RemoteReplica
from core.replica import Scope
from core.settings import Settings
from models.db import Database
from providers.protocols.connect import Guard
from sync.keys import load_keys
from sync.metrics import Metrics
from sync.parser_pool import ParserPool
from sync.parser_process import ParserLimits
from sync.vault import Vault


class CalendarOpener(Protocol):
    """Opens a calendar of an account at its provider."""

    def __call__(self, app: App, account_id: str, scope: Scope, /, *, since: date | None) -> RemoteReplica[Event]: ...


def utc_now() -> datetime:
    """The wall clock, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class App:
    """What use cases and jobs need, built once per process by `build_app`.

    `stopping` is set when the process is to end: running work stops at its next step. `open_contacts` opens the
    provider's side of an account's contacts in place of `sync.sources.open_contacts`, `open_calendar` that of one of
    its calendars, `open_calendars` their list.
    """

    settings: Settings
    db: Database
    vault: Vault
    guard: Guard
    clock: Clock
    parsers: ParserPool
    metrics: Metrics = field(default_factory=Metrics)
    open_contacts: Callable[[App, str, Scope], RemoteReplica[Contact]] | None = None
    open_calendar: CalendarOpener | None = None
    open_calendars: Callable[[App, str], Calendars] | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def embedded(self) -> bool:
        """Whether the database is the SQLite file in the data folder, which this process may create and upgrade."""
        return not self.settings.database_url

    def close(self) -> None:
        """Stop the parser processes and close the database connections."""
        self.parsers.close()
        self.db.close()


def build_app(settings: Settings, *, clock: Clock = utc_now) -> App:
    """Put the parts together; makes the data folder (mode 0700) and touches no network.

    Raises Misconfigured when the folder, the key ring, the CA file or the database URL cannot be used.
    """
    make_data_dir(settings)
    vault = Vault(load_keys(settings))
    metrics = Metrics()
    guard = Guard(settings.allow_networks, settings.ca_file, heard=metrics.call)
    if settings.ca_file is not None:
        _ = guard.tls_context  # an unusable CA file should stop the start, not the first sync
    parsers = ParserPool(ParserLimits(address_space=settings.parser_memory))
    return App(settings, _database(settings), vault, guard, clock, parsers, metrics)


def make_data_dir(settings: Settings) -> None:
    """Create the data folder for its owner alone. Raises Misconfigured when that fails."""
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"cannot use the data folder {settings.data_dir}: {error.strerror}",
            advice="Set TWINBOX_DATA_DIR to a folder this account may write to.",
        ) from error


def _database(settings: Settings) -> Database:
    # The driver's own message would show the URL, which may hold a password.
    advice = "Write TWINBOX_DATABASE_URL like postgresql+psycopg://user:password@host/name."
    try:
        url = make_url(settings.database)
        backend = url.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise Misconfigured(f"databases of type {backend!r} are not supported", advice=advice)
        # `postgresql://` alone would mean a driver that is not installed.
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        pool = settings.worker_threads + 6
        return Database(url.render_as_string(hide_password=False), pool_size=pool)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise Misconfigured("TWINBOX_DATABASE_URL cannot be understood", advice=advice) from error
