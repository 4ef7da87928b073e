"""Gives adapters the way to sign in to one account: its password, or an access token that is renewed when needed.
What NeedsRelink does to the account is left to the run, the token endpoint to `providers.protocols.oauth2`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from core.errors import Conflict, NeedsRelink, NotFound, Transient
from core.provider import AuthMethod, OAuthClient, OAuthEndpoints
from core.secret import Secret
from models.accounts import AccountRow, SecretRow
from sync.app import App
from sync.registry import find_provider
from sync.vault import Keep, StoredSecret, read_secret, write_secret

if TYPE_CHECKING:
    from providers.protocols import oauth2

Wait = Callable[[float], None]

PASSWORD = "password"  # noqa: S105  # kinds of secrets
REFRESH_TOKEN = "refresh_token"  # noqa: S105
ACCESS_TOKEN = "access_token"  # noqa: S105

MARGIN = timedelta(seconds=90)  # a token must outlive the sign-in it is handed out for
LEASE = timedelta(seconds=60)  # longer than any answer of the token endpoint may take
POLL_SECONDS = 0.2
_RELINK = "Link the account again: `twinbox account link --relink ACCOUNT`."


@dataclass(frozen=True, slots=True)
class PasswordAccess:
    """Access with a password that is not stored (yet): trying it out before it is."""

    login: str
    password: Secret

    @property
    def uses_token(self) -> bool:
        return False

    def secret(self, *, refresh: bool = False) -> Secret:  # noqa: ARG002  # the port's signature
        """The password."""
        return self.password


@dataclass(frozen=True, slots=True)
class TokenAccess:
    """Access with a token that was just received and is good for minutes: trying it out."""

    login: str
    token: Secret

    @property
    def uses_token(self) -> bool:
        return True

    def secret(self, *, refresh: bool = False) -> Secret:  # noqa: ARG002  # the port's signature
        """The token."""
        return self.token


@dataclass(frozen=True, slots=True)
class _Lease:
    """The right to renew the access token. `version` names the refresh token it was taken for."""

    refresh_token: Secret
    version: bytes
    until: datetime


class AccountAccess:
    """`core.ports.Access` of one stored account. Renewal is single-flight over all processes.

    One object per run and thread; get it from `open_access`.
    """

    def __init__(self, app: App, account: AccountRow, oauth: tuple[OAuthEndpoints, OAuthClient] | None, wait: Wait):
        self._app = app
        self._account_id = account.id
        self._workspace_id = account.workspace_id
        self._oauth = oauth
        self._wait = wait
        self._login = account.login
        self._given = b""  # version of the access token handed out last

    @property
    def login(self) -> str:
        """The user name to send."""
        return self._login

    @property
    def uses_token(self) -> bool:
        """Whether `secret()` is an OAuth 2.0 access token."""
        return self._oauth is not None

    def secret(self, *, refresh: bool = False) -> Secret:
        """The password or a valid access token; `refresh`: not the one given before, the server refused it.

        Raises NeedsRelink (nothing stored, or the grant is dead), Misconfigured (the application is refused, the
        vault cannot open it) or Transient. Must not be called inside a database session.
        """
        if self._oauth is None:
            return self._password()
        if self._app.db.in_transaction:
            raise RuntimeError("an access token may need the network, which is never used inside a transaction")
        rejected = self._rejected() if refresh else b""
        waited = 0.0
        while True:
            step = self._take_lease(rejected)
            if isinstance(step, _Lease):
                self._renew(*self._oauth, step)
            elif step is not None:
                self._given = step.version
                return step.secret
            elif waited > LEASE.total_seconds():
                raise Transient("another process is renewing this access token and does not finish")
            else:
                self._wait(POLL_SECONDS)
                waited += POLL_SECONDS

    def _password(self) -> Secret:
        with self._app.db.reading() as session:
            stored = read_secret(session, self._app.vault, self._account_id, PASSWORD)
        if stored is None:
            raise NeedsRelink("no password is stored for this account", advice=_RELINK)
        return stored.secret

    def _rejected(self) -> bytes:
        if self._given:
            return self._given
        with self._app.db.reading() as session:
            stored = read_secret(session, self._app.vault, self._account_id, ACCESS_TOKEN)
        return stored.version if stored else b""

    def _usable(self, session: Session, rejected: bytes) -> StoredSecret | None:
        stored = read_secret(session, self._app.vault, self._account_id, ACCESS_TOKEN)
        if stored is None or stored.version == rejected:
            return None
        if stored.expires_at is not None and stored.expires_at <= self._app.clock() + MARGIN:
            return None
        return stored

    def _take_lease(self, rejected: bytes) -> StoredSecret | _Lease | None:
        """A token that can be used, else the right to renew it, else None: somebody else is renewing it."""
        with self._app.db.reading() as session:
            usable = self._usable(session, rejected)
        if usable is not None:
            return usable
        now = self._app.clock()
        free = or_(SecretRow.lease_until.is_(None), SecretRow.lease_until <= now)
        with self._app.db.transaction() as session:
            usable = self._usable(session, rejected)  # it may have arrived since
            if usable is not None:
                return usable
            stored = read_secret(session, self._app.vault, self._account_id, REFRESH_TOKEN)
            if stored is None:
                raise NeedsRelink("no permission for lasting access is stored for this account", advice=_RELINK)
            taken = session.execute(
                update(SecretRow)
                .where(SecretRow.id == stored.row_id, SecretRow.sealed == stored.sealed, free)
                .values(lease_until=now + LEASE)
                .returning(SecretRow.id)
                .execution_options(synchronize_session=False)
            ).all()
            return _Lease(stored.secret, stored.version, now + LEASE) if taken else None

    def _renew(self, endpoints: OAuthEndpoints, client: OAuthClient, lease: _Lease) -> None:
        """Ask for a new token and store it; nothing is stored when the account was linked anew meanwhile."""
        from providers.protocols import oauth2  # heavy, and needed once an hour at most, for a password never

        kept = False
        try:
            reply = oauth2.refresh(self._app.guard, endpoints, client, lease.refresh_token)
            kept = self._store(lease, reply)
        except NeedsRelink:
            if self._current(lease):
                raise
            # Linked again while the old grant was tried: its refusal says nothing about the new one.
        finally:
            if not kept:
                self._release(lease)

    def _store(self, lease: _Lease, reply: oauth2.TokenReply) -> bool:
        app, now = self._app, self._app.clock()
        with app.db.transaction() as session:
            stored = read_secret(session, app.vault, self._account_id, REFRESH_TOKEN)
            if stored is None or stored.version != lease.version:
                return False
            expires = expiry(reply, now)
            write_secret(session, app.vault, self._keep(ACCESS_TOKEN, reply.access_token, expires), now)
            if reply.refresh_token and reply.refresh_token != lease.refresh_token:
                write_secret(session, app.vault, self._keep(REFRESH_TOKEN, reply.refresh_token), now)
            else:
                _free(session, self._account_id, lease)
        return True

    def _keep(self, kind: str, secret: Secret, expires_at: datetime | None = None) -> Keep:
        return Keep(self._workspace_id, self._account_id, kind, secret, expires_at)

    def _current(self, lease: _Lease) -> bool:
        with self._app.db.reading() as session:
            stored = read_secret(session, self._app.vault, self._account_id, REFRESH_TOKEN)
        return stored is not None and stored.version == lease.version

    def _release(self, lease: _Lease) -> None:
        with self._app.db.transaction() as session:
            _free(session, self._account_id, lease)


def _free(session: Session, account_id: str, lease: _Lease) -> None:
    session.execute(
        update(SecretRow)
        .where(SecretRow.owner == account_id, SecretRow.kind == REFRESH_TOKEN, SecretRow.lease_until == lease.until)
        .values(lease_until=None)
        .execution_options(synchronize_session=False)
    )


def expiry(reply: oauth2.TokenReply, now: datetime) -> datetime:
    """When the access token ends; without a word from the server (RFC 6749 5.1) five minutes are assumed."""
    return now + timedelta(seconds=300 if reply.expires_in is None else reply.expires_in)


def open_access(app: App, account_id: str, *, wait: Wait = time.sleep, ending: bool = False) -> AccountAccess:
    """How to sign in to this account. Touches no network yet; `wait` pauses between looks at another's renewal.
    `ending`: also while it is being removed, to end at the provider what would outlive it.

    Raises NotFound, Conflict (being removed), Misconfigured (OAuth application missing).
    """
    with app.db.reading() as session:
        account = session.scalar(select(AccountRow).where(AccountRow.id == account_id))
    if account is None:
        raise NotFound(f"no account {account_id}")
    if account.state == "removed" or (account.state == "removing" and not ending):
        raise Conflict("this account is being removed")
    provider = find_provider(app, account.workspace_id, account.provider)
    if provider.spec.auth is not AuthMethod.OAUTH2:
        return AccountAccess(app, account, None, wait)
    return AccountAccess(app, account, provider.need_client(), wait)
