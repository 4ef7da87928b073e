"""Writes contacts of the CRM side: the one place that knows how a contact becomes rows. Who may, and why, is decided
by the callers; every function works in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.contact import Contact, canonical, to_json
from core.policy import Policy
from models.bulk import insert_rows, update_rows
from models.contacts import ContactKeyRow, ContactRow, ContactTagRow
from models.db import affected, parts
from sync.ids import new_id

# What is indexed: PostgreSQL refuses index entries above 2,704 bytes, and a name may be a whole page.
MAX_INDEXED = 500


@dataclass(frozen=True, slots=True)
class NewContact:
    """A contact to be inserted. `body` is in normal form; `id` "" takes a fresh one."""

    body: Contact
    modified_at: datetime
    id: str = ""
    external_id: str | None = None
    origin_account: str = ""


def insert_contacts(
    session: Session, workspace: str, policy: Policy[Contact], contacts: Sequence[NewContact], now: datetime
) -> list[str]:
    """Insert contacts; their ids, in order."""
    ids = [contact.id or new_id() for contact in contacts]
    rows = [
        {
            "id": one,
            "workspace_id": workspace,
            "external_id": contact.external_id,
            **_columns(contact.body),
            "version": 1,
            "origin_account": contact.origin_account,
            "modified_at": contact.modified_at,
            "created_at": now,
            "deleted_at": None,
        }
        for one, contact in zip(ids, contacts, strict=True)
    ]
    insert_rows(session, ContactRow, rows)
    _insert_keys(session, workspace, policy, {one: contact.body for one, contact in zip(ids, contacts, strict=True)})
    return ids


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A new text (in normal form) for a contact, which becomes `version`."""

    id: str
    body: Contact
    version: int
    modified_at: datetime


def change_contact(
    session: Session,
    workspace: str,
    policy: Policy[Contact],
    contact_id: str,
    body: Contact,
    *,
    expect: int,
    modified_at: datetime,
) -> bool:
    """Write a new text over version `expect` of a contact, which becomes the next one; False if it is not that version
    any more."""
    query = select(ContactRow.version).where(ContactRow.id == contact_id, ContactRow.workspace_id == workspace)
    if session.scalar(query.with_for_update()) != expect:
        return False
    rewrite_contacts(session, workspace, policy, [Rewrite(contact_id, canonical(body), expect + 1, modified_at)])
    return True


def rewrite_contacts(session: Session, workspace: str, policy: Policy[Contact], texts: Sequence[Rewrite]) -> None:
    """Write new texts of contacts whose rows this transaction has locked and compared already."""
    rows = [
        {"id": one.id, **_columns(one.body), "version": one.version, "modified_at": one.modified_at} for one in texts
    ]
    update_rows(session, ContactRow, rows, key=("id",))
    for some in parts([one.id for one in texts]):
        session.execute(
            delete(ContactKeyRow).where(ContactKeyRow.contact_id.in_(some)).execution_options(synchronize_session=False)
        )
    _insert_keys(session, workspace, policy, {one.id: one.body for one in texts})


def set_deleted(session: Session, contact_ids: Collection[str], at: datetime | None) -> None:
    """Mark contacts as deleted, or bring them back (`at` None). Nothing is lost either way."""
    for some in parts(list(contact_ids)):
        session.execute(
            update(ContactRow)
            .where(ContactRow.id.in_(some))
            .values(deleted_at=at)
            .execution_options(synchronize_session=False)
        )


def add_tag(session: Session, tag_id: str, contact_ids: Collection[str]) -> int:
    """Give contacts a tag; how many did not have it."""
    have: set[str] = set()
    for some in parts(list(contact_ids)):
        query = select(ContactTagRow.contact_id).where(
            ContactTagRow.tag_id == tag_id, ContactTagRow.contact_id.in_(some)
        )
        have |= set(session.scalars(query))
    fresh = [one for one in dict.fromkeys(contact_ids) if one not in have]
    insert_rows(session, ContactTagRow, [{"tag_id": tag_id, "contact_id": one} for one in fresh])
    return len(fresh)


def remove_tag(session: Session, tag_id: str, contact_ids: Collection[str]) -> int:
    """Take a tag from contacts; how many had it."""
    removed = 0
    for some in parts(list(contact_ids)):
        removed += affected(
            session.execute(
                delete(ContactTagRow)
                .where(ContactTagRow.tag_id == tag_id, ContactTagRow.contact_id.in_(some))
                .execution_options(synchronize_session=False)
            )
        )
    return removed


def erase_contacts(session: Session, contact_ids: Sequence[str]) -> None:
    """Delete contacts for good, with their keys and tags. Links must be gone already."""
    for some in parts(list(contact_ids)):
        session.execute(delete(ContactKeyRow).where(ContactKeyRow.contact_id.in_(some)))
        session.execute(delete(ContactTagRow).where(ContactTagRow.contact_id.in_(some)))
        session.execute(delete(ContactRow).where(ContactRow.id.in_(some)))


def _columns(body: Contact) -> dict[str, Any]:
    return {
        "name": body.name[:MAX_INDEXED],
        "email": body.emails[0].value if body.emails else "",
        "organization": body.organization,
        "body": to_json(body),
    }


def _insert_keys(session: Session, workspace: str, policy: Policy[Contact], bodies: Mapping[str, Contact]) -> None:
    rows = [
        {"contact_id": one, "key": key, "workspace_id": workspace}
        for one, body in bodies.items()
        for key in sorted(frozenset().union(*policy.match(body)))
        if len(key) <= MAX_INDEXED
    ]
    insert_rows(session, ContactKeyRow, rows)
