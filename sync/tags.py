"""Keeps the tags of a workspace, and gives them to contacts. A personal tag is named within its owner.
What a tag means for an account is `sync.channel_tag`; who bears it is read by `models.contact_queries`."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.errors import Conflict, NotFound
from core.types import Channel
from models.accounts import AccountRow, WorkspaceRow
from models.columns import Record
from models.contact_queries import list_tags
from models.contacts import ContactRow, ContactTagRow, TagRow
from models.db import affected, parts
from models.syncing import ChannelRow
from sync.app import App
from sync.contact_rows import add_tag, remove_tag
from sync.ids import new_id
from sync.users import find_user

PERSONAL, CORPORATE, PUBLIC = "personal", "corporate", "public"
KINDS = (PERSONAL, CORPORATE, PUBLIC)
MAX_NAME = 100


def make_tag(app: App, workspace: str, name: str, *, kind: str = PERSONAL, owner: str = "") -> Record:
    """Add a tag; `owner` is the user (address, external id, id) a personal one belongs to.

    Raises Conflict when the name is taken or the values do not fit together, NotFound for an unknown user.
    """
    name = _checked_name(name)
    if kind not in KINDS:
        raise Conflict(f"{kind!r} is not a kind of tag", advice=f"Use one of: {', '.join(KINDS)}.")
    if (kind == PERSONAL) != bool(owner):
        what = "a personal tag needs an owner" if kind == PERSONAL else f"a {kind} tag has no owner"
        raise Conflict(what, advice="Give --owner with a user's address for personal tags, and for these only.")
    with app.db.transaction() as session:
        owner_id = find_user(session, workspace, owner).id if owner else None
        _check_free(session, workspace, name, kind, owner_id)
        row = TagRow(
            id=new_id(), workspace_id=workspace, name=name, kind=kind, owner_id=owner_id, created_at=app.clock()
        )
        session.add(row)
        session.flush()
        return tag_record(session, workspace, row.id)


def rename_tag(app: App, workspace: str, tag_id: str, name: str) -> Record:
    """Give a tag another name. Raises NotFound, Conflict when the name is taken."""
    name = _checked_name(name)
    with app.db.transaction() as session:
        row = _own(session, workspace, tag_id)
        _check_free(session, workspace, name, row.kind, row.owner_id, but=row.id)
        row.name = name
        session.flush()
        return tag_record(session, workspace, row.id)


def delete_tag(app: App, workspace: str, tag_id: str, *, force: bool = False) -> int:
    """Delete a tag; how many contacts lose it. Raises NotFound, and Conflict for the tag of a contacts channel unless
    forced: that channel is held then until its owner chooses another."""
    with app.db.transaction() as session:
        row = _own(session, workspace, tag_id)
        users = _accounts_with(session, workspace, row.id)
        if users and not force:
            raise Conflict(
                f"the tag {row.name!r} decides which contacts {', '.join(users)} syncs",
                advice="Choose another tag there first, or add --force: the sync of its contacts is held then.",
            )
        lost = affected(session.execute(delete(ContactTagRow).where(ContactTagRow.tag_id == row.id)))
        session.delete(row)
        return lost


def tag_contacts(app: App, workspace: str, tag_id: str, contact_ids: Collection[str]) -> int:
    """Give contacts a tag; how many did not have it. Raises NotFound for a tag or contact of another workspace."""
    with app.db.transaction() as session:
        _own(session, workspace, tag_id)
        _check_contacts(session, workspace, contact_ids)
        return add_tag(session, tag_id, contact_ids)


def untag_contacts(app: App, workspace: str, tag_id: str, contact_ids: Collection[str]) -> int:
    """Take a tag from contacts; how many had it. Raises NotFound for a tag or contact of another workspace."""
    with app.db.transaction() as session:
        _own(session, workspace, tag_id)
        _check_contacts(session, workspace, contact_ids)
        return remove_tag(session, tag_id, contact_ids)


def find_tag(session: Session, workspace: str, text: str, *, owner: str = "") -> Record:
    """The tag of that name or id; `owner` (a user) looks among the personal tags of that user alone.

    Raises NotFound, or Conflict when several have the name.
    """
    user = find_user(session, workspace, owner) if owner else None
    tags = [tag for tag in list_tags(session, workspace) if user is None or tag["owner"] == user.email]
    exact = [tag for tag in tags if tag["id"] == text]
    found = exact or [tag for tag in tags if tag["name"].casefold() == _one_line(text).casefold()]
    if not found:
        whose = f" of {user.email}" if user else ""
        raise NotFound(f"no tag {text[:100]!r}{whose}", advice="`twinbox tag list` shows all, `tag add` makes one.")
    if len(found) > 1:
        names = ", ".join(f"{tag['owner'] or tag['kind']} ({tag['id']})" for tag in found[:5])
        raise Conflict(
            f"several tags are named {text[:100]!r}: {names}",
            advice="Add --owner with the address of a user, or give the id of the tag instead of its name.",
        )
    return found[0]


def tag_record(session: Session, workspace: str, tag_id: str) -> Record:
    """A tag as plain data. Raises NotFound."""
    found = next((tag for tag in list_tags(session, workspace) if tag["id"] == tag_id), None)
    if found is None:
        raise NotFound("no such tag in this workspace", advice="`twinbox tag list` shows all.")
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _checked_name(text: str) -> str:
    name = _one_line(text)
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise Conflict("a tag cannot be named like that", advice=f"Use 1 to {MAX_NAME} printable characters.")
    return name


def _check_free(session: Session, workspace: str, name: str, kind: str, owner_id: str | None, *, but: str = "") -> None:
    # One at a time within a workspace: no constraint of the database knows case folding.
    session.scalar(select(WorkspaceRow.id).where(WorkspaceRow.id == workspace).with_for_update())
    query = select(TagRow).where(TagRow.workspace_id == workspace, TagRow.kind == kind, TagRow.id != but)
    for row in session.scalars(query):
        if row.owner_id == owner_id and row.name.casefold() == name.casefold():
            raise Conflict(f"a {kind} tag named {row.name!r} exists already", advice="Choose another name.")


def _own(session: Session, workspace: str, tag_id: str) -> TagRow:
    row = session.scalar(select(TagRow).where(TagRow.id == tag_id, TagRow.workspace_id == workspace).with_for_update())
    if row is None:
        raise NotFound("no such tag in this workspace", advice="`twinbox tag list` shows all.")
    return row


def _accounts_with(session: Session, workspace: str, tag_id: str) -> list[str]:
    """The addresses of accounts whose contacts channel goes by this tag."""
    rows = session.execute(
        select(AccountRow.address, ChannelRow.settings)
        .join(AccountRow, AccountRow.id == ChannelRow.account_id)
        .where(ChannelRow.workspace_id == workspace, ChannelRow.channel == Channel.CONTACTS.value)
        .where(AccountRow.state != "removed")
    )
    return sorted(address for address, settings in rows if settings.get("tag") == tag_id)


def _check_contacts(session: Session, workspace: str, contact_ids: Collection[str]) -> None:
    known: set[str] = set()
    for some in parts(list(contact_ids)):
        query = select(ContactRow.id).where(ContactRow.workspace_id == workspace, ContactRow.id.in_(some))
        known |= set(session.scalars(query))
    if unknown := set(contact_ids) - known:
        raise NotFound(f"no contact {min(unknown)!r} in this workspace", advice="`twinbox contacts list` shows all.")
