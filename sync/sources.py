"""Opens what a provider offers for an account, with the provider row and the access that are in force."""

from __future__ import annotations

import time
from datetime import date

import providers
from core.contact import Contact
from core.errors import NotFound
from core.event import Event
from core.ports import Calendars, MailSource, RemoteReplica
from core.provider import ProviderSpec
from core.replica import Scope
from models.accounts import AccountRow
from providers.protocols.imap import open_imap
from sync.access import Wait, open_access
from sync.app import App
from sync.registry import find_provider


def open_mail(app: App, account_id: str) -> MailSource:
    """A signed-in mailbox connection of an account.

    Raises NotFound, NeedsRelink, Misconfigured, Refused or Transient.
    """
    return open_imap(app.guard, spec_of(app, account_id).imap, open_access(app, account_id))


def open_contacts(app: App, account_id: str, scope: Scope, *, wait: Wait = time.sleep) -> RemoteReplica[Contact]:
    """The contacts of an account at its provider; `scope` is the group that selects. Touches no network yet.

    Raises NotFound, Conflict (being removed) or Misconfigured (also where contacts are not supported).
    """
    return providers.open_contacts(
        spec_of(app, account_id),
        app.guard,
        open_access(app, account_id, wait=wait),
        scope=scope,
        now=app.clock,
        wait=wait,
        roots={"google": app.settings.google_base_url},
    )


def open_calendar(
    app: App,
    account_id: str,
    scope: Scope,
    *,
    since: date | None,
    wait: Wait = time.sleep,
) -> RemoteReplica[Event]:
    """A calendar of an account at its provider: `scope`, or the account's own; events that end before `since` are left
    out. Touches no network yet.

    Raises NotFound, Conflict (being removed) or Misconfigured (also where calendars are not supported).
    """
    return providers.open_calendar(
        spec_of(app, account_id),
        app.guard,
        open_access(app, account_id, wait=wait),
        scope=scope,
        since=since,
        send_updates=app.settings.calendar_guests,
        all_kinds=app.settings.calendar_kinds == "all",
        now=app.clock,
        wait=wait,
        roots={"google": app.settings.google_base_url},
    )


def open_calendars(app: App, account_id: str, *, wait: Wait = time.sleep) -> Calendars:
    """The calendars of an account at its provider, also while it is being removed. Touches no network yet.

    Raises as `open_calendar` does.
    """
    return providers.open_calendars(
        spec_of(app, account_id),
        app.guard,
        open_access(app, account_id, wait=wait, ending=True),
        now=app.clock,
        roots={"google": app.settings.google_base_url},
    )


def spec_of(app: App, account_id: str) -> ProviderSpec:
    """The provider of an account as it is set up now. Raises NotFound."""
    with app.db.reading() as session:
        account = session.get(AccountRow, account_id)
    if account is None:
        raise NotFound("no such account")
    return find_provider(app, account.workspace_id, account.provider).spec
