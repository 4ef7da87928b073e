"""Removes an account step by step; each step is committed, may be repeated, and is found again after a crash.
Nothing is deleted at the provider: only our grant is given back. What a user is asked before is left to the callers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.errors import Conflict, Transient, TwinboxError
from core.secret import Secret
from models.accounts import AccountRow
from models.syncing import ChannelRow, MailboxRow, QuarantineRow, RunRow
from providers.protocols import oauth2
from sync.access import ACCESS_TOKEN, REFRESH_TOKEN, Wait
from sync.account_rows import LINKED, NEEDS_RELINK, PAUSED, REMOVED, REMOVING, own_account
from sync.app import App
from sync.erasure import delete_locations, erase_mail, purge_file
from sync.record_erasure import erase_meetings, erase_records, forget_pairs, release_meetings
from sync.registry import find_provider
from sync.vault import erase_secrets, read_secret
from sync.watches import end_watches

KEEP, ERASE = "keep", "erase"
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a removal did; holds no personal data.

    `grant` is what became of the permission at the provider: `revoked`, `in use` (another account lives on it),
    `none` (password, or already given back), or `not revoked` with `grant_problem` saying why.
    """

    account_id: str
    mode: str
    grant: str
    grant_problem: str
    secrets_erased: int
    mailboxes_forgotten: int
    records_unlinked: int
    messages_erased: int
    contacts_erased: int
    activities_erased: int
    finished_at: datetime


def remove(app: App, workspace: str, account_id: str, *, erase: bool = False, wait: Wait = time.sleep) -> Receipt:
    """Remove an account; with `erase` also its mail and the contacts that came only from it, else both stay.

    What stays in both cases is a tombstone: the account's id, user, provider and dates, so that a repeated call
    is answered; address, login, subject and run history go. Without `erase` messages hang on that tombstone.
    Repeating the call continues after a crash; a removal begun with `erase` stays one.
    Raises NotFound, Conflict (removed already), Transient when a run does not end in time: then repeat it.
    """
    mode = _begin(app, workspace, account_id, ERASE if erase else KEEP)
    _stop_runs(app, account_id, wait)
    end_watches(app, account_id)
    grant, problem = _give_back(app, account_id)
    with app.db.transaction() as session:
        secrets = erase_secrets(session, account_id)
    mailboxes = _forget_cursors(app, account_id)
    pairs = forget_pairs(app, account_id)
    messages = erase_mail(app, account_id) if mode == ERASE else 0
    release_meetings(app, account_id)
    contacts = erase_records(app, account_id) if mode == ERASE else 0
    activities = erase_meetings(app, account_id) if mode == ERASE else 0
    with app.db.transaction() as session:
        _bury(session, account_id)
    purge_file(app)
    return Receipt(
        account_id, mode, grant, problem, secrets, mailboxes, pairs, messages, contacts, activities, app.clock()
    )


def unfinished_removals(app: App) -> list[tuple[str, str]]:
    """(workspace id, account id) of removals that were begun and not finished, for whoever continues them."""
    with app.db.reading() as session:
        query = select(AccountRow.workspace_id, AccountRow.id).where(AccountRow.state == REMOVING)
        return [(workspace, account) for workspace, account in session.execute(query)]


def _begin(app: App, workspace: str, account_id: str, mode: str) -> str:
    with app.db.transaction() as session:
        row = own_account(session, workspace, account_id)
        if row.state == REMOVED and (mode == KEEP or row.removal == ERASE):
            raise Conflict("this account was removed already", advice="Nothing is left to do.")
        if row.state in (LINKED, NEEDS_RELINK, PAUSED):
            row.removal = mode
        elif mode == ERASE:
            row.removal = ERASE  # asking for more is always possible, for less never
        row.state, row.reason, row.advice = REMOVING, "", ""
        session.execute(
            update(ChannelRow).where(ChannelRow.account_id == account_id).values(next_run_at=None, auto=False)
        )
        return row.removal


