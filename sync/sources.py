"""Opens what a provider offers for an account, with the provider row and the access that are in force."""

from __future__ import annotations

from core.errors import NotFound
from core.ports import MailSource
from models.accounts import AccountRow
from providers.protocols.imap import open_imap
from sync.access import open_access
from sync.app import App
from sync.registry import find_provider


def open_mail(app: App, account_id: str) -> MailSource:
    """A signed-in mailbox connection of an account.

    Raises NotFound, NeedsRelink, Misconfigured, Refused or Transient.
    """
    with app.db.reading() as session:
        account = session.get(AccountRow, account_id)
    if account is None:
        raise NotFound("no such account")
    spec = find_provider(app, account.workspace_id, account.provider).spec
    return open_imap(app.guard, spec.imap, open_access(app, account_id))
