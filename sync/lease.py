"""One run at a time per account and channel, over all processes: a lease in the database with a fencing token.
What is done under the lease is left to `sync.run`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from core.errors import Conflict, LeaseLost, NeedsRelink, SkipRun, TwinboxError
from core.metrics import TAKEOVERS
from core.types import Channel
from models.accounts import AccountRow
from models.db import affected, table_of
from models.syncing import ChannelRow, RunRow
from sync.account_rows import channel_of
from sync.app import App
from sync.ids import new_id


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a channel. Each commit of the run goes through `renew`, so a worker that was overtaken,
    or whose account was paused or removed, stops before it writes."""

    app: App
    workspace_id: str
    account_id: str
    channel: Channel
    run_id: str
    fence: int

    def renew(self, session: Session) -> None:
        """Prove and extend the lease inside the transaction that is about to commit. Raises LeaseLost."""
        now = self.app.clock()
        kept = session.execute(
            update(table_of(ChannelRow))
            .where(*self._mine())
            .values(lease_until=now + timedelta(seconds=self.app.settings.lease_seconds))
        )
        if affected(kept) != 1:
            raise LeaseLost("another worker has taken this run over")
        state = session.scalar(select(AccountRow.state).where(AccountRow.id == self.account_id))
        if state != "linked":
            raise LeaseLost(f"the account is {state or 'gone'}")

    def release(self, session: Session, **values: object) -> bool:
        """Give the lease back, setting further columns of the channel; False if it was lost already."""
        done = session.execute(update(table_of(ChannelRow)).where(*self._mine()).values(lease_until=None, **values))
        return affected(done) == 1

    def _mine(self) -> tuple[ColumnElement[bool], ...]:
        return (
            ChannelRow.account_id == self.account_id,
            ChannelRow.channel == self.channel.value,
            ChannelRow.fence == self.fence,
        )


@contextmanager
def kept_alive(lease: Lease) -> Iterator[None]:
    """Extend the lease every now and then while a run talks to a slow provider and has nothing to commit.

    It stops when the lease was lost or the database is away: the run finds that out at its next commit.
    """
    ended = threading.Event()

    def extend() -> None:
        while not ended.wait(lease.app.settings.lease_seconds / 4):
            try:
                with lease.app.db.transaction() as session:
                    lease.renew(session)
            except TwinboxError:
                return

    thread = threading.Thread(target=extend, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def take_lease(app: App, account_id: str, channel: Channel, *, trigger: str) -> Lease:
    """Take the lease and open a run record in one transaction.

    Raises SkipRun (naming the run) when somebody holds it, NotFound when there is no such channel, NeedsRelink and
    Conflict when the account's state does not allow a run.
    """
    now = app.clock()
    run_id = new_id()
    with app.db.transaction() as session:
        row = channel_of(session, account_id, channel)
        check_account(session, row)
        if channel is not Channel.MAIL:
            _check_single_writer(session, row, now)
        until = now + timedelta(seconds=app.settings.lease_seconds)
        taken = session.execute(
            update(ChannelRow)
            .where(ChannelRow.account_id == account_id, ChannelRow.channel == channel.value)
            .where(or_(ChannelRow.lease_until.is_(None), ChannelRow.lease_until <= now))
            .values(lease_until=until, fence=ChannelRow.fence + 1, run_id=run_id)
        )
        if affected(taken) != 1:
            raise SkipRun("this channel is running already", run_id=row.run_id or "")
        _end_abandoned(app, session, account_id, channel)
        session.add(
            RunRow(
                id=run_id,
                workspace_id=row.workspace_id,
                account_id=account_id,
                channel=channel.value,
                trigger=trigger,
                outcome="running",
                counts={},
                started_at=now,
            )
        )
        session.refresh(row)
        return Lease(app, row.workspace_id, account_id, channel, run_id, row.fence)


def _check_single_writer(session: Session, channel: ChannelRow, now: datetime) -> None:
    """Several users may have linked one external account. Its address book takes changes from one at a time
    (developers.google.com/people: "mutate requests for the same user should be sent sequentially").

    Raises Conflict while the run of another one is in progress; whose, is not told.
    """
    account = session.get_one(AccountRow, channel.account_id)
    same = select(AccountRow.id).where(AccountRow.provider == account.provider, AccountRow.subject == account.subject)
    # All of them in one order: of two that begin at the same moment one waits here.
    ids = session.scalars(same.order_by(AccountRow.id).with_for_update()).all()
    busy = select(ChannelRow.account_id).where(
        ChannelRow.account_id.in_(ids),
        ChannelRow.account_id != account.id,
        ChannelRow.channel == channel.channel,
        ChannelRow.lease_until > now,
    )
    if session.scalar(busy.limit(1)) is not None:
        raise Conflict(
            "another user's sync of the same external account is in progress", advice="It is tried again in a minute."
        )


def check_account(session: Session, channel: ChannelRow) -> None:
    """Raises NeedsRelink or Conflict when the account's state does not allow this channel to run."""
    account = session.get_one(AccountRow, channel.account_id)
    if account.state == "needs_relink":
        raise NeedsRelink(account.reason or "the account must be linked again", advice=account.advice)
    if account.state != "linked":
        raise Conflict(f"the account is {account.state}", advice="`twinbox account resume` lets it sync again.")
    if not channel.granted:
        raise Conflict(
            f"{channel.channel} was not granted when the account was linked",
            advice="Link it again and tick the box for it.",
        )


def _end_abandoned(app: App, session: Session, account_id: str, channel: Channel) -> None:
    """A run that is still `running` although its lease was free belonged to a worker that died."""
    abandoned = session.execute(
        update(RunRow)
        .where(RunRow.account_id == account_id, RunRow.channel == channel.value, RunRow.outcome == "running")
        .values(outcome="failed", error="the worker stopped in the middle of the run", finished_at=app.clock())
    )
    if affected(abandoned):
        app.metrics.count(TAKEOVERS, channel.value)
