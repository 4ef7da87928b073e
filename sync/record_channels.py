"""Opens a channel of records for a run: its settings, the CRM side, the provider's side, the rules of its records.
What is done with them is `sync.records`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, TypeVar

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.calendar_settings import CalendarSettings, day_begins, mark_of, same_calendars
from core.contact import Contact
from core.contact_settings import ContactSettings
from core.errors import NotFound
from core.event import Event
from core.policy import EVENTS, Policy
from core.ports import RemoteReplica
from core.replica import Scope
from core.types import Channel
from models.accounts import AccountRow
from models.syncing import ChannelRow
from sync.account_rows import channel_of
from sync.app import App
from sync.calendar_roles import CalendarAccount
from sync.calendar_set import CalendarSet
from sync.channel_tag import own_tag
from sync.lease import Lease
from sync.local import LocalContacts
from sync.local_calendar import LocalCalendar
from sync.phones import contact_rules
from sync.record_run import LocalSide, RecordRun, Watch
from sync.sources import open_calendar, open_contacts

T = TypeVar("T")

REACH = timedelta(days=90)  # how far back a calendar is synced unless a day was chosen

_GROUP_GONE = (
    "Nobody was untagged. `twinbox settings contacts ACCOUNT --group NAME` makes it again and refills it, or takes "
    "another one; `--no-auto` stops the sync."
)


_CALENDAR_GONE = (
    "Nothing was cancelled. Share it again at the provider, or link the account again; `twinbox settings calendar "
    "ACCOUNT --calendar NAME` chooses others, `--no-auto` stops the sync."
)


def unwatched(_run: object) -> None:
    """Nobody watches this run."""


@contextmanager
def opened_contacts(
    app: App, account_id: str, *, lease: Lease | None = None, watch: Watch = unwatched
) -> Iterator[RecordRun[Contact]]:
    """A run of an account's contacts, with the provider's side open. Without a lease it can only plan.

    Raises NotFound, Misconfigured, NeedsRelink, Refused, Transient, and Held when the channel's tag is gone.
    """
    account, row = _channel(app, account_id, Channel.CONTACTS)
    settings = ContactSettings.read(row.settings)
    tag = own_tag(app, account, settings, make=lease is not None)
    policy = contact_rules(app.settings.phone_region)

    def local(session: Session) -> LocalContacts:
        return LocalContacts(session, account.workspace_id, tag, policy, app.clock())

    def keep_scope(session: Session, scope: Scope) -> None:
        _keep_settings(session, row, ContactSettings(tag, scope.name, scope.id).to_json())

    scope = Scope(settings.group_id, settings.group)
    replica = (app.open_contacts or open_contacts)(app, account_id, scope)
    with _open(app, account, row, replica, policy, local, scope, keep_scope, _GROUP_GONE, lease, watch) as run:
        yield run


@contextmanager
def opened_calendar(
    app: App,
    account_id: str,
    *,
    lease: Lease | None = None,
    watch: Watch = unwatched,
    since: date | None = None,
    calendars: tuple[Scope, ...] = (),
) -> Iterator[RecordRun[Event]]:
    """A run of an account's calendars, with the provider's side open. Without a lease it can only plan; `since` and
    `calendars` plan as if they had been chosen. Raises NotFound, Misconfigured, NeedsRelink, Refused, Transient."""
    account, row = _channel(app, account_id, Channel.CALENDAR)
    settings = CalendarSettings.read(row.settings)
    first = since or settings.since or (app.clock() - REACH).date()
    scopes = calendars or settings.calendars
    marks = frozenset(mark_of(scope.id) for scope in scopes)
    mine = CalendarAccount(
        account.workspace_id, account_id, account.user_id, day_begins(first), marks, address=account.address
    )

    def local(session: Session) -> LocalCalendar:
        return LocalCalendar(session, mine, app.clock())

    def keep_scope(session: Session, scope: Scope) -> None:
        _keep_settings(session, row, CalendarSettings(first, (scope, *scopes[1:])).to_json())

    replica = _open_calendars(app, account_id, scopes, first)
    if (since is not None and since != settings.since) or not same_calendars(scopes, settings.calendars):
        row.cursor = ""  # what changed since the last run says nothing of another range
    with _open(app, account, row, replica, EVENTS, local, scopes[0], keep_scope, _CALENDAR_GONE, lease, watch) as run:
        run.covers = mine.covers
        yield run


def _open_calendars(app: App, account_id: str, scopes: Sequence[Scope], since: date) -> RemoteReplica[Event]:
    """The chosen calendars as one; one alone as it is."""
    opened = [(scope, (app.open_calendar or open_calendar)(app, account_id, scope, since=since)) for scope in scopes]
    return opened[0][1] if len(opened) == 1 and not mark_of(scopes[0].id) else CalendarSet(opened, _CALENDAR_GONE)


@contextmanager
def _open(
    app: App,
    account: AccountRow,
    row: ChannelRow,
    replica: RemoteReplica[T],
    policy: Policy[T],
    local: Callable[[Session], LocalSide[T]],
    scope: Scope,
    keep_scope: Callable[[Session, Scope], None],
    advice: str,
    lease: Lease | None,
    watch: Watch,
) -> Iterator[RecordRun[T]]:
    try:
        yield RecordRun(
            app,
            account.id,
            account.workspace_id,
            replica,
            policy,
            local,
            row.channel,
            scope,
            keep_scope,
            advice,
            row.cursor,
            _approved(row),
            lease,
            watch,
        )
    finally:
        replica.close()


def _keep_settings(session: Session, row: ChannelRow, settings: dict[str, Any]) -> None:
    session.execute(
        update(ChannelRow)
        .where(ChannelRow.account_id == row.account_id, ChannelRow.channel == row.channel)
        .values(settings=settings)
    )


def _channel(app: App, account_id: str, channel: Channel) -> tuple[AccountRow, ChannelRow]:
    with app.db.reading() as session:
        account = session.get(AccountRow, account_id)
        row = channel_of(session, account_id, channel)
    if account is None:
        raise NotFound("there is no such account any more", advice="`twinbox account list` shows all.")
    return account, row


def _approved(row: ChannelRow) -> frozenset[str]:
    """The actions a person has confirmed."""
    held = row.held or {}
    return frozenset(held.get("keys", ()) if held.get("approved") else ())
