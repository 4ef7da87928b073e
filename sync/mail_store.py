"""The statements of a mail run: states, windows of messages, locations, flags, removals; no network.
Each function works inside a transaction of the caller, who renews the lease in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.mailbox import MailboxState
from core.packs import ParsedItem
from core.ports import Structure
from core.types import FetchedMessage, MessageHead
from core.uidset import UidSet
from models.bulk import insert_rows, insert_values, update_rows
from models.content import (
    LocationRow,
    MessageRow,
    PackRow,
    UnfinishedRow,
)
from models.db import affected, parts, table_of
from models.syncing import MailboxRow, QuarantineRow
from sync.correspondents import store_people
from sync.ids import next_message_ids
from sync.packing import attachment_json


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came, parsed, with its identity: ready to be stored.

    `structure` is what the server told of a message that came cut; None: not asked, or not told.
    """

    fetched: FetchedMessage
    item: ParsedItem
    identity: bytes
    structure: Structure | None = None

    @property
    def cut(self) -> bool:
        """Whether only the beginning of the message is here."""
        return self.fetched.head.size > len(self.fetched.data)

    @property
    def completed(self) -> bool:
        """Whether it came cut, and yet its text and its list of attachments are whole."""
        return self.cut and self.structure is not None and self.item.text_complete


def state_of(row: MailboxRow) -> MailboxState:
    """The cursor kept in a row."""
    return MailboxState(
        uidvalidity=row.uidvalidity,
        uidnext=row.uidnext,
        exists=row.exists,
        modseq=row.modseq,
        seen_modseq=row.seen_modseq,
        confirmed=row.confirmed,
        done=UidSet.parse(row.done),
        since=row.since,
        choice=row.choice,
        resyncs=row.resyncs,
        swept_at=row.swept_at,
    )


def save_state(session: Session, mailbox_id: int, state: MailboxState, problem: str = "") -> None:
    """Write the cursor; always in the transaction of the data it stands for."""
    session.execute(
        update(table_of(MailboxRow))
        .where(MailboxRow.id == mailbox_id)
        .values(
            uidvalidity=state.uidvalidity,
            uidnext=state.uidnext,
            exists=state.exists,
            modseq=state.modseq,
            seen_modseq=state.seen_modseq,
            confirmed=state.confirmed,
            done=str(state.done),
            since=state.since,
            choice=state.choice,
            resyncs=state.resyncs,
            swept_at=state.swept_at,
            problem=problem,
        )
    )


def held_uids(session: Session, mailbox_id: int) -> UidSet:
    """Every UID we have a location for."""
    return UidSet.of(session.scalars(select(LocationRow.uid).where(LocationRow.mailbox_id == mailbox_id)))


def known_messages(session: Session, account_id: str, identities: Collection[bytes]) -> dict[bytes, int]:
    """Which of these identities are stored already, with their message ids."""
    found: dict[bytes, int] = {}
    for part in parts(list(identities)):
        rows = session.execute(
            select(MessageRow.identity, MessageRow.id).where(
                MessageRow.account_id == account_id, MessageRow.identity.in_(part)
            )
        )
        found.update((bytes(identity), message_id) for identity, message_id in rows)
    return found


def store_window(
    session: Session,
    *,
    workspace_id: str,
    account_id: str,
    mailbox_id: int,
    arrivals: Sequence[Arrival],
    pack: bytes,
    correspondents: dict[str, int],
    now: datetime,
) -> tuple[int, int]:
    """Store messages with their bytes, people and locations; one that is known only gains a location.

    `correspondents` caches ids by address over the windows of a run. Returns how many messages were new, and how
    many of these came cut and need nothing more.
    """
    known = known_messages(session, account_id, [arrival.identity for arrival in arrivals])
    fresh: dict[bytes, Arrival] = {}
    for arrival in arrivals:
        if arrival.identity not in known:
            fresh.setdefault(arrival.identity, arrival)
    ids = next_message_ids(len(fresh) + 1)
    new = dict(zip(fresh, ids, strict=False))
    if fresh:
        pack_id = ids[-1]
        insert_rows(session, PackRow, [{"id": pack_id, "account_id": account_id, "data": pack}])
        rows = [message_values(one, new[key], account_id, pack_id, now) for key, one in fresh.items()]
        insert_values(session, MessageRow, _COLUMNS, rows)
        store_people(session, workspace_id, {new[key]: one.item for key, one in fresh.items()}, correspondents)
        _note_unfinished(session, mailbox_id, {new[key]: one for key, one in fresh.items()})
    # A message may come twice in one window: it is new once and has two locations.
    _insert_locations(session, mailbox_id, [(a.fetched.head, new[a.identity]) for a in arrivals if a.identity in new])
    again = [(a.fetched.head, known[a.identity]) for a in arrivals if a.identity in known]
    if again:
        place(session, mailbox_id, again)
    return len(fresh), sum(one.completed for one in fresh.values())


# The columns of a new message, in the order of `message_values`.
_COLUMNS = (
    *("id", "account_id", "identity", "gm_msgid", "thread", "message_id", "refs", "subject", "sender", "people"),
    *("sent_at", "received_at", "snippet", "attachments", "calendar", "marks", "defects", "size", "have"),
    *("raw_pack", "raw_offset", "raw_length", "text_pack", "text_offset", "text_length", "unplaced_at"),
)


