"""Finds what is due in the database and wakes a worker for it. Any number of schedulers may run.
The rows are the schedule; a lost wake-up costs one claim period, a doubled one finds the lease taken."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import or_, select, update

from core.errors import TwinboxError
from core.types import Channel
from models.accounts import AccountRow
from models.db import affected
from models.syncing import ChannelRow
from sync.account_rows import channel_of
from sync.app import App
from sync.jobs import Wake
from sync.lease import check_account
from sync.removal import remove, unfinished_removals

BATCH = 200
log = structlog.get_logger()


def tick(app: App, wake: Wake) -> int:
    """Wake a worker for every channel that is due; returns how many."""
    now = app.clock()
    due = (
        select(ChannelRow.account_id, ChannelRow.channel, ChannelRow.next_run_at)
        .join(AccountRow, AccountRow.id == ChannelRow.account_id)
        .where(ChannelRow.next_run_at <= now, ChannelRow.granted.is_(True), AccountRow.state == "linked")
        .where(or_(ChannelRow.lease_until.is_(None), ChannelRow.lease_until <= now))
        .order_by(ChannelRow.next_run_at)
        .limit(BATCH)
    )
    with app.db.reading() as session:
        rows = session.execute(due).all()
    woken = 0
    for account_id, channel, seen in rows:
        # Compare and set: of several schedulers one moves the time on, and that one wakes.
        claim = (
            update(ChannelRow)
            .where(ChannelRow.account_id == account_id, ChannelRow.channel == channel)
            .where(ChannelRow.next_run_at == seen)
            .values(next_run_at=now + timedelta(seconds=2 * app.settings.lease_seconds))
        )
        with app.db.transaction() as session:
            claimed = affected(session.execute(claim)) == 1
        if claimed:
            wake(account_id, Channel(channel))
            woken += 1
    return woken


def request_now(app: App, account_id: str, channel: Channel, wake: Wake) -> None:
    """Make a channel due now, whether it runs by itself or not, and wake a worker.

    Raises NotFound, and NeedsRelink or Conflict when the state of the account does not allow a run.
    """
    with app.db.transaction() as session:
        row = channel_of(session, account_id, channel)
        check_account(session, row)
        row.next_run_at = app.clock()
    wake(account_id, channel)


def finish_removals(app: App) -> None:
    """Go on with removals that a crash interrupted."""
    for workspace, account_id in unfinished_removals(app):
        try:
            remove(app, workspace, account_id)
        except TwinboxError as error:
            log.warning("a removal is not finished yet", account=account_id, reason=str(error))
