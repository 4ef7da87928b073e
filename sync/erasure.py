"""Deletes stored mail for good, in small transactions that can be repeated.
When and for whom is decided by `sync.removal`; folders and cursors are deleted there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from models.content import (
    CorrespondentRow,
    FragmentRow,
    LocationRow,
    MessageRow,
    PackRow,
    ParticipantRow,
    UnfinishedRow,
)
from sync.app import App

BATCH = 500


def delete_locations(app: App, mailbox_id: int) -> None:
    """Forget which messages lie in a folder, and that some of them are not whole yet."""
    with app.db.transaction() as session:
        session.execute(delete(UnfinishedRow).where(UnfinishedRow.mailbox_id == mailbox_id))
    while True:
        with app.db.transaction() as session:
            query = select(LocationRow.uid).where(LocationRow.mailbox_id == mailbox_id).limit(BATCH)
            uids = list(session.scalars(query))
            session.execute(delete(LocationRow).where(LocationRow.mailbox_id == mailbox_id, LocationRow.uid.in_(uids)))
        if len(uids) < BATCH:
            return


def erase_mail(app: App, account_id: str) -> int:
    """Delete every message of an account with all that hangs on it; the number of messages.

    Addresses that no other mail of the workspace shows go as well. The folders must be forgotten before.
    """
    erased = 0
    while True:
        with app.db.transaction() as session:
            overwrite_freed(session)
            query = select(MessageRow.id).where(MessageRow.account_id == account_id).limit(BATCH)
            ids = list(session.scalars(query))
            erase_messages(session, ids)
        erased += len(ids)
        if len(ids) < BATCH:
            break
    _erase_packs(app, account_id)
    return erased


def erase_messages(session: Session, ids: Sequence[int]) -> None:
    """Delete these messages and what hangs on them, but not their bytes: see `scrub_packs`."""
    people = select(ParticipantRow.correspondent_id).where(ParticipantRow.message_id.in_(ids)).distinct()
    touched = list(session.scalars(people))
    for table in (UnfinishedRow, FragmentRow, LocationRow, ParticipantRow):
        session.execute(delete(table).where(table.message_id.in_(ids)))
    session.execute(delete(MessageRow).where(MessageRow.id.in_(ids)))
    for start in range(0, len(touched), BATCH):
        lonely = ~exists().where(ParticipantRow.correspondent_id == CorrespondentRow.id)
        some = touched[start : start + BATCH]
        session.execute(
            delete(CorrespondentRow)
            .where(CorrespondentRow.id.in_(some), lonely)
            .execution_options(synchronize_session=False)
        )


def packs_of(session: Session, ids: Sequence[int]) -> set[int]:
    """The packs that hold bytes of these messages."""
    packs: set[int] = set()
    for raw, text in session.execute(select(MessageRow.raw_pack, MessageRow.text_pack).where(MessageRow.id.in_(ids))):
        packs |= {raw, text}
    return packs | set(session.scalars(select(FragmentRow.pack_id).where(FragmentRow.message_id.in_(ids))))


def scrub_packs(session: Session, pack_ids: Iterable[int]) -> None:
    """Overwrite with zeros whatever no message claims any more; a pack without claims is deleted."""
    overwrite_freed(session)
    for pack_id in pack_ids:
        claims = _claims(session, pack_id)
        if not claims:
            session.execute(delete(PackRow).where(PackRow.id == pack_id))
            continue
        data = session.scalar(select(PackRow.data).where(PackRow.id == pack_id)) or b""
        clean = bytearray(len(data))
        for offset, length in claims:
            clean[offset : offset + length] = data[offset : offset + length]
        session.execute(update(PackRow).where(PackRow.id == pack_id).values(data=bytes(clean)))


def _claims(session: Session, pack_id: int) -> list[tuple[int, int]]:
    queries = (
        select(MessageRow.raw_offset, MessageRow.raw_length).where(MessageRow.raw_pack == pack_id),
        select(MessageRow.text_offset, MessageRow.text_length).where(MessageRow.text_pack == pack_id),
        select(FragmentRow.pack_offset, FragmentRow.pack_length).where(FragmentRow.pack_id == pack_id),
    )
    return [claim for query in queries for claim in session.execute(query)]


def _erase_packs(app: App, account_id: str) -> None:
    while True:
        with app.db.transaction() as session:
            overwrite_freed(session)
            ids = list(session.scalars(select(PackRow.id).where(PackRow.account_id == account_id).limit(50)))
            session.execute(delete(PackRow).where(PackRow.id.in_(ids)))
        if len(ids) < 50:
            return


def overwrite_freed(session: Session) -> None:
    """SQLite: zero freed pages too, which the faster setting of everyday work leaves as they were."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def purge_file(app: App) -> None:
    """SQLite: empty the write-ahead log, which still holds old pages. Harmless if others are reading just now."""
    if app.db.engine.dialect.name != "sqlite":
        return
    raw = app.db.engine.raw_connection()  # a checkpoint cannot run inside the transaction a session would open
    try:
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    finally:
        raw.close()
