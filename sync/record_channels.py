"""Opens a channel of records for a run: its settings, the CRM side, the provider's side, the rules of its records.
What is done with them is `sync.records`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.contact import Contact
from core.contact_settings import ContactSettings
from core.errors import NotFound
from core.replica import Scope
from core.types import Channel
from models.accounts import AccountRow
from models.syncing import ChannelRow
from sync.app import App
from sync.channel_tag import own_tag
from sync.lease import Lease
from sync.local import LocalContacts
from sync.phones import contact_rules
from sync.record_run import RecordRun, Watch
from sync.sources import open_contacts

_GROUP_GONE = (
    "Nobody was untagged. `twinbox settings contacts ACCOUNT --group NAME` makes it again and refills it, or takes "
    "another one; `--no-auto` stops the sync."
)


def unwatched(_run: object) -> None:
    """Nobody watches this run."""


@contextmanager
def opened_contacts(
    app: App, account_id: str, *, lease: Lease | None = None, watch: Watch = unwatched
) -> Iterator[RecordRun[Contact]]:
    """A run of an account's contacts, with the provider's side open. Without a lease it can only plan.

    Raises NotFound, Misconfigured, NeedsRelink, Refused, Transient, and Held when the channel's tag is gone.
    """
    account, row = _channel(app, account_id, Channel.CONTACTS)
    settings = ContactSettings.read(row.settings)
    tag = own_tag(app, account, settings, make=lease is not None)
    policy = contact_rules(app.settings.phone_region)

    def local(session: Session) -> LocalContacts:
        return LocalContacts(session, account.workspace_id, tag, policy, app.clock())

    def keep_scope(session: Session, scope: Scope) -> None:
        chosen = ContactSettings(tag, scope.name, scope.id)
        session.execute(
            update(ChannelRow)
            .where(ChannelRow.account_id == account_id, ChannelRow.channel == Channel.CONTACTS.value)
            .values(settings=chosen.to_json())
        )

    scope = Scope(settings.group_id, settings.group)
    replica = (app.open_contacts or open_contacts)(app, account_id, scope)
    try:
        yield RecordRun(
            app,
            account_id,
            account.workspace_id,
            replica,
            policy,
            local,
            Channel.CONTACTS.value,
            scope,
            keep_scope,
            _GROUP_GONE,
            row.cursor,
            _approved(row),
            lease,
            watch,
        )
    finally:
        replica.close()


def _channel(app: App, account_id: str, channel: Channel) -> tuple[AccountRow, ChannelRow]:
    with app.db.reading() as session:
        account = session.get(AccountRow, account_id)
        row = session.get(ChannelRow, (account_id, channel.value))
    if account is None or row is None:
        raise NotFound(f"this account has no {channel} channel", advice=f"Link it again with --channels {channel}.")
    return account, row


def _approved(row: ChannelRow) -> frozenset[str]:
    """The actions a person has confirmed."""
    held = row.held or {}
    return frozenset(held.get("keys", ()) if held.get("approved") else ())
