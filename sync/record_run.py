"""What one run of contacts or calendar carries along: both sides, the lease, counts, what has to wait.
Every write goes through `RecordRun.step`, which renews the lease and saves progress in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.errors import LeaseLost, Throttled
from core.plan import everything
from core.policy import Policy
from core.ports import RemoteReplica, Replica
from core.replica import Delta, Item, Scope, Side
from models.syncing import RunRow
from sync.app import App
from sync.lease import Lease
from sync.link_rows import Aside, LinkStore

# What we wrote may take so long to show in the provider's lists (People API: "several minutes").
SETTLE = timedelta(minutes=10)


T = TypeVar("T")


class LocalSide(Replica[T], Protocol[T]):
    """The CRM side of a channel as one account sees it, in one database session; the caller commits."""

    def touched(self, account_id: str, channel: str) -> set[str]:
        """Local ids of linked records that changed against their link: text, membership, deletion."""

    def new(self, account_id: str, channel: str) -> dict[str, Item[T]]:
        """Records that take part and have no link yet."""

    def find(self, keys: Iterable[str]) -> set[str]:
        """Ids of records that have one of these match keys."""

    def adjust(self, remote: Delta[T]) -> Delta[T]:
        """What the provider reported, as far as this account has a say in it."""

    def unclaimed(self, remote: Delta[T]) -> set[str]:
        """Local ids of reported records that another account decides about, but should be this one's."""

    def claim(self, remote: Delta[T]) -> None:
        """From now on this account decides about those of the reported records that are `unclaimed`."""

    def renamed(self, remote: Delta[T]) -> Mapping[str, str]:
        """Names the provider gave to what we made there without hearing of it, by the names they have here."""

    def rename(self, names: Mapping[str, str]) -> None:
        """Use these names from now on."""

    def shown_as(self, remote_ids: Collection[str]) -> set[str]:
        """Match keys of what these linked remote records are, where another place may show the same."""

    def taken(self, ids: Collection[str]) -> None:
        """Note that these records are about to be made at this account's provider."""


class Progress(Protocol):
    """What whoever watches a run is shown of it."""

    phase: str
    done: int
    total: int
    counts: Counter[str]


Watch = Callable[[Progress], None]


@dataclass(slots=True)
class RecordRun(Generic[T]):
    """One run in progress, or, without a lease, a plan being made (which writes nothing).

    `local` gives the CRM side in a session. `scope` is the group or calendar as the settings have it, `keep_scope`
    writes it down, `scope_advice` is what to do when it is gone. `asides` is what has to be read again or set aside,
    `handled` the records that need not be any more. `covers` is as in `core.plan.Facts`. `paused`: the provider takes
    no writes for now.
    """

    app: App
    account_id: str
    workspace_id: str
    replica: RemoteReplica[T]
    policy: Policy[T]
    local: Callable[[Session], LocalSide[T]]
    channel: str
    scope: Scope
    keep_scope: Callable[[Session, Scope], None]
    scope_advice: str
    cursor: str = ""
    approved: frozenset[str] = frozenset()
    lease: Lease | None = None
    watch: Watch = field(default=lambda _: None)
    covers: Callable[[str], bool] = everything
    counts: Counter[str] = field(default_factory=Counter)
    asides: list[Aside] = field(default_factory=list)
    handled: set[tuple[Side, str]] = field(default_factory=set)
    paused: Throttled | None = None
    phase: str = ""
    done: int = 0
    total: int = 0

    @property
    def store(self) -> LinkStore[T]:
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
