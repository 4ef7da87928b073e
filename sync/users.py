"""Keeps workspaces and users, and finds users and accounts by what people type; every look-up is scoped.
Linking accounts is left to `sync.linking`."""

from __future__ import annotations

import re

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core.addresses import address_key
from core.errors import Conflict, NotFound
from models.accounts import AccountRow, UserRow, WorkspaceRow
from sync.app import App
from sync.ids import new_id

ROLES = ("user", "admin")
_ADDRESS = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[^\s@\x00-\x1f\x7f]{1,255}")
_ID_PREFIX = re.compile(r"[0-9a-f]{4,32}")


def ensure_workspace(app: App, name: str) -> str:
    """The id of the workspace of that name, made if it does not exist yet."""
    with app.db.reading() as session:
        found = session.scalar(select(WorkspaceRow.id).where(WorkspaceRow.name == name))
    if found is not None:
        return found
    try:
        with app.db.transaction() as session:
            row = WorkspaceRow(id=new_id(), name=name, created_at=app.clock())
            session.add(row)
        return row.id
    except IntegrityError:
        return ensure_workspace(app, name)  # another process made it at the same moment


def workspace_id(session: Session, name: str) -> str:
    """The id of an existing workspace. Raises NotFound."""
    found = session.scalar(select(WorkspaceRow.id).where(WorkspaceRow.name == name))
    if found is None:
        raise NotFound(f"no workspace is named {name!r}", advice="Run `twinbox init`, or check TWINBOX_WORKSPACE.")
    return found


def add_user(
    app: App, workspace: str, email: str, *, external_id: str = "", name: str = "", role: str = "user"
) -> UserRow:
    """Add a CRM user; `external_id` (the CRM's own id) defaults to the address, `workspace` is an id.

    Raises Conflict when the address or external id is taken in this workspace or a value has the wrong form.
    """
    key = check_address(email)
    if role not in ROLES:
        raise Conflict(f"{role!r} is not a role", advice=f"Use one of: {', '.join(ROLES)}.")
    row = UserRow(
        id=new_id(),
        workspace_id=workspace,
        external_id=external_id or key,
        email=key,
        name=name,
        role=role,
        created_at=app.clock(),
    )
    try:
        with app.db.transaction() as session:
            session.add(row)
    except IntegrityError as error:
        raise Conflict(
            f"a user with the address {key} or the id {row.external_id} exists already",
            advice="`twinbox user list` shows all users.",
        ) from error
    return row


def check_address(text: str) -> str:
    """The normalised form of a mail address somebody typed. Raises Conflict when it is none."""
    if not _ADDRESS.fullmatch(text.strip()):
        raise Conflict(f"{text[:100]!r} is not a mail address", advice="Write it like name@example.org.")
    return address_key(text.strip())


def list_users(session: Session, workspace: str) -> list[UserRow]:
    """All users of a workspace, by address."""
    return list(session.scalars(select(UserRow).where(UserRow.workspace_id == workspace).order_by(UserRow.email)))


def find_user(session: Session, workspace: str, text: str) -> UserRow:
    """The user with this id, external id or address. Raises NotFound."""
    named = or_(UserRow.id == text, UserRow.external_id == text, UserRow.email == address_key(text))
    rows = list(session.scalars(select(UserRow).where(UserRow.workspace_id == workspace, named).limit(3)))
    # One user's address may be another's external id: the exact id wins, then the external id.
    rows.sort(key=lambda row: (row.id != text, row.external_id != text))
    if not rows:
        raise NotFound(f"no user {text!r} in this workspace", advice="`twinbox user add ADDRESS` adds one.")
    return rows[0]


def list_accounts(session: Session, workspace: str) -> list[AccountRow]:
    """All accounts of a workspace that were not removed, by address."""
    query = select(AccountRow).where(AccountRow.workspace_id == workspace, AccountRow.state != "removed")
    return list(session.scalars(query.order_by(AccountRow.address, AccountRow.id)))


def find_account(session: Session, workspace: str, text: str) -> AccountRow:
    """The account with this id, address, or beginning of an id (4 digits or more).

    Raises NotFound, or Conflict listing the ids when several fit. Removed accounts are found by their full id only.
    """
    own = select(AccountRow).where(AccountRow.workspace_id == workspace)
    exact = session.scalar(own.where(AccountRow.id == text))
    if exact is not None:
        return exact
    living = own.where(AccountRow.state != "removed").order_by(AccountRow.id).limit(10)
    rows = list(session.scalars(living.where(AccountRow.address == address_key(text)))) if "@" in text else []
    if not rows and _ID_PREFIX.fullmatch(text):
        rows = list(session.scalars(living.where(AccountRow.id.startswith(text))))
    if not rows:
        raise NotFound(f"no account {text!r} in this workspace", advice="`twinbox account list` shows all.")
    if len(rows) > 1:
        names = ", ".join(f"{row.id[:8]} ({row.provider})" for row in rows)
        raise Conflict(f"{text!r} fits several accounts: {names}", advice="Name one by the beginning of its id.")
    return rows[0]