def _stop_runs(app: App, account_id: str, wait: Wait) -> None:
    """Wait until no run holds a lease, then raise the fences so that a sleeping worker can write no more."""
    waited = 0.0
    while not _fenced(app, account_id):
        # A living worker sees the state at its next step; the lease of a dead one runs out by itself.
        if waited > 2 * app.settings.lease_seconds:
            raise Transient("a run of this account has not ended yet", advice="Repeat the removal in a minute.")
        wait(POLL_SECONDS)
        waited += POLL_SECONDS


def _fenced(app: App, account_id: str) -> bool:
    now = app.clock()
    mine = ChannelRow.account_id == account_id
    with app.db.transaction() as session:
        held = session.scalar(select(ChannelRow.channel).where(mine, ChannelRow.lease_until > now).limit(1))
        if held is not None:
            return False
        session.execute(update(ChannelRow).where(mine).values(lease_until=None, fence=ChannelRow.fence + 1))
        return True


def _give_back(app: App, account_id: str) -> tuple[str, str]:
    """Revoke the grant unless another account lives on it; the outcome for the receipt.

    A provider that cannot be reached does not keep the credentials alive here: they are erased next.
    """
    token = _revocable(app, account_id)
    if token is None:
        return "none", ""
    with app.db.reading() as session:
        row = session.scalars(select(AccountRow).where(AccountRow.id == account_id)).one()
        if grant_in_use(session, row.client_id, row.subject, but=account_id):
            return "in use", ""
    try:
        endpoints, client = find_provider(app, row.workspace_id, row.provider).need_client()
        oauth2.revoke(app.guard, endpoints, client, token)
    except TwinboxError as error:
        return "not revoked", str(error)
    return "revoked", ""


def _revocable(app: App, account_id: str) -> Secret | None:
    with app.db.reading() as session:
        for kind in (REFRESH_TOKEN, ACCESS_TOKEN):
            try:
                stored = read_secret(session, app.vault, account_id, kind)
            except TwinboxError:
                continue  # sealed with a lost key: it cannot be given back, but it can be erased
            if stored is not None:
                return stored.secret
    return None


def grant_in_use(session: Session, client_id: str, subject: str, *, but: str = "") -> bool:
    """Whether an account lives on this person's grant to this application, over all workspaces.

    Revoking one token kills all that the application holds for the person, so then none may be revoked.
    """
    query = select(AccountRow.id).where(
        AccountRow.client_id == client_id,
        AccountRow.subject == subject,
        AccountRow.id != but,
        AccountRow.state.in_((LINKED, NEEDS_RELINK, PAUSED)),
    )
    return session.scalar(query.limit(1)) is not None


def _forget_cursors(app: App, account_id: str) -> int:
    """Folders with their cursors, places and quarantine. Messages keep their own columns as they are."""
    with app.db.reading() as session:
        ids = list(session.scalars(select(MailboxRow.id).where(MailboxRow.account_id == account_id)))
    for mailbox_id in ids:
        delete_locations(app, mailbox_id)
        with app.db.transaction() as session:
            session.execute(delete(QuarantineRow).where(QuarantineRow.mailbox_id == mailbox_id))
            session.execute(delete(MailboxRow).where(MailboxRow.id == mailbox_id))
    return len(ids)


def _bury(session: Session, account_id: str) -> None:
    """The last step: channels and runs go (a run's error text may name people), the row becomes a tombstone."""
    session.execute(delete(ChannelRow).where(ChannelRow.account_id == account_id))
    session.execute(delete(RunRow).where(RunRow.account_id == account_id))
    row = session.scalars(select(AccountRow).where(AccountRow.id == account_id)).one()
    row.state, row.address, row.login = REMOVED, "", ""
    row.subject = f"removed:{account_id}"  # unique, so that the same mailbox can be linked afresh
    row.granted_scopes, row.grant_ends_at, row.client_id = [], None, ""
