"""What people and the API are shown of two-sided synchronisation: what a run did, where a record stands and why.
Every query is scoped by workspace; changing anything is left to `sync`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.actions import Reason, done_in_words, in_words
from core.replica import Side
from models.accounts import AccountRow
from models.columns import Record
from models.contacts import ContactRow, ContactTagRow, TagRow
from models.links import DecisionRow, HistoryRow, LinkRow, SentRow, SetAsideRow
from models.syncing import ChannelRow

CONTACTS, CALENDAR = "contacts", "calendar"
ON_ITS_WAY = "on its way", "A run broke off while writing it; the next one looks what became of it."


def run_deeds(session: Session, workspace: str, run_id: str, *, limit: int = 1_000) -> list[Record]:
    """What a run did, in order."""
    query = select(HistoryRow).where(HistoryRow.workspace_id == workspace, HistoryRow.run_id == run_id)
    return [deed_record(row) for row in session.scalars(query.order_by(HistoryRow.id).limit(limit))]


def history_of(session: Session, workspace: str, local_id: str, *, limit: int = 20) -> list[Record]:
    """What was done to a record of the CRM and to its counterparts, newest first."""
    query = select(HistoryRow).where(HistoryRow.workspace_id == workspace, HistoryRow.local_id == local_id)
    return [deed_record(row) for row in session.scalars(query.order_by(HistoryRow.id.desc()).limit(limit))]


def deed_record(row: HistoryRow) -> Record:
    """One deed as plain data; `side` is where it was done, `done` says it in words."""
    by_time = row.channel == CALENDAR
    return {
        "id": str(row.id),
        "run": row.run_id,
        "account": row.account_id,
        "at": row.at,
        "side": row.side,
        "action": row.action,
        "done": done_in_words(row.action, Side(row.side), by_time=by_time),
        "contact": row.local_id,
        "remote": row.remote_id,
        "name": row.label,
        "reason": row.reason,
        "why": in_words(Reason(row.reason), by_time=by_time),
        "changes": row.changes,
        "lost": row.lost,
        "undone_at": row.undone_at,
    }


def record_counts(session: Session, accounts: list[str]) -> dict[tuple[str, str], Record]:
    """By account and channel: pairs that take part, decisions to be taken, records set aside."""
    found: dict[tuple[str, str], Record] = defaultdict(lambda: {"linked": 0, "decisions": 0, "refused": 0})
    for name, table, condition in (
        ("linked", LinkRow, LinkRow.active.is_(True)),
        ("decisions", DecisionRow, DecisionRow.choice.is_(None)),
        ("refused", SetAsideRow, SetAsideRow.attempts > 0),
    ):
        query = select(table.account_id, table.channel, func.count()).where(table.account_id.in_(accounts), condition)
        for account, channel, count in session.execute(query.group_by(table.account_id, table.channel)):
            found[account, channel][name] = count
    return found


def explain_contact(session: Session, contact: ContactRow, *, account: str = "") -> list[Record]:
    """Per account of the workspace with a contacts channel: whether a contact is in step with it, and why (not)."""
    found = []
    for one, channel in accounts_with(session, contact.workspace_id, CONTACTS, account):
        link = session.get(LinkRow, (one.id, CONTACTS, contact.id))
        found.append(standing(session, one, contact.id, link, _standing(session, contact, channel, link)))
    return found


def accounts_with(session: Session, workspace: str, channel: str, account: str = "") -> Iterable[Any]:
    """The accounts of a workspace that sync this, with the channel, by address; or the one account of this id."""
    query = (
        select(AccountRow, ChannelRow)
        .join(ChannelRow, ChannelRow.account_id == AccountRow.id)
        .where(AccountRow.workspace_id == workspace, ChannelRow.channel == channel)
        .where(AccountRow.state != "removed")
        .order_by(AccountRow.address, AccountRow.id)
    )
    return session.execute(query.where(AccountRow.id == account) if account else query)


def standing(
    session: Session, account: AccountRow, local_id: str, link: LinkRow | None, told: tuple[str, str]
) -> Record:
    """Where a record stands with an account: `told` in a word and in a sentence, and what was last done to it."""
    last = session.scalar(
        select(HistoryRow)
        .where(HistoryRow.local_id == local_id, HistoryRow.account_id == account.id)
        .order_by(HistoryRow.id.desc())
        .limit(1)
    )
    return {
        "account": account.id,
        "address": account.address,
        "state": told[0],
        "why": told[1],
        "remote": link.remote_id if link else "",
        "last_run_at": last.at if last else None,
        "last_change": deed_record(last) if last else None,
    }


def refused(session: Session, account: str, channel: str, local_id: str) -> str:
    """Why the provider does not take a record of the CRM, and when that is tried again; "" if it was not refused."""
    aside = session.get(SetAsideRow, (account, channel, "local", local_id))
    if aside is None or not aside.attempts:
        return ""
    return f"The provider refused it: {aside.reason}. Tried again {in_utc(aside.next_try_at)}."


def _standing(session: Session, contact: ContactRow, channel: ChannelRow, link: LinkRow | None) -> tuple[str, str]:
    """In a word, and in a sentence."""
    account = channel.account_id
    decision = session.get(DecisionRow, (account, CONTACTS, "local", contact.id))
    tag = session.get(TagRow, channel.settings.get("tag", ""))
    tagged = tag is not None and session.get(ContactTagRow, (tag.id, contact.id)) is not None
    if no := refused(session, account, CONTACTS, contact.id):
        return "set aside", no
    if decision is not None:
        return "needs a decision", "It may be one of several records at the provider: `twinbox contacts decisions`."
    if contact.deleted_at is not None:
        return "left out", f"It was deleted in the CRM on {in_utc(contact.deleted_at)}."
    if not tagged:
        return "left out", f"It does not have the tag {tag.name!r}." if tag else "The channel has no tag yet."
    if session.get(SentRow, (account, CONTACTS, contact.id)) is not None:
        return ON_ITS_WAY
    if link is None or not link.active:
        return "due", "It has the tag; the next run takes it to the provider."
    if link.local_version != str(contact.version):
        return "due", "It was changed in the CRM; the next run takes that to the provider."
    return "in step", f"It has the tag {tag.name!r} and is in the group at the provider." if tag else ""


def in_utc(moment: datetime) -> str:
    """A time for people."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def held_of_run(session: Session, workspace: str, run_id: str) -> dict[str, Any] | None:
    """What a run was held for, while it is."""
    query = select(ChannelRow.held).where(ChannelRow.workspace_id == workspace, ChannelRow.held.is_not(None))
    return next((held for held in session.scalars(query) if held and held["run"] == run_id), None)
