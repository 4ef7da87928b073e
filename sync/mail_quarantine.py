"""Messages the server would not give: set aside with the reason, and asked for again later, ever more seldom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from core.schedule import next_run
from core.uidset import UidSet
from models.content import LocationRow
from models.syncing import MailboxRow, QuarantineRow

RETRY_EVERY = timedelta(minutes=15)
MAX_ATTEMPTS = 8


def set_aside(session: Session, mailbox_id: int, reasons: Mapping[int, str], now: datetime) -> None:
    """Note why each of these UIDs could not be had, and when to try again."""
    for uid, reason in reasons.items():
        row = session.get(QuarantineRow, (mailbox_id, uid))
        if row is None:
            row = QuarantineRow(mailbox_id=mailbox_id, uid=uid, reason=reason, attempts=0, next_try_at=now)
            session.add(row)
        row.reason = reason
        row.attempts += 1
        row.next_try_at = next_run(now, RETRY_EVERY, row.attempts, 0)


def due_again(session: Session, account_id: str, now: datetime) -> dict[int, UidSet]:
    """The UIDs that may be tried again now, by mailbox."""
    query = (
        select(QuarantineRow.mailbox_id, QuarantineRow.uid)
        .join(MailboxRow, MailboxRow.id == QuarantineRow.mailbox_id)
        .where(MailboxRow.account_id == account_id)
        .where(QuarantineRow.next_try_at <= now, QuarantineRow.attempts < MAX_ATTEMPTS)
    )
    due: dict[int, list[int]] = {}
    for mailbox_id, uid in session.execute(query):
        due.setdefault(mailbox_id, []).append(uid)
    return {mailbox_id: UidSet.of(uids) for mailbox_id, uids in due.items()}


def release_found(session: Session, mailbox_id: int) -> None:
    """Forget those that could be had after all."""
    found = select(LocationRow.uid).where(LocationRow.mailbox_id == mailbox_id)
    session.execute(
        delete(QuarantineRow)
        .where(QuarantineRow.mailbox_id == mailbox_id, QuarantineRow.uid.in_(found))
        .execution_options(synchronize_session=False)
    )


def any_set_aside(session: Session, account_id: str) -> bool:
    """Whether an account has messages in quarantine."""
    mine = select(MailboxRow.id).where(MailboxRow.account_id == account_id)
    return bool(session.scalar(select(exists().where(QuarantineRow.mailbox_id.in_(mine)))))
