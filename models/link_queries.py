"""What people and the API are shown of two-sided synchronisation: where a record stands and why, what is held.
What runs did is `models.deed_records`. Every query is scoped by workspace; changing anything is left to `sync`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.accounts import AccountRow
from models.columns import Record
from models.contacts import ContactRow, ContactTagRow, TagRow
from models.deed_records import history_of
from models.links import DecisionRow, LinkRow, SentRow, SetAsideRow
from models.syncing import ChannelRow

CONTACTS, CALENDAR = "contacts", "calendar"
ON_ITS_WAY = "on its way", "A run broke off while writing it; the next one looks what became of it."


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
    session: Session,
    account: AccountRow,
    local_id: str,
    link: LinkRow | None,
    told: tuple[str, str],
    *,
    viewer: str = "",
) -> Record:
    """Where a record stands with an account: `told` in a word and in a sentence, and what was last done to it, as the
    user of the id `viewer` may see it."""
    last = next(
        iter(history_of(session, account.workspace_id, local_id, account=account.id, viewer=viewer, limit=1)), None
    )
    return {
        "account": account.id,
        "address": account.address,
        "state": told[0],
        "why": told[1],
        "remote": link.remote_id if link else "",
        "last_run_at": last["at"] if last else None,
        "last_change": last,
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
