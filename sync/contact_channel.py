"""Reads and changes what the owner of an account chose for its contacts: tag, group, period, switch.
What the choices mean to a run is `sync.records`; what is held is `sync.held`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from core.contact_settings import MAX_NAME, ContactSettings
from core.errors import BadInput, NotFound
from core.types import Channel
from models.accounts import AccountRow
from models.contacts import TagRow
from sync.app import App
from sync.record_settings import begin_anew, check_period, own_channel, part_all
from sync.tags import PERSONAL, find_tag


@dataclass(frozen=True, slots=True)
class ContactsChange:
    """What to change; None leaves a value as it is. `tag` is a name or id, `period_s` in seconds."""

    tag: str | None = None
    group: str | None = None
    period_s: int | None = None
    auto: bool | None = None


@dataclass(frozen=True, slots=True)
class ContactsChoice:
    """The choices in force. `tag` is the name of the tag, "" before the first run made it."""

    tag: str
    tag_id: str
    group: str
    period_s: int
    auto: bool
    held: dict[str, Any] | None


def contacts_choice(app: App, workspace: str, account_id: str) -> ContactsChoice:
    """The choices of an account's contacts channel. Raises NotFound."""
    with app.db.reading() as session:
        row = own_channel(session, workspace, account_id, Channel.CONTACTS)
        settings = ContactSettings.read(row.settings)
        tag = session.get(TagRow, settings.tag) if settings.tag else None
        name = tag.name if tag else ""
        return ContactsChoice(name, settings.tag, settings.group, row.period_s, row.auto, row.held)


def change_contacts(app: App, workspace: str, account_id: str, change: ContactsChange) -> ContactsChoice:
    """Change the choices; the channel is due at once.

    Another tag or group is a new first run over the pairs that are known: contacts with the tag go into the group,
    those of the group get the tag, nobody is untagged or taken out. A run in progress is stopped before its next write.
    Raises NotFound, and BadInput for a tag that is not a personal one of the owner, a period or name out of range.
    """
    check_period(change.period_s)
    with app.db.transaction() as session:
        row = own_channel(session, workspace, account_id, Channel.CONTACTS)
        before = ContactSettings.read(row.settings)
        after = _chosen(session, workspace, session.get_one(AccountRow, account_id), before, change, row.held)
        if after != before:
            row.settings = after.to_json()
            begin_anew(session, row)
            part_all(session, row)
        if change.period_s is not None:
            row.period_s = change.period_s
        if change.auto is not None:
            row.auto = change.auto
        row.next_run_at = app.clock() if row.auto and row.granted else None
    return contacts_choice(app, workspace, account_id)


def _chosen(
    session: Session,
    workspace: str,
    account: AccountRow,
    now: ContactSettings,
    change: ContactsChange,
    held: dict[str, Any] | None,
) -> ContactSettings:
    if change.tag is not None:
        now = replace(now, tag=_tag(session, workspace, account, change.tag))
    if change.group is not None:
        name = " ".join(change.group.split())
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise BadInput("a group cannot be named like that", advice=f"Use 1 to {MAX_NAME} printable characters.")
        gone = held is not None and held["kind"] == "group_gone"
        if name != now.group or gone:
            now = replace(now, group=name, group_id="")
    return now


def _tag(session: Session, workspace: str, account: AccountRow, text: str) -> str:
    """The id of the tag of that name, which must be a personal one of the account's owner."""
    try:
        found = find_tag(session, workspace, text, owner=account.user_id)
    except NotFound as error:
        raise BadInput(
            f"{text[:100]!r} is no personal tag of the account's owner",
            advice="Only such a tag can decide what is synced. `twinbox tag add NAME --owner ADDRESS` makes one.",
        ) from error
    row = session.get_one(TagRow, found["id"])
    if row.kind != PERSONAL or row.owner_id != account.user_id:
        raise BadInput(f"the tag {row.name!r} is no personal tag of the account's owner", advice="Choose another one.")
    return row.id
