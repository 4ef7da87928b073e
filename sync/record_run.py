"""What one run of contacts carries along: both sides, the lease, counts, what has to wait.
Every write goes through `RecordRun.step`, which renews the lease and saves progress in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.contact import Contact
from core.contact_settings import ContactSettings
from core.errors import LeaseLost
from core.policy import Policy
from core.ports import RemoteReplica
from core.replica import Side
from models.syncing import RunRow
from sync.app import App
from sync.lease import Lease
from sync.link_rows import Aside, LinkStore
from sync.local import LocalContacts

# What we wrote may take so long to show in the provider's lists (People API: "several minutes").
SETTLE = timedelta(minutes=10)


class Progress(Protocol):
    """What whoever watches a run is shown of it."""

    phase: str
    done: int
    total: int
    counts: Counter[str]


Watch = Callable[[Progress], None]


@dataclass(slots=True)
class RecordRun:
    """One run in progress, or, without a lease, a plan being made (which writes nothing).

    `asides` is what has to be read again or set aside, `handled` the records that need not be any more.
    """

    app: App
    account_id: str
    workspace_id: str
    replica: RemoteReplica[Contact]
    policy: Policy[Contact]
    settings: ContactSettings
    cursor: str = ""
    approved: frozenset[str] = frozenset()
    lease: Lease | None = None
    watch: Watch = field(default=lambda _: None)
    channel: str = "contacts"
    counts: Counter[str] = field(default_factory=Counter)
    asides: list[Aside] = field(default_factory=list)
    handled: set[tuple[Side, str]] = field(default_factory=set)
    phase: str = ""
    done: int = 0
    total: int = 0

    @property
    def store(self) -> LinkStore[Contact]:
        """The memory of this account's channel."""
        return LinkStore(self.account_id, self.channel, self.policy)

    @property
    def run_id(self) -> str:
        """The id of the run record; "" for a plan."""
        return self.lease.run_id if self.lease else ""

    @property
    def now(self) -> datetime:
        return self.app.clock()

    @property
    def settled_at(self) -> datetime:
        """What the provider lists may be as old as this."""
        return self.app.clock() - SETTLE

    def local(self, session: Session) -> LocalContacts:
        """The CRM side in a session."""
        return LocalContacts(session, self.workspace_id, self.settings.tag, self.policy, self.now)

    @contextmanager
    def step(self) -> Iterator[Session]:
        """A transaction of this run: lease renewed, progress saved, all or nothing. Raises LeaseLost."""
        if self.lease is None:
            raise LeaseLost("a plan writes nothing")
        with self.app.db.transaction() as session:
            self.lease.renew(session)
            yield session
            session.execute(
                update(RunRow)
                .where(RunRow.id == self.lease.run_id)
                .values(phase=self.phase, done=self.done, total=self.total, counts=told(self.counts))
            )
        self.watch(self)


def told(counts: Counter[str]) -> dict[str, int]:
    """The counts that are not zero."""
    return {reason: count for reason, count in counts.items() if count}
