"""Forgets the pairs of an account that is removed, and erases the records that came only from it, in small
transactions that can be repeated. When and for whom is decided by `sync.removal`."""

from __future__ import annotations

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from core.contact_settings import ContactSettings
from core.types import Channel
from models.activities import ActivityRow, ParticipationRow
from models.contacts import ContactRow, ContactTagRow
from models.links import DecisionRow, HistoryRow, LinkRow, RemoteKeyRow, SentRow, SetAsideRow
from models.syncing import ChannelRow
from sync.activity_rows import erase_activities
from sync.app import App
from sync.contact_rows import erase_contacts
from sync.erasure import overwrite_freed

BATCH = 500


def forget_pairs(app: App, account_id: str) -> int:
    """Delete the pairs of an account with all that hangs on them; the records stay. The number of pairs."""
    for table in (SentRow, SetAsideRow, DecisionRow, RemoteKeyRow, ParticipationRow):
        with app.db.transaction() as session:
            overwrite_freed(session)
            session.execute(delete(table).where(table.account_id == account_id))
    forgotten = 0
    while True:
        with app.db.transaction() as session:
            overwrite_freed(session)
            ids = list(session.scalars(select(LinkRow.local_id).where(LinkRow.account_id == account_id).limit(BATCH)))
            session.execute(delete(LinkRow).where(LinkRow.account_id == account_id, LinkRow.local_id.in_(ids)))
        forgotten += len(ids)
        if len(ids) < BATCH:
            return forgotten


def erase_records(app: App, account_id: str) -> int:
    """Erase the contacts that came only from this account, and its history; the number of contacts.

    One that the CRM has given an id of its own, that another account syncs, or that somebody gave another tag, is not
    only this account's any more and stays. The pairs must be forgotten before.
    """
    erased = 0
    while True:
        with app.db.transaction() as session:
            overwrite_freed(session)
            ids = _only_from(session, account_id)
            erase_contacts(session, ids)
        erased += len(ids)
        if len(ids) < BATCH:
            break
    with app.db.transaction() as session:
        overwrite_freed(session)
        session.execute(delete(HistoryRow).where(HistoryRow.account_id == account_id))
        session.execute(
            update(ContactRow)
            .where(ContactRow.origin_account == account_id)
            .values(origin_account="")
            .execution_options(synchronize_session=False)
        )
    return erased


def erase_meetings(app: App, account_id: str) -> int:
    """Erase the activities that came only from this account; the number of them. What the CRM knows by an id of its
    own, or another account syncs, stays."""
    linked = exists().where(LinkRow.local_id == ActivityRow.id)
    mine = (ActivityRow.origin_account == account_id, ActivityRow.external_id.is_(None), ~linked)
    erased = 0
    while True:
        with app.db.transaction() as session:
            overwrite_freed(session)
            ids = list(session.scalars(select(ActivityRow.id).where(*mine).limit(BATCH)))
            erase_activities(session, ids)
        erased += len(ids)
        if len(ids) < BATCH:
            return erased


def release_meetings(app: App, account_id: str) -> None:
    """Nobody decides about the activities of this account any more: the next account that syncs them does."""
    with app.db.transaction() as session:
        session.execute(
            update(ActivityRow)
            .where(ActivityRow.main_account == account_id)
            .values(main_account="")
            .execution_options(synchronize_session=False)
        )


def _only_from(session: Session, account_id: str) -> list[str]:
    row = session.get(ChannelRow, (account_id, Channel.CONTACTS.value))
    tag = ContactSettings.read(row.settings).tag if row else ""
    linked = exists().where(LinkRow.local_id == ContactRow.id)
    tagged = exists().where(ContactTagRow.contact_id == ContactRow.id, ContactTagRow.tag_id != tag)
    query = (
        select(ContactRow.id)
        .where(ContactRow.origin_account == account_id, ContactRow.external_id.is_(None), ~linked, ~tagged)
        .limit(BATCH)
    )
    return list(session.scalars(query))
