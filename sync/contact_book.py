"""What a CRM does with its contacts: add, change, delete, restore; a change may name the version it was decided on.
Rows are written by `sync.contact_rows`, found by `models.contact_queries`; files are `sync.contact_import`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.contact import Contact, canonical, from_json
from core.contact_file import MAX_EXTERNAL_ID, checked_id
from core.errors import Conflict, NotFound
from models.columns import Record
from models.contact_queries import contact_record, find_contact
from models.contacts import ContactRow, TagRow
from sync import contact_rows
from sync.app import App
from sync.contact_rows import NewContact, insert_contacts, set_deleted
from sync.phones import contact_rules


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a contact: `added`, `changed`, `restored` or `unchanged`; `record` is all there is to know."""

    done: str
    record: Record


def add_contact(
    app: App,
    workspace: str,
    body: Contact,
    *,
    external_id: str = "",
    tags: Collection[str] = (),
    modified_at: datetime | None = None,
) -> Record:
    """Add a contact with tags (ids). Raises Conflict when it is empty, an address is none, or the external id is
    taken; NotFound for a tag of another workspace."""
    new = NewContact(_checked(body), modified_at or app.clock(), external_id=_external_id(external_id))
    try:
        with app.db.transaction() as session:
            _check_tags(session, workspace, tags)
            contact_id = _insert(session, app, workspace, new)
            for tag in tags:
                contact_rows.add_tag(session, tag, [contact_id])
            return contact_record(session, _own(session, workspace, contact_id))
    except IntegrityError as error:
        raise Conflict(
            f"a contact with the external id {external_id} exists already",
            advice="Change that one, or leave the external id out.",
        ) from error


def change_contact(
    app: App,
    workspace: str,
    contact_id: str,
    body: Contact,
    *,
    expect: int | None = None,
    modified_at: datetime | None = None,
) -> Outcome:
    """Give a contact a new text. `expect` is the version it was decided on, None for whatever is there now;
    `modified_at` is when the CRM changed it. An equal text changes nothing: no new version, no new time.

    Raises NotFound, Conflict when it is another version by now, is deleted, or the text cannot be taken.
    """
    body = _checked(body)
    with app.db.transaction() as session:
        row = _own(session, workspace, contact_id, lock=True)
        _check_version(row, expect)
        if row.deleted_at is not None:
            raise Conflict(f"{_called(row)} is deleted", advice=f"First `twinbox contacts restore {row.id[:8]}`.")
        changed = _write(session, app, row, body, modified_at)
        return Outcome("changed" if changed else "unchanged", contact_record(session, row))


def put_contact(
    app: App,
    workspace: str,
    external_id: str,
    body: Contact,
    *,
    expect: int | None = None,
    modified_at: datetime | None = None,
) -> Outcome:
    """Make the contact of that external id be this one: added, changed, brought back if it was deleted, or left alone
    when it is so already. Raises Conflict as `add_contact` and `change_contact`."""
    body, known_as = _checked(body), _external_id(external_id)
    if known_as is None:
        raise Conflict("the external id is missing", advice="Give the id that the contact has in the CRM.")
    try:
        return _put(app, workspace, known_as, body, expect, modified_at)
    except IntegrityError:  # another process added it at the same moment
        return _put(app, workspace, known_as, body, expect, modified_at)


def _put(
    app: App, workspace: str, known_as: str, body: Contact, expect: int | None, modified_at: datetime | None
) -> Outcome:
    with app.db.transaction() as session:
        query = select(ContactRow).where(ContactRow.workspace_id == workspace, ContactRow.external_id == known_as)
        row = session.scalar(query.with_for_update())
        if row is None:
            if expect:
                raise Conflict(f"no contact has the external id {known_as}", advice="Leave the version out to add it.")
            new = NewContact(body, modified_at or app.clock(), external_id=known_as)
            contact_id = _insert(session, app, workspace, new)
            return Outcome("added", contact_record(session, _own(session, workspace, contact_id)))
        _check_version(row, expect)
        restored = row.deleted_at is not None
        if restored:
            set_deleted(session, [row.id], None)
            session.refresh(row)
        changed = _write(session, app, row, body, modified_at)
        done = "restored" if restored else "changed" if changed else "unchanged"
        return Outcome(done, contact_record(session, row))


