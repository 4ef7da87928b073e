"""A linked account with its database, run by run: what a mail run stored, told in a form that can be compared with
the server. The servers are `mail_servers`; which actions happen between the runs is the tests' choice."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session

from core.mail_settings import MailSettings
from core.types import Channel
from models.accounts import AccountRow
from models.columns import Base
from models.content import LocationRow, MessageRow
from models.db import Database
from models.syncing import ChannelRow, MailboxRow, RunRow
from sync.app import App, build_app
from sync.mail_run import MailRun
from sync.parser_pool import ParserPool
from sync.parser_process import InProcessParser, Parser
from sync.run import RunReport, Watch, run_sync
from tests.support.app_factory import TestClock, make_app, make_password_account, make_settings, make_user
from tests.support.mail_servers import Contents, MailServer, marker

Where = dict[str, dict[int, tuple[str, frozenset[str], frozenset[str] | None]]]


class InProcessPool:
    """Lends parsers that work in this process: a process for each example would cost more than the example."""

    @contextmanager
    def borrow(self) -> Iterator[Parser]:
        """A parser for one run."""
        yield InProcessParser()

    def warm(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing is kept."""


class Crash(BaseException):
    """The process is dead from here on; nothing of ours may catch this."""


class CrashingDatabase(Database):
    """A database whose process dies at a chosen commit: just before it, so that nothing of it is kept, or just after.

    `crash_at` counts from 1; after the crash every use is refused, as a dead process would not come back to it.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.commits = 0
        self.crash_at = 0
        self.keeps = False
        self.dead = False
        if url.startswith("sqlite"):
            # The machine does not crash here, only the process: no need to wait for the disk.
            event.listen(self.engine, "connect", _no_fsync)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self._alive()
        with super().reading() as session:
            yield session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        self._alive()
        due = self.commits + 1 == self.crash_at
        with super().transaction() as session:
            yield session
            self.commits += 1
            if due and not self.keeps:
                self._die()
        if due:
            self._die()

    def _alive(self) -> None:
        if self.dead:
            raise Crash

    def _die(self) -> None:
        self.dead = True
        raise Crash


def _no_fsync(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def wanted(contents: Contents) -> Where:
    """The contents of a server in the form of `Linked.placed`."""
    return {
        name: {uid: (marker(one.raw), one.flags, one.labels) for uid, one in shown.items()}
        for name, shown in contents.items()
    }


@dataclass
class Linked:
    """An account linked to a server, on a database that outlives crashes."""

    app: App
    account_id: str
    clock: TestClock
    server: MailServer
    reports: list[RunReport] = field(default_factory=list)

    def run(self, watch: Watch | None = None) -> RunReport:
        """One run of the mail channel now."""
        report = run_sync(self.app, self.account_id, Channel.MAIL, watch=watch or _unwatched)
        self.reports.append(report)
        return report

    def run_clean(self) -> RunReport:
        """One run that must end well."""
        report = self.run()
        assert report.outcome == "ok", (report.outcome, report.error, report.problems)
        return report

    def settings(self, settings: MailSettings) -> None:
        """Change the settings of the mail channel."""
        with self.app.db.transaction() as session:
            session.execute(update(ChannelRow).values(settings=settings.to_json()))

    def placed(self) -> Where:
        """What the store says lies where: folder -> UID -> (Message-ID, flags, labels)."""
        query = (
            select(MailboxRow.name, LocationRow, MessageRow.message_id)
            .join(LocationRow, LocationRow.mailbox_id == MailboxRow.id)
            .join(MessageRow, MessageRow.id == LocationRow.message_id)
            .where(MailboxRow.account_id == self.account_id)
        )
        with self.app.db.reading() as session:
            names = session.scalars(select(MailboxRow.name).where(MailboxRow.account_id == self.account_id))
            found: Where = {name: {} for name in names}
            for name, row, message_id in session.execute(query):
                labels = None if row.labels is None else frozenset(row.labels)
                found[name][row.uid] = (message_id, frozenset(row.flags), labels)
        return found

    def messages(self) -> dict[str, MessageRow]:
        """Every stored message by Message-ID; fails when one is stored twice."""
        with self.app.db.reading() as session:
            rows = session.scalars(select(MessageRow).where(MessageRow.account_id == self.account_id)).all()
        found = {row.message_id: row for row in rows}
        assert len(found) == len(rows), "a message is stored twice"
        return found

    def message(self, message_id: str) -> MessageRow:
        """One stored message."""
        return self.messages()[message_id]

    def state(self) -> str:
        """The state of the account."""
        with self.app.db.reading() as session:
            return session.get_one(AccountRow, self.account_id).state

    def channel(self) -> ChannelRow:
        """The row of the mail channel."""
        with self.app.db.reading() as session:
            return session.get_one(ChannelRow, (self.account_id, "mail"))

    def last_run(self) -> RunRow:
        """The newest run record."""
        with self.app.db.reading() as session:
            return session.get_one(RunRow, self.channel().run_id or "")

    def tables(self) -> Mapping[str, list[tuple[Any, ...]]]:
        """The content of every table that a run without changes must leave alone."""
        with self.app.db.reading() as session:
            return {
                table.name: sorted(map(tuple, session.execute(select(table))), key=repr)
                for table in Base.metadata.sorted_tables
                if table.name not in ("runs", "channels")
            }

    def rows(self, table: type[Base]) -> int:
        """How many rows a table has."""
        with self.app.db.reading() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def same_as_server(self) -> None:
        """Fail unless the store shows exactly what the server shows, and knows what is gone."""
        truth = wanted(self.server.contents())
        mine = self.placed()
        assert {name: mine.get(name) for name in truth} == truth
        assert mine.keys() == truth.keys()
        there = {entry[0] for shown in truth.values() for entry in shown.values()}
        for message_id, row in self.messages().items():
            assert (row.unplaced_at is None) == (message_id in there), message_id

    def settle(self) -> None:
        """After three undisturbed runs, a day later, the store equals the server and one more changes nothing."""
        self.clock.advance(hours=25)  # what was set aside is due, and so is the daily sweep
        self.run()
        self.run_clean()
        self.run_clean()
        self.same_as_server()
        before = self.tables()
        self.run_clean()
        assert self.tables() == before, "a run without changes wrote something"

    @property
    def database(self) -> CrashingDatabase:
        """The database, if it is one that can crash."""
        assert isinstance(self.app.db, CrashingDatabase)
        return self.app.db

    def reboot(self) -> None:
        """Start again on the same database, as a new process would, after the lease of the dead one has run out."""
        self.app.db.close()
        self.app = replace(self.app, db=new_database(self.app))
        self.clock.advance(seconds=self.app.settings.lease_seconds + 1)

    def close(self) -> None:
        """Close the database and the parsers."""
        self.app.close()


def _unwatched(_run: MailRun) -> None:
    return


def new_database(app: App) -> CrashingDatabase:
    """A database that can crash, on the app's data."""
    return CrashingDatabase(app.settings.database)


@dataclass(frozen=True, slots=True)
class Template:
    """A migrated, empty SQLite database, copied for each account: migrating anew costs more than most examples."""

    folder: Path
    number: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def make(cls, folder: Path) -> Template:
        """Migrate once."""
        make_app(folder / "template").close()
        return cls(folder)

    def link(self, server: MailServer, **options: Any) -> Linked:
        """An account on a fresh copy, with the parser in this process."""
        place = self.folder / f"copy{next(self.number)}"
        shutil.copytree(self.folder / "template", place)
        clock = TestClock()
        app = build_app(make_settings(place, **options), clock=clock)
        app.db.close()
        app = replace(app, db=new_database(app), parsers=cast("ParserPool", InProcessPool()))
        return link(app, server, clock)

    def drop(self, linked: Linked) -> None:
        """Close an account and remove its copy."""
        linked.close()
        shutil.rmtree(linked.app.settings.data_dir.parent)


def link(app: App, server: MailServer, clock: TestClock) -> Linked:
    """Link an account of an app to a server."""
    account = make_password_account(
        app, make_user(app), imap=server.endpoint, address=server.address, password=server.password
    )
    return Linked(app, account, clock, server)
