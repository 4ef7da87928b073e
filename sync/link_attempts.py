"""Keeps started authorizations: stores an attempt with its sealed PKCE verifier, gives it to whoever claims it first.
What an attempt is for is decided by `sync.linking`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.secret import Secret
from models.accounts import LinkAttemptRow
from sync.app import App
from sync.vault import Keep, erase_secrets, read_secret, write_secret

ATTEMPT_LIFETIME = timedelta(minutes=10)
VERIFIER = "code_verifier"
AGAIN = "Start linking again."


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed attempt: what was asked, and the PKCE verifier it was started with."""

    row: LinkAttemptRow
    verifier: Secret


def save_attempt(session: Session, app: App, row: LinkAttemptRow, verifier: Secret) -> None:
    """Store an attempt that was just started, and forget those whose time is over."""
    _forget_expired(session, app.clock())
    session.add(row)
    session.flush()
    write_secret(session, app.vault, Keep(row.workspace_id, row.id, VERIFIER, verifier, row.expires_at), app.clock())


def _forget_expired(session: Session, now: datetime) -> None:
    for attempt_id in list(session.scalars(select(LinkAttemptRow.id).where(LinkAttemptRow.expires_at <= now))):
        erase_secrets(session, attempt_id)
        session.execute(delete(LinkAttemptRow).where(LinkAttemptRow.id == attempt_id))


def claim_attempt(app: App, state: str, browser: str) -> Attempt:
    """Take the attempt out of the database: whoever deletes the row has it, everybody else comes too late."""
    lost = NotFound("this link attempt is unknown, used already or too old", advice=AGAIN)
    if not state or len(state) > 200:
        raise lost
    named = LinkAttemptRow.state_hash == digest(state)
    bound = LinkAttemptRow.session_hash == digest(browser)
    with app.db.transaction() as session:
        row = session.scalar(select(LinkAttemptRow).where(named, bound))
        if row is None:
            raise lost
        session.expunge(row)
        claimed = session.execute(delete(LinkAttemptRow).where(named, bound).returning(LinkAttemptRow.id)).all()
        verifier = read_secret(session, app.vault, row.id, VERIFIER)
        if not claimed or verifier is None:
            raise lost
        erase_secrets(session, row.id)
    if row.expires_at <= app.clock():
        raise lost
    return Attempt(row, verifier.secret)


def digest(text: str) -> str:
    """How a state or session name is stored: whoever reads the database cannot use it. "" stays "" (no session)."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