def message_values(arrival: Arrival, message_id: int, account_id: str, pack_id: int, now: datetime) -> tuple[Any, ...]:
    """The values of a new message for `_COLUMNS`."""
    head, item = arrival.fetched.head, arrival.item
    have = len(arrival.fetched.data)
    return (
        message_id,
        account_id,
        arrival.identity,
        _signed(head.gm_msgid) if head.gm_msgid else None,
        str(head.gm_thrid) if head.gm_thrid else None,
        item.message_id,
        item.refs,
        item.subject,
        item.sender,
        item.people,
        item.sent_at,
        min(head.internal_date or item.sent_at or now, now),
        item.snippet,
        [attachment_json(one) for one in arrival.structure.attachments] if arrival.structure else item.attachments,
        item.calendar,
        item.marks,
        item.defects,
        max(head.size, have),
        have,
        pack_id,
        *item.raw,
        pack_id,
        *item.text,
        None,
    )


def place(session: Session, mailbox_id: int, found: Sequence[tuple[MessageHead, int]]) -> None:
    """Say that messages lie in a mailbox, with the flags they have there; one that was gone is back."""
    _insert_locations(session, mailbox_id, found)
    for part in parts([message_id for _, message_id in found]):
        session.execute(
            update(MessageRow)
            .where(MessageRow.id.in_(part), MessageRow.unplaced_at.is_not(None))
            .values(unplaced_at=None)
        )


def _insert_locations(session: Session, mailbox_id: int, found: Sequence[tuple[MessageHead, int]]) -> None:
    rows = [
        {
            "mailbox_id": mailbox_id,
            "uid": head.uid,
            "message_id": message_id,
            "flags": sorted(head.flags),
            "labels": None if head.labels is None else sorted(head.labels),
        }
        for head, message_id in found
    ]
    insert_rows(session, LocationRow, rows)


def update_flags(session: Session, mailbox_id: int, heads: Iterable[MessageHead]) -> int:
    """Write flags and labels that differ; returns how many messages changed. Unknown UIDs are passed over."""
    wanted = {head.uid: head for head in heads}
    changed = []
    for part in parts(list(wanted)):
        rows = session.execute(
            select(LocationRow.uid, LocationRow.flags, LocationRow.labels).where(
                LocationRow.mailbox_id == mailbox_id, LocationRow.uid.in_(part)
            )
        )
        for uid, flags, labels in rows:
            head = wanted[uid]
            new_labels = labels if head.labels is None else sorted(head.labels)
            if sorted(head.flags) != flags or new_labels != labels:
                row = {"flags": sorted(head.flags), "labels": new_labels}
                changed.append(row | {"mailbox_id": mailbox_id, "uid": uid})
    update_rows(session, LocationRow, changed, key=("mailbox_id", "uid"))
    return len(changed)


def remove_locations(session: Session, mailbox_id: int, gone: UidSet, now: datetime) -> int:
    """Take messages out of a mailbox; one that no mailbox shows any more is marked as gone since `now`."""
    uids = list(gone & held_uids(session, mailbox_id)) if gone else []
    for part in parts(uids):
        where = (LocationRow.mailbox_id == mailbox_id, LocationRow.uid.in_(part))
        messages = list(session.scalars(select(LocationRow.message_id).where(*where)))
        session.execute(delete(LocationRow).where(*where))
        mark_unplaced(session, messages, now)
    for table in (QuarantineRow, UnfinishedRow):
        for first, last in gone.ranges:
            session.execute(delete(table).where(table.mailbox_id == mailbox_id, table.uid.between(first, last)))
    return len(uids)


def mark_unplaced(session: Session, message_ids: Sequence[int], now: datetime) -> None:
    """Mark those of these messages that no mailbox shows."""
    for part in parts(list(message_ids)):
        session.execute(
            update(MessageRow)
            .where(MessageRow.id.in_(part), MessageRow.unplaced_at.is_(None))
            .where(~select(LocationRow.uid).where(LocationRow.message_id == MessageRow.id).exists())
            .values(unplaced_at=now)
        )


def drop_locations(session: Session, mailbox_id: int) -> None:
    """Forget where a mailbox shows what, its UIDs being void; messages stay and are found again by identity."""
    session.execute(delete(LocationRow).where(LocationRow.mailbox_id == mailbox_id))
    session.execute(delete(QuarantineRow).where(QuarantineRow.mailbox_id == mailbox_id))
    session.execute(delete(UnfinishedRow).where(UnfinishedRow.mailbox_id == mailbox_id))


def mark_lost(session: Session, account_id: str, now: datetime) -> int:
    """Mark every message of an account that no mailbox shows; for after a mailbox was looked through anew."""
    lost = session.execute(
        update(MessageRow)
        .where(MessageRow.account_id == account_id, MessageRow.unplaced_at.is_(None))
        .where(~select(LocationRow.uid).where(LocationRow.message_id == MessageRow.id).exists())
        .values(unplaced_at=now)
    )
    return affected(lost)


def _note_unfinished(session: Session, mailbox_id: int, fresh: Mapping[int, Arrival]) -> None:
    rows = [
        {
            "message_id": message_id,
            "mailbox_id": mailbox_id,
            "uid": arrival.fetched.head.uid,
            "header_size": arrival.fetched.data.find(b"\r\n\r\n") + 4,
            "text_whole": arrival.item.text_complete,
        }
        for message_id, arrival in fresh.items()
        if arrival.cut and not arrival.completed
    ]
    insert_rows(session, UnfinishedRow, rows)


def _signed(number: int) -> int:
    """A Gmail id, unsigned 64 bits, as the signed integer a database column holds."""
    return number - 2**64 if number >= 2**63 else number
