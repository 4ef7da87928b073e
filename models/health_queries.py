"""How an installation is doing as a whole: numbers over all workspaces, without a name, an id or a text of anybody.
For metrics and `twinbox doctor`; what a person may see of one workspace is `models.queries`."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from core.types import Channel
from models.accounts import AccountRow
from models.syncing import ChannelRow

ACCOUNT_STATES = ("linked", "needs_relink", "paused", "removing")
CHANNEL_STATES = ("ok", "failing", "misconfigured", "held", "not_granted")
# A channel is stale after so many periods without success. Short periods get a floor: a slice alone takes a minute.
_STALE_PERIODS = 3
_STALE_FLOOR = timedelta(minutes=15)


def account_states(session: Session) -> dict[str, int]:
    """How many accounts there are in each state; those removed are no longer accounts."""
    rows = session.execute(
        select(AccountRow.state, func.count()).where(AccountRow.state != "removed").group_by(AccountRow.state)
    )
    return dict.fromkeys(ACCOUNT_STATES, 0) | dict(rows.all())


def channel_states(session: Session) -> dict[tuple[str, str], int]:
    """How many channels of linked accounts there are, by channel and state."""
    state = case(
        (ChannelRow.granted.is_(False), "not_granted"),
        (ChannelRow.held.is_not(None), "held"),
        (ChannelRow.last_outcome == "misconfigured", "misconfigured"),
        (ChannelRow.failures > 0, "failing"),
        else_="ok",
    )
    rows = session.execute(
        select(ChannelRow.channel, state, func.count())
        .join(AccountRow, AccountRow.id == ChannelRow.account_id)
        .where(AccountRow.state == "linked")
        .group_by(ChannelRow.channel, state)
    )
    counted = {(channel, name): number for channel, name, number in rows}
    return {
        (channel.value, name): counted.get((channel.value, name), 0) for channel in Channel for name in CHANNEL_STATES
    }


def running_channels(session: Session, now: datetime) -> dict[str, int]:
    """How many leases are held, by channel."""
    rows = session.execute(
        select(ChannelRow.channel, func.count()).where(ChannelRow.lease_until > now).group_by(ChannelRow.channel)
    )
    return {channel.value: 0 for channel in Channel} | dict(rows.all())


def due(session: Session, now: datetime) -> tuple[int, float]:
    """How many channels a scheduler should have woken, and the seconds that the first of them waits."""
    number, oldest = session.execute(
        select(func.count(), func.min(ChannelRow.next_run_at))
        .join(AccountRow, AccountRow.id == ChannelRow.account_id)
        .where(ChannelRow.next_run_at <= now, ChannelRow.granted.is_(True), AccountRow.state == "linked")
        .where(or_(ChannelRow.lease_until.is_(None), ChannelRow.lease_until <= now))
    ).one()
    return number, (now - oldest).total_seconds() if oldest is not None else 0.0


def stale_channels(session: Session, now: datetime) -> dict[str, int]:
    """How many channels, by channel, should run by themselves and had no success for a long time.

    A channel that a person must unlock (held, not granted, account parked) is not counted: it waits for them.
    """
    rows = session.execute(
        select(ChannelRow.channel, ChannelRow.period_s, ChannelRow.last_success_at, AccountRow.linked_at)
        .join(AccountRow, AccountRow.id == ChannelRow.account_id)
        .where(AccountRow.state == "linked", ChannelRow.granted.is_(True), ChannelRow.auto.is_(True))
        .where(
            ChannelRow.held.is_(None),
            or_(ChannelRow.last_success_at.is_(None), ChannelRow.last_success_at < now - _STALE_FLOOR),
        )
    )
    late = Counter(
        channel
        for channel, period, success, linked in rows
        if now - (success or linked) > max(_STALE_PERIODS * timedelta(seconds=period), _STALE_FLOOR)
    )
    return {channel.value: late[channel.value] for channel in Channel}


def ending_grants(session: Session, before: datetime) -> int:
    """How many linked accounts have a permission that the provider ends by then."""
    query = select(func.count()).where(AccountRow.state == "linked", AccountRow.grant_ends_at < before)
    return session.scalar(query) or 0
