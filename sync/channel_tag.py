"""Finds the tag of a contacts channel, or makes the first one. Only a personal tag of the account's owner will do."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.contact_settings import ContactSettings
from core.errors import Held, Misconfigured
from core.types import Channel
from models.accounts import AccountRow
from models.contacts import TagRow
from models.syncing import ChannelRow
from sync.app import App
from sync.ids import new_id

_CHOOSE = "Choose a personal tag of the account's owner: `twinbox settings contacts ACCOUNT --tag NAME`."


def own_tag(app: App, account: AccountRow, settings: ContactSettings, *, make: bool) -> str:
    """The id of the channel's tag. A channel that never had one takes the owner's personal tag named like the group,
    which is made if need be; "" if it must not be (`make` False).

    Raises Held when the tag was deleted: that is never read as "nobody has it any more". Raises Misconfigured when it
    is not a personal tag of the owner.
    """
    with app.db.reading() as session:
        if settings.tag:
            check_tag(session, account, settings.tag)
            return settings.tag
        found = _named(session, account, settings.group)
    if found or not make:
        return found or ""
    return _make(app, account, settings)


def check_tag(session: Session, account: AccountRow, tag_id: str) -> TagRow:
    """The tag, if it can be this account's. Raises Held when it does not exist, Misconfigured when it cannot."""
    row = session.get(TagRow, tag_id)
    if row is None or row.workspace_id != account.workspace_id:
        raise Held(
            "the tag of this channel was deleted in the CRM", kind="tag_gone", advice=f"Nobody was untagged. {_CHOOSE}"
        )
    if row.kind != "personal" or row.owner_id != account.user_id:
        raise Misconfigured(f"the tag {row.name!r} is no personal tag of the account's owner", advice=_CHOOSE)
    return row


def _named(session: Session, account: AccountRow, name: str) -> str | None:
    query = select(TagRow.id).where(
        TagRow.workspace_id == account.workspace_id,
        TagRow.kind == "personal",
        TagRow.owner_id == account.user_id,
        TagRow.name == name,
    )
    return session.scalar(query.limit(1))


def _make(app: App, account: AccountRow, settings: ContactSettings) -> str:
    tag_id = new_id()
    with app.db.transaction() as session:
        session.add(
            TagRow(
                id=tag_id,
                workspace_id=account.workspace_id,
                name=settings.group,
                kind="personal",
                owner_id=account.user_id,
                created_at=app.clock(),
            )
        )
        row = session.get_one(ChannelRow, (account.id, Channel.CONTACTS.value))
        row.settings = {**row.settings, "tag": tag_id}
    return tag_id
