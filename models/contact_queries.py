"""What people and the API are shown of contacts and tags. Every query is scoped by workspace; rows become plain data
here. Changing anything is left to `sync`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from core.addresses import address_key
from core.contact import Contact, from_json
from core.errors import Conflict, NotFound
from models.accounts import UserRow
from models.columns import Record
from models.contacts import ContactKeyRow, ContactRow, ContactTagRow, TagRow
from models.db import parts

EXPORT_BATCH = 1_000
_SHOWN = 5  # how many candidates an error names
_ID_PREFIX = re.compile(r"[0-9a-f]{4,31}")
_AFTER_HEX = "g"  # sorts behind every digit of an id, in every collation


def list_contacts(
    session: Session,
    workspace: str,
    *,
    search: str = "",
    tag: str = "",
    deleted: bool = False,
    limit: int = 50,
    after: str = "",
) -> list[Record]:
    """Contacts by name: those that have `search` in a name, an e-mail address or the organization, and bear the tag of
    that id. `after` is the id of the last contact of the page before. Raises NotFound for an unknown `after`."""
    query = _chosen(workspace, search, tag, deleted)
    if after:
        query = query.where(_behind(session, workspace, after))
    rows = session.scalars(query.order_by(ContactRow.name, ContactRow.id).limit(limit)).all()
    tags = tags_of(session, [row.id for row in rows])
    return [_short(row, tags.get(row.id, [])) for row in rows]


def iterate_contacts(session: Session, workspace: str, *, tag: str = "") -> Iterator[Sequence[ContactRow]]:
    """All living contacts by name, a batch at a time."""
    last: tuple[str, str] | None = None
    while True:
        query = _chosen(workspace, "", tag, False).order_by(ContactRow.name, ContactRow.id).limit(EXPORT_BATCH)
        rows = session.scalars(query.where(_later(*last)) if last else query).all()
        if rows:
            yield rows
        if len(rows) < EXPORT_BATCH:
            return
        last = (rows[-1].name, rows[-1].id)
        session.expunge_all()  # a big book is not held in memory


def _chosen(workspace: str, search: str, tag: str, deleted: bool) -> Select[ContactRow]:
    is_deleted = ContactRow.deleted_at.is_not(None) if deleted else ContactRow.deleted_at.is_(None)
    query = select(ContactRow).where(ContactRow.workspace_id == workspace, is_deleted)
    if tag:
        query = query.where(ContactRow.id.in_(select(ContactTagRow.contact_id).where(ContactTagRow.tag_id == tag)))
    for word in search.split():
        query = query.where(_has(workspace, word))
    return query


def _has(workspace: str, word: str) -> ColumnElement[bool]:
    # SQLite compares letters beyond ASCII as they are: the usual spellings are tried.
    spellings = {word} if word.isascii() else {word, word.lower(), word.upper(), word.capitalize()}
    columns = (ContactRow.name, ContactRow.email, ContactRow.organization)
    texts = [column.icontains(text, autoescape=True) for column in columns for text in sorted(spellings)]
    further = select(ContactKeyRow.contact_id).where(
        ContactKeyRow.workspace_id == workspace,
        ContactKeyRow.key.startswith("mail:"),
        ContactKeyRow.key.contains(address_key(word), autoescape=True),
    )
    return or_(*texts, ContactRow.id.in_(further))


def _behind(session: Session, workspace: str, contact_id: str) -> ColumnElement[bool]:
    query = select(ContactRow.name).where(ContactRow.workspace_id == workspace, ContactRow.id == contact_id)
    name = session.scalar(query)
    if name is None:
        raise NotFound(f"no contact {contact_id!r} to go on after", advice="Give the full id of the last one you saw.")
    return _later(name, contact_id)


def _later(name: str, contact_id: str) -> ColumnElement[bool]:
    return or_(ContactRow.name > name, and_(ContactRow.name == name, ContactRow.id > contact_id))


def find_contact(session: Session, workspace: str, text: str, *, deleted: bool = False) -> ContactRow:
    """The contact with this id, external id, e-mail address or beginning of an id (4 digits or more).

    Of several with one address the living ones count, with `deleted` the deleted ones. Raises NotFound, or Conflict
    naming the candidates.
    """
    text = text.strip()
    own = select(ContactRow).where(ContactRow.workspace_id == workspace)
    exact = session.scalar(own.where(ContactRow.id == text)) or session.scalar(
        own.where(ContactRow.external_id == text)
    )
    if exact is not None:
        return exact
    rows = _by_address(session, own, text, deleted) if "@" in text else []
    if not rows and _ID_PREFIX.fullmatch(text):
        between = and_(ContactRow.id >= text, ContactRow.id < text + _AFTER_HEX)
        rows = list(session.scalars(own.where(between).order_by(ContactRow.id).limit(_SHOWN + 1)))
    if not rows:
        raise NotFound(
            f"no contact {text[:100]!r} in this workspace", advice="`twinbox contacts list --search TEXT` finds some."
        )
    if len(rows) > 1:
        names = ", ".join(f"{row.id[:8]} ({row.name})" for row in rows[:_SHOWN])
        more = " and others" if len(rows) > _SHOWN else ""
        raise Conflict(
            f"{text[:100]!r} fits several contacts: {names}{more}", advice="Name one by the beginning of its id."
        )
    return rows[0]


def _by_address(session: Session, own: Select[ContactRow], text: str, deleted: bool) -> list[ContactRow]:
    holders = select(ContactKeyRow.contact_id).where(ContactKeyRow.key == f"mail:{address_key(text)}")
    rows = list(session.scalars(own.where(ContactRow.id.in_(holders)).order_by(ContactRow.id)))
    wanted = [row for row in rows if (row.deleted_at is not None) == deleted]
    return (wanted or rows)[: _SHOWN + 1]


def contact_record(session: Session, row: ContactRow) -> Record:
    """Everything about a contact: what the service knows of it, its tags, and all fields, empty ones too."""
    return contact_records(session, [row])[0]


def contact_records(session: Session, rows: Sequence[ContactRow]) -> list[Record]:
    """As `contact_record`, for many."""
    tags = tags_of(session, [row.id for row in rows])
    return [
        _short(row, tags.get(row.id, []))
        | {"origin_account": row.origin_account, "created_at": row.created_at}
        | contact_fields(row)
        for row in rows
    ]


def contact_fields(row: ContactRow) -> Record:
    """The fields of a contact as plain data."""
    body: Contact = from_json(row.body)
    return {name: getattr(body, name) for name in Contact.__dataclass_fields__}


def _short(row: ContactRow, tags: list[Record]) -> Record:
    return {
        "id": row.id,
        "external_id": row.external_id,
        "name": row.name,
        "email": row.email,
        "organization": row.organization,
        "version": row.version,
        "modified_at": row.modified_at,
        "deleted_at": row.deleted_at,
        "tags": tags,
    }


# ---- tags ------------------------------------------------------------------------------------------------


def tags_of(session: Session, contact_ids: Iterable[str]) -> dict[str, list[Record]]:
    """The tags of contacts, by contact id."""
    found: dict[str, list[Record]] = {}
    for some in parts(list(contact_ids)):
        query = (
            select(ContactTagRow.contact_id, TagRow, UserRow.email)
            .join(TagRow, TagRow.id == ContactTagRow.tag_id)
            .outerjoin(UserRow, UserRow.id == TagRow.owner_id)
            .where(ContactTagRow.contact_id.in_(some))
            .order_by(TagRow.name, TagRow.id)
        )
        for contact_id, tag, owner in session.execute(query):
            found.setdefault(contact_id, []).append(_tag(tag, owner))
    return found


def list_tags(session: Session, workspace: str) -> list[Record]:
    """All tags of a workspace by name, with the number of living contacts that bear each."""
    bearing = (
        select(ContactTagRow.tag_id, func.count().label("contacts"))
        .join(ContactRow, ContactRow.id == ContactTagRow.contact_id)
        .where(ContactRow.workspace_id == workspace, ContactRow.deleted_at.is_(None))
        .group_by(ContactTagRow.tag_id)
        .subquery()
    )
    rows = session.execute(
        select(TagRow, UserRow.email, bearing.c.contacts)
        .outerjoin(UserRow, UserRow.id == TagRow.owner_id)
        .outerjoin(bearing, bearing.c.tag_id == TagRow.id)
        .where(TagRow.workspace_id == workspace)
        .order_by(TagRow.name, TagRow.kind, UserRow.email, TagRow.id)
    )
    return [_tag(tag, owner) | {"contacts": count or 0} for tag, owner, count in rows]


def _tag(row: TagRow, owner: str | None) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "kind": row.kind, "owner": owner}
