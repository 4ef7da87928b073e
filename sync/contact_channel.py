"""Reads and changes what the owner of an account chose for its contacts: tag, group, period, switch; and takes a
person's word on what is held. What the choices mean to a run is `sync.records`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.contact_settings import MAX_NAME, ContactSettings
from core.errors import BadInput, Conflict, NotFound
from core.types import Channel
from models.accounts import AccountRow
from models.contacts import TagRow
from models.links import LinkRow
from models.syncing import ChannelRow
from sync.account_rows import own_account
from sync.app import App
from sync.tags import PERSONAL, find_tag

SHORTEST_PERIOD = 60
LONGEST_PERIOD = 30 * 86_400


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
        row = _channel(session, workspace, account_id)
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
    if change.period_s is not None and not SHORTEST_PERIOD <= change.period_s <= LONGEST_PERIOD:
        raise BadInput(
            f"a period of {change.period_s} seconds is not possible for contacts",
            advice=f"Give {SHORTEST_PERIOD} to {LONGEST_PERIOD} seconds, or --no-auto to run only when asked.",
        )
    with app.db.transaction() as session:
        row = _channel(session, workspace, account_id)
        before = ContactSettings.read(row.settings)
        after = _chosen(session, workspace, session.get_one(AccountRow, account_id), before, change, row.held)
        if after != before:
            row.settings = after.to_json()
            _begin_anew(session, row)
        if change.period_s is not None:
            row.period_s = change.period_s
        if change.auto is not None:
            row.auto = change.auto
        row.next_run_at = app.clock() if row.auto and row.granted else None
    return contacts_choice(app, workspace, account_id)


def _channel(session: Session, workspace: str, account_id: str) -> ChannelRow:
    own_account(session, workspace, account_id)
    row = session.get(ChannelRow, (account_id, Channel.CONTACTS.value))
    if row is None:
        raise NotFound("this account has no contacts channel", advice="Link it again with --channels contacts.")
    return row


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


def _begin_anew(session: Session, row: ChannelRow) -> None:
    """Pairs stay known but have to join again; whoever runs the channel right now must not write any more."""
    row.cursor, row.held = "", None
    row.fence, row.lease_until = row.fence + 1, None
    session.execute(
        update(LinkRow)
        .where(LinkRow.account_id == row.account_id, LinkRow.channel == row.channel)
        .values(active=False)
        .execution_options(synchronize_session=False)
    )


# ---- what is held ------------------------------------------------------------------------------------------


def confirm_held(app: App, workspace: str, account_id: str) -> dict[str, Any]:
    """A person says yes: the next run, due now, may do exactly what was listed. Raises NotFound, Conflict."""
    with app.db.transaction() as session:
        row = _channel(session, workspace, account_id)
        held = _held(row)
        if not held["keys"]:
            raise Conflict(held["text"], advice="There is nothing to confirm: choose the tag or group anew.")
        row.held = {**held, "approved": True, "discarded": False}
        row.next_run_at = app.clock()
        return dict(row.held)


def discard_held(app: App, workspace: str, account_id: str) -> dict[str, Any]:
    """A person says no: nothing of it is done, and the channel does not run by itself until it is started by hand.
    Raises NotFound, Conflict."""
    with app.db.transaction() as session:
        row = _channel(session, workspace, account_id)
        held = _held(row)
        row.held = {**held, "approved": False, "discarded": True}
        row.next_run_at = None
        return dict(row.held)


def _held(row: ChannelRow) -> dict[str, Any]:
    if row.held is None:
        raise Conflict("nothing is held", advice="`twinbox status` shows which channels wait for somebody.")
    return row.held
