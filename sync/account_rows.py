"""Writes what linking found out: a new account with its channels, or the repair of one that exists.
Getting there is left to `sync.linking` (OAuth 2.0) and `sync.accounts` (password)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Conflict, NotFound
from core.types import Channel
from models.accounts import AccountRow, UserRow
from models.syncing import ChannelRow
from sync.app import App
from sync.ids import new_id
from sync.vault import Keep, write_secret

OTHER_PERIOD = 600  # seconds between runs of contacts and calendar

LINKED, NEEDS_RELINK, PAUSED, REMOVING, REMOVED = "linked", "needs_relink", "paused", "removing", "removed"


@dataclass(frozen=True, slots=True)
class Grant:
    """What one successful link established. `channels` maps each one asked for to whether it may be used."""

    workspace_id: str
    user_id: str
    provider: str
    subject: str
    address: str
    login: str
    channels: Mapping[Channel, bool]
    scopes: Sequence[str] = ()
    client_id: str = ""
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LinkedAccount:
    """The outcome of linking. `repaired`: the account existed and goes on where it was.

    `channels` says per channel `due` or `not granted`.
    """

    id: str
    provider: str
    address: str
    state: str
    repaired: bool
    channels: Mapping[str, str]


def check_user(session: Session, workspace: str, user_id: str) -> None:
    """Raises NotFound unless this user belongs to this workspace."""
    found = session.scalar(select(UserRow.id).where(UserRow.id == user_id, UserRow.workspace_id == workspace))
    if found is None:
        raise NotFound("no such user in this workspace", advice="`twinbox user list` shows all.")


def find_linked(session: Session, user_id: str, provider: str, subject: str) -> AccountRow | None:
    """The account this user has already linked to that person at that provider, if any."""
    return session.scalar(
        select(AccountRow).where(
            AccountRow.user_id == user_id, AccountRow.provider == provider, AccountRow.subject == subject
        )
    )


def save_account(session: Session, app: App, grant: Grant, secrets: Sequence[Keep]) -> LinkedAccount:
    """Write account, secrets and channels in the caller's transaction; an existing account is repaired in place.

    The `owner` of `secrets` is filled in here. Raises NotFound when the user is not of this workspace, Conflict
    while the account is being removed.
    """
    now = app.clock()
    check_user(session, grant.workspace_id, grant.user_id)
    row = find_linked(session, grant.user_id, grant.provider, grant.subject)
    repaired = row is not None
    if row is None:
        row = AccountRow(
            id=new_id(),
            workspace_id=grant.workspace_id,
            user_id=grant.user_id,
            provider=grant.provider,
            subject=grant.subject,
            created_at=now,
        )
        session.add(row)
    elif row.state == REMOVING:
        raise Conflict(
            "this account is being removed", advice=f"Finish that first: `twinbox account remove {row.id} --yes`."
        )
    row.address, row.login, row.state, row.reason, row.advice = grant.address, grant.login, LINKED, "", ""
    row.granted_scopes, row.grant_ends_at, row.client_id = list(grant.scopes), grant.ends_at, grant.client_id
    row.linked_at = now
    session.flush()
    for keep in secrets:
        write_secret(session, app.vault, Keep(row.workspace_id, row.id, keep.kind, keep.secret, keep.expires_at), now)
    _save_channels(session, app, row, grant.channels)
    return linked_account(session, row, repaired)


def _save_channels(session: Session, app: App, account: AccountRow, granted: Mapping[Channel, bool]) -> None:
    known = {row.channel: row for row in channel_rows(session, account.id)}
    for channel, allowed in granted.items():
        row = known.get(channel.value)
        if row is None:
            row = ChannelRow(
                account_id=account.id,
                channel=channel.value,
                workspace_id=account.workspace_id,
                period_s=app.settings.mail_period if channel is Channel.MAIL else OTHER_PERIOD,
                settings={},
            )
            session.add(row)
        row.granted = allowed
        row.failures = 0
        row.next_run_at = app.clock() if allowed else None
    session.flush()


def channel_rows(session: Session, account_id: str) -> list[ChannelRow]:
    """The channels of an account, by name."""
    query = select(ChannelRow).where(ChannelRow.account_id == account_id).order_by(ChannelRow.channel)
    return list(session.scalars(query))


def channel_of(session: Session, account_id: str, channel: Channel) -> ChannelRow:
    """A channel of an account. Raises NotFound, saying what the account syncs instead."""
    row = session.get(ChannelRow, (account_id, channel.value))
    if row is not None:
        return row
    others = " and ".join(one.channel for one in channel_rows(session, account_id))
    advice = f"Link it again with --channels {channel}."
    raise NotFound(
        f"this account has no {channel} channel", advice=f"It syncs {others}. {advice}" if others else advice
    )


def linked_account(session: Session, row: AccountRow, repaired: bool) -> LinkedAccount:
    """What is told of an account after linking."""
    channels = {c.channel: "due" if c.granted else "not granted" for c in channel_rows(session, row.id)}
    return LinkedAccount(row.id, row.provider, row.address, row.state, repaired, channels)


def own_account(session: Session, workspace: str, account_id: str) -> AccountRow:
    """The account of that full id in this workspace, removed ones too. Raises NotFound."""
    row = session.scalar(select(AccountRow).where(AccountRow.workspace_id == workspace, AccountRow.id == account_id))
    if row is None:
        raise NotFound(f"no account {account_id} in this workspace", advice="`twinbox account list` shows all.")
    return row