def delete_contact(app: App, workspace: str, contact_id: str, *, expect: int | None = None) -> Record:
    """Mark a contact as deleted; its text and its tags stay, so that it can be restored as it was. Deleting it again
    changes nothing. Raises NotFound, Conflict when it is another version by now."""
    with app.db.transaction() as session:
        row = _own(session, workspace, contact_id, lock=True)
        _check_version(row, expect)
        if row.deleted_at is None:
            set_deleted(session, [row.id], app.clock())
            session.refresh(row)
        return contact_record(session, row)


def restore_contact(app: App, workspace: str, contact_id: str) -> Record:
    """Bring a deleted contact back; one that is not deleted stays as it is. Raises NotFound."""
    with app.db.transaction() as session:
        row = _own(session, workspace, contact_id, lock=True)
        if row.deleted_at is not None:
            set_deleted(session, [row.id], None)
            session.refresh(row)
        return contact_record(session, row)


def find(app: App, workspace: str, text: str, *, deleted: bool = False) -> ContactRow:
    """As `models.contact_queries.find_contact`, in a session of its own."""
    with app.db.reading() as session:
        return find_contact(session, workspace, text, deleted=deleted)


def problem_of(contact: Contact) -> str:
    """Why a contact (in normal form) cannot be taken, "" when it can."""
    if contact == Contact():
        return "the contact is empty"
    wrong = next((entry.value for entry in contact.emails if "@" not in entry.value[1:-1]), None)
    return f"{wrong[:100]!r} is not a mail address" if wrong is not None else ""


def _checked(body: Contact) -> Contact:
    body = canonical(body)
    if problem := problem_of(body):
        raise Conflict(problem, advice="Give at least one field; write addresses like name@example.org.")
    return body


def _external_id(text: str) -> str | None:
    if text and not checked_id(text):
        raise Conflict("that external id cannot be used", advice=f"Use up to {MAX_EXTERNAL_ID} printable characters.")
    return checked_id(text) or None


def _check_version(row: ContactRow, expect: int | None) -> None:
    if expect is not None and row.version != expect:
        raise Conflict(
            f"{_called(row)} is at version {row.version}, not {expect}: somebody changed it",
            advice=f"Look at it (`twinbox contacts show {row.id[:8]}`) and decide again.",
        )


def _check_tags(session: Session, workspace: str, tags: Collection[str]) -> None:
    query = select(TagRow.id).where(TagRow.workspace_id == workspace, TagRow.id.in_(list(tags)))
    if set(session.scalars(query)) != set(tags):
        raise NotFound("no such tag in this workspace", advice="`twinbox tag list` shows all.")


def _own(session: Session, workspace: str, contact_id: str, *, lock: bool = False) -> ContactRow:
    query = select(ContactRow).where(ContactRow.id == contact_id, ContactRow.workspace_id == workspace)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound(f"no contact {contact_id!r} in this workspace", advice="`twinbox contacts list` shows all.")
    return row


def _insert(session: Session, app: App, workspace: str, new: NewContact) -> str:
    return insert_contacts(session, workspace, contact_rules(app.settings.phone_region), [new], app.clock())[0]


def _write(session: Session, app: App, row: ContactRow, body: Contact, modified_at: datetime | None) -> bool:
    """Write another text over the row, which is locked; False when it is the same one."""
    if from_json(row.body) == body:
        return False
    rules = contact_rules(app.settings.phone_region)
    rewrite = contact_rows.Rewrite(row.id, body, row.version + 1, modified_at or app.clock())
    contact_rows.rewrite_contacts(session, row.workspace_id, rules, [rewrite])
    session.refresh(row)
    return True


def _called(row: ContactRow) -> str:
    return row.name[:60] or row.id[:8]
