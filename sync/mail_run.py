"""What one mail run carries along: the connection, the parser, the lease, counts and budgets.
Every write of a run goes through `MailRun.step`, which renews the lease and saves progress in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.errors import Throttled
from core.mail_settings import MailSettings
from core.mailbox import MailboxState
from core.ports import MailSource
from core.types import Mailbox
from models.db import table_of
from models.syncing import ChannelRow, RunRow
from sync.app import App
from sync.lease import Lease
from sync.parser_process import Parser

# With attachments wanted at once, this much of a message comes with its window; more is read piece by piece.
WHOLE_FIRST = 1024 * 1024


class SliceEnded(Exception):  # not a failure: the run goes back to the end of the queue
    """The time of this slice is over; what was committed stays and the next slice goes on from there."""


@dataclass(slots=True)
class Box:
    """A mailbox of the run with its row id and our cursor in it, as last committed."""

    id: int
    mailbox: Mailbox
    state: MailboxState
    counted: bool = False

    @property
    def name(self) -> str:
        return self.mailbox.name


@dataclass(slots=True)
class MailRun:
    """One run in progress. `bytes_before` is what the account had downloaded today before this run;
    `watch` is called after each commit."""

    app: App
    lease: Lease
    source: MailSource
    parser: Parser
    settings: MailSettings
    bytes_before: int
    slice_ends: datetime
    watch: Callable[[MailRun], None] = field(default=lambda _: None)
    counts: Counter[str] = field(default_factory=Counter)
    correspondents: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    phase: str = ""
    done: int = 0
    total: int = 0
    bytes_earlier: int = 0

    @property
    def choice(self) -> str:
        """The labels that are wanted, as text to compare; "" where folders are chosen as a whole."""
        chosen = self.settings.folders or self.settings.exclude
        return repr((self.settings.folders, self.settings.exclude)) if self.source.traits.gmail and chosen else ""

    @property
    def whole(self) -> bool:
        """Whether messages are downloaded with their attachments."""
        return self.app.settings.mail_attachments == "background"

    @property
    def first_bytes(self) -> int:
        """How much of each message comes with its window."""
        return WHOLE_FIRST if self.whole else self.app.settings.mail_first_bytes

    @property
    def bytes_run(self) -> int:
        """Bytes downloaded by this run, over all its connections."""
        return self.bytes_earlier + self.source.bytes_read

    def reconnect(self, source: MailSource) -> None:
        """Go on with a new connection in place of a lost one."""
        self.bytes_earlier += self.source.bytes_read
        self.source.close()
        self.source = source

    def checkpoint(self) -> None:
        """Between two steps: raises SliceEnded when time is over, Throttled when the day's bytes are used up."""
        now = self.app.clock()
        if self.bytes_before + self.bytes_run >= self.app.settings.mail_daily_bytes:
            tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
            raise Throttled(
                "the daily download budget of this account is used up",
                retry_after=(tomorrow - now).total_seconds(),
                advice="The run goes on tomorrow; TWINBOX_MAIL_DAILY_BYTES sets the budget.",
            )
        if now >= self.slice_ends or self.app.stopping.is_set():
            raise SliceEnded

    @contextmanager
    def step(self) -> Iterator[Session]:
        """A transaction of this run: lease renewed, progress saved, all or nothing. Raises LeaseLost."""
        with self.app.db.transaction() as session:
            self.lease.renew(session)
            yield session
            self.save(session)
        self.watch(self)

    def save(self, session: Session) -> None:
        """Write progress, counts and the day's bytes."""
        session.execute(
            update(table_of(RunRow))
            .where(RunRow.id == self.lease.run_id)
            .values(
                phase=self.phase,
                done=self.done,
                total=self.total,
                counts={reason: n for reason, n in self.counts.items() if n},
            )
        )
        session.execute(
            update(table_of(ChannelRow))
            .where(ChannelRow.account_id == self.lease.account_id, ChannelRow.channel == self.lease.channel.value)
            .values(bytes_day=self.app.clock().date(), bytes_used=self.bytes_before + self.bytes_run)
        )
