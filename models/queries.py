"""What people and the API are shown: runs, status, messages. Every query is scoped by workspace.
Rows become plain data here, 64-bit ids as text; changing anything is left to `sync`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from core.errors import Conflict, NotFound
from models.accounts import AccountRow, UserRow
from models.columns import Record
from models.content import CorrespondentRow, LocationRow, MessageRow, ParticipantRow
from models.link_queries import record_counts
from models.syncing import ChannelRow, MailboxRow, QuarantineRow, RunRow


def status_overview(session: Session, workspace: str, now: datetime) -> list[Record]:
    """One record per channel of every account that was not removed: state, last success, next run, stored messages."""
    rows = session.execute(
        select(AccountRow, ChannelRow, UserRow.email)
        .join(ChannelRow, ChannelRow.account_id == AccountRow.id)
        .join(UserRow, UserRow.id == AccountRow.user_id)
        .where(AccountRow.workspace_id == workspace, AccountRow.state != "removed")
        .order_by(AccountRow.address, ChannelRow.channel)
    ).all()
    counts = _message_counts(session, [account.id for account, _, _ in rows])
    aside = _aside_counts(session, [account.id for account, _, _ in rows])
    records = record_counts(session, [account.id for account, _, _ in rows])
    troubles = _troubles(session, [channel.run_id for _, channel, _ in rows if channel.last_outcome != "ok"])
    return [
        {
            "account": account.id,
            "address": account.address,
            "user": user,
            "provider": account.provider,
            "channel": channel.channel,
            "state": _state(account, channel),
            "running": channel.lease_until is not None and channel.lease_until > now,
            "run": channel.run_id,
            "auto": channel.auto,
            "period_s": channel.period_s,
            "last_outcome": channel.last_outcome,
            "last_success_at": channel.last_success_at,
            "next_run_at": channel.next_run_at,
            "failures": channel.failures,
            "last_error": troubles.get(channel.run_id or "", ("", ""))[0],
            "last_advice": troubles.get(channel.run_id or "", ("", ""))[1],
            **_amounts(
                channel, counts.get(account.id, 0), aside.get(account.id, 0), records[account.id, channel.channel]
            ),
            "reason": account.reason or (channel.held["text"] if channel.held else ""),
            "advice": account.advice or ("`twinbox runs list` names the run that waits." if channel.held else ""),
        }
        for account, channel, user in rows
    ]


def _troubles(session: Session, runs: Iterable[str | None]) -> dict[str, tuple[str, str]]:
    """What went wrong in these runs, and what to do about it, by id."""
    query = select(RunRow.id, RunRow.error, RunRow.advice).where(RunRow.id.in_([one for one in runs if one]))
    return {one: (error, advice) for one, error, advice in session.execute(query) if error}


def _state(account: AccountRow, channel: ChannelRow) -> str:
    if account.state != "linked":
        return account.state
    return "not granted" if not channel.granted else "held" if channel.held else "linked"


def _amounts(channel: ChannelRow, messages: int, aside: int, records: Record) -> Record:
    """What is stored of a channel, and what waits for somebody."""
    stored = {"messages": 0, "contacts": 0, "activities": 0}
    if channel.channel == "mail":
        return stored | {"messages": messages, "set_aside": aside, "decisions": 0}
    kind = "contacts" if channel.channel == "contacts" else "activities"
    return stored | {kind: records["linked"], "set_aside": records["refused"], "decisions": records["decisions"]}


def _message_counts(session: Session, accounts: list[str]) -> dict[str, int]:
    query = select(MessageRow.account_id, func.count()).where(MessageRow.account_id.in_(accounts))
    return dict(session.execute(query.group_by(MessageRow.account_id)).all())


def _aside_counts(session: Session, accounts: list[str]) -> dict[str, int]:
    query = (
        select(MailboxRow.account_id, func.count())
        .join(QuarantineRow, QuarantineRow.mailbox_id == MailboxRow.id)
        .where(MailboxRow.account_id.in_(accounts))
    )
    return dict(session.execute(query.group_by(MailboxRow.account_id)).all())


def list_runs(session: Session, workspace: str, *, account: str = "", limit: int = 20) -> list[Record]:
    """The latest runs, newest first."""
    query = select(RunRow).where(RunRow.workspace_id == workspace)
    if account:
        query = query.where(RunRow.account_id == account)
    rows = session.scalars(query.order_by(RunRow.started_at.desc(), RunRow.id).limit(limit))
    return [run_record(row) for row in rows]


def find_run(session: Session, workspace: str, text: str) -> Record:
    """The run with this id or beginning of an id. Raises NotFound, or Conflict when several fit."""
    query = select(RunRow).where(RunRow.workspace_id == workspace, RunRow.id.startswith(text, autoescape=True))
    rows = session.scalars(query.limit(2)).all() if len(text) >= 4 else []
    if not rows:
        raise NotFound(f"no run {text!r}", advice="See `twinbox runs list`.")
    if len(rows) > 1:
        raise Conflict(f"several runs begin with {text!r}", advice="Write more of the id.")
    return run_record(rows[0])


def run_record(row: RunRow) -> Record:
    """A run as plain data."""
    return {
        "id": row.id,
        "account": row.account_id,
        "channel": row.channel,
        "trigger": row.trigger,
        "outcome": row.outcome,
        "phase": row.phase,
        "done": row.done,
        "total": row.total,
        "counts": dict(row.counts),
        "error": row.error,
        "advice": row.advice,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
    }


def list_mailboxes(session: Session, workspace: str, account: str) -> list[Record]:
    """The mailboxes of an account with what is stored of each."""
    held = select(LocationRow.mailbox_id, func.count().label("messages")).group_by(LocationRow.mailbox_id).subquery()
    rows = session.execute(
        select(MailboxRow, held.c.messages)
        .join(AccountRow, AccountRow.id == MailboxRow.account_id)
        .outerjoin(held, held.c.mailbox_id == MailboxRow.id)
        .where(AccountRow.workspace_id == workspace, MailboxRow.account_id == account)
        .order_by(MailboxRow.name)
    )
    return [
        {"name": row.name, "role": row.role, "messages": count or 0, "on_server": row.exists, "problem": row.problem}
        for row, count in rows
    ]


def list_set_aside(session: Session, workspace: str, *, account: str = "") -> list[Record]:
    """Messages the server would not give, with the reason and the time of the next try."""
    query = (
        select(QuarantineRow, MailboxRow.name, AccountRow.address)
        .join(MailboxRow, MailboxRow.id == QuarantineRow.mailbox_id)
        .join(AccountRow, AccountRow.id == MailboxRow.account_id)
        .where(AccountRow.workspace_id == workspace)
        .order_by(AccountRow.address, MailboxRow.name, QuarantineRow.uid)
    )
    if account:
        query = query.where(AccountRow.id == account)
    return [
        {
            "account": address,
            "mailbox": name,
            "uid": row.uid,
            "reason": row.reason,
            "attempts": row.attempts,
            "next_try_at": row.next_try_at,
        }
        for row, name, address in session.execute(query)
    ]


def list_messages(
    session: Session,
    workspace: str,
    *,
    account: str = "",
    address: str = "",
    before: datetime | None = None,
    limit: int = 20,
) -> list[Record]:
    """Messages, newest first; `address` is the normalised address of somebody who takes part."""
    query = (
        select(MessageRow)
        .join(AccountRow, AccountRow.id == MessageRow.account_id)
        .where(AccountRow.workspace_id == workspace)
    )
    if account:
        query = query.where(MessageRow.account_id == account)
    if address:
        taking_part = (
            select(ParticipantRow.message_id)
            .join(CorrespondentRow, CorrespondentRow.id == ParticipantRow.correspondent_id)
            .where(CorrespondentRow.workspace_id == workspace, CorrespondentRow.key == address)
        )
        query = query.where(MessageRow.id.in_(taking_part))
    if before is not None:
        query = query.where(MessageRow.received_at < before)
    rows = session.scalars(query.order_by(MessageRow.received_at.desc(), MessageRow.id.desc()).limit(limit)).all()
    places = places_of(session, [row.id for row in rows])
    return [_short(row, places.get(row.id, [])) for row in rows]


def places_of(session: Session, message_ids: Iterable[int]) -> dict[int, list[Record]]:
    """Where messages lie on the server, with flags and labels, by message id."""
    found: dict[int, list[Record]] = {}
    query = (
        select(LocationRow, MailboxRow.name)
        .join(MailboxRow, MailboxRow.id == LocationRow.mailbox_id)
        .where(LocationRow.message_id.in_(list(message_ids)))
        .order_by(MailboxRow.name, LocationRow.uid)
    )
    for row, name in session.execute(query):
        place = {"mailbox": name, "uid": row.uid, "flags": row.flags, "labels": row.labels}
        found.setdefault(row.message_id, []).append(place)
    return found


def find_message(session: Session, workspace: str, text: str) -> MessageRow:
    """The message with this id (decimal) or Message-ID. Raises NotFound, or Conflict when several fit."""
    named = [MessageRow.message_id == text.strip("<>")]
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63:
        named.append(MessageRow.id == int(text))
    query = (
        select(MessageRow)
        .join(AccountRow, AccountRow.id == MessageRow.account_id)
        .where(AccountRow.workspace_id == workspace, or_(*named))
    )
    rows = session.scalars(query.limit(2)).all()
    if not rows:
        raise NotFound(f"no message {text!r}", advice="See `twinbox messages list`.")
    if len(rows) > 1:
        raise Conflict(f"several messages have the Message-ID {text!r}", advice="Name one by its number.")
    return rows[0]


def message_record(session: Session, row: MessageRow) -> Record:
    """Everything about a message but its text and bytes."""
    places = places_of(session, [row.id]).get(row.id, [])
    return _short(row, places) | {
        "people": [{"role": role, "name": name, "email": email} for role, name, email in row.people],
        "message_id": row.message_id,
        "references": row.refs,
        "thread": row.thread,
        "sent_at": row.sent_at,
        "calendar": row.calendar,
        "marks": row.marks,
        "defects": row.defects,
        "stored_bytes": row.have,
        "attachments": row.attachments,
    }


def _short(row: MessageRow, places: list[Record]) -> Record:
    return {
        "id": str(row.id),
        "account": row.account_id,
        "received_at": row.received_at,
        "from": row.sender,
        "subject": row.subject,
        "snippet": row.snippet,
        "size": row.size,
        "attachments": len(row.attachments),
        "places": places,
        "gone_since": row.unplaced_at,
    }
