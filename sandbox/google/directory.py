"""PRETENDS who exists: Google accounts and registered OAuth clients.
Tokens and grants that hang on them are kept by `store`."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

ClientKind = Literal["web", "desktop"]
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_DESKTOP_REDIRECTS = ("http://127.0.0.1", "http://[::1]", "http://localhost")


@dataclass(frozen=True, slots=True)
class User:
    """A Google account. `sub` never changes, `email` may; `hd` is the Workspace domain, if any."""

    email: str
    name: str
    sub: str
    hd: str | None = None
    email_verified: bool = True
    deleted: bool = False
    admin_policy: bool = False  # the Workspace administrator blocks this service: admin_policy_enforced
    reauth: str | None = None  # error_subtype that refreshes get: invalid_rapt or rapt_required


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth client as registered in the Google Cloud console.

    `testing` is the publishing status in which refresh tokens live 7 days; `test_users` then limits who may
    consent (None: anyone). `internal_domain` makes the application Internal to that Workspace domain.
    """

    client_id: str
    client_secret: str
    kind: ClientKind = "web"
    redirect_uris: tuple[str, ...] = ()
    name: str = "Sandbox application"
    testing: bool = False
    test_users: frozenset[str] | None = None
    internal_domain: str | None = None
    require_pkce: bool = True  # stricter than Google, so that a client that forgets PKCE is caught
    deleted: bool = False
    disabled: bool = False

    def accepts_redirect(self, uri: str) -> bool:
        """Exact match for web clients; desktop clients may use any loopback port (RFC 8252, 7.3)."""
        if self.kind == "web":
            return uri in self.redirect_uris
        return any(_same_but_port(uri, known) for known in self.redirect_uris or _DESKTOP_REDIRECTS)


class Users:
    """The accounts of the double, found by e-mail address or `sub`. Safe to use from any thread."""

    def __init__(self, lock: threading.RLock, rng: random.Random) -> None:
        self._lock = lock
        self._rng = rng
        self._by_sub: dict[str, User] = {}

    def add(self, email: str, name: str = "", sub: str | None = None, *, hd: str | None = None) -> User:
        """Create an account; `sub` is drawn if not given. Raises ValueError if address or sub is taken."""
        with self._lock:
            chosen = sub or "1" + "".join(self._rng.choices("0123456789", k=20))
            if chosen in self._by_sub or self.find(email) is not None:
                raise ValueError(f"user {email} ({chosen}) exists already")
            user = User(email=email, name=name or email.partition("@")[0], sub=chosen, hd=hd)
            self._by_sub[chosen] = user
            return user

    def update(self, who: str, /, **changes: Any) -> User:
        """Change fields of an account: `email`, `admin_policy` and others. Raises KeyError if unknown."""
        with self._lock:
            user = replace(self[who], **changes)
            self._by_sub[user.sub] = user
            return user

    def delete(self, email: str) -> None:
        """Delete an account; its `sub` is never used again. Raises KeyError if unknown."""
        self.update(email, deleted=True)

    def find(self, who: str) -> User | None:
        """The living account with this e-mail address (any case) or `sub`."""
        with self._lock:
            return next((u for u in self.all() if who == u.sub or who.lower() == u.email.lower()), None)

    def by_sub(self, sub: str) -> User:
        """The account, deleted or not, that owns `sub`. Raises KeyError if there never was one."""
        with self._lock:
            return self._by_sub[sub]

    def all(self) -> tuple[User, ...]:
        """Living accounts, oldest first."""
        with self._lock:
            return tuple(user for user in self._by_sub.values() if not user.deleted)

    def __getitem__(self, who: str) -> User:
        user = self.find(who)
        if user is None:
            raise KeyError(f"no such user: {who}")
        return user


class Clients:
    """The registered OAuth clients. Safe to use from any thread."""

    def __init__(self, lock: threading.RLock, rng: random.Random, token: Callable[[int], str]) -> None:
        self._lock = lock
        self._rng = rng
        self._token = token
        self._by_id: dict[str, Client] = {}

    def add(
        self,
        kind: ClientKind = "web",
        redirect_uris: Iterable[str] = (),
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        **fields: Any,
    ) -> Client:
        """Register a client; id and secret are drawn if not given, `fields` are those of `Client`.

        Raises ValueError for a redirect address Google's console refuses: plain http outside loopback.
        """
        uris = tuple(redirect_uris)
        for uri in uris:
            parts = urlsplit(uri)
            if parts.fragment or (parts.scheme != "https" and parts.hostname not in _LOOPBACK):
                raise ValueError(f"redirect address must be https or loopback, without fragment: {uri}")
        with self._lock:
            number = self._rng.randrange(10**11, 10**12)
            ident = client_id or f"{number}-{self._token(32).lower()}.apps.googleusercontent.com"
            if ident in self._by_id:
                raise ValueError(f"client {ident} exists already")
            secret = f"GOCSPX-{self._token(28)}" if client_secret is None else client_secret
            self._by_id[ident] = Client(ident, secret, kind, uris, **fields)
            return self._by_id[ident]

    def update(self, client_id: str, /, **changes: Any) -> Client:
        """Change fields of a client, for example `client_secret` or `testing`. Raises KeyError if unknown."""
        with self._lock:
            self._by_id[client_id] = replace(self._by_id[client_id], **changes)
            return self._by_id[client_id]

    def delete(self, client_id: str) -> None:
        """Delete a client: everything then answers `deleted_client`. Raises KeyError if unknown."""
        self.update(client_id, deleted=True)

    def find(self, client_id: str) -> Client | None:
        """The client, deleted or not, or None if it never existed."""
        with self._lock:
            return self._by_id.get(client_id)

    def all(self) -> Collection[Client]:
        """Every client, deleted ones too, oldest first."""
        with self._lock:
            return tuple(self._by_id.values())


def _same_but_port(uri: str, known: str) -> bool:
    try:
        asked, registered = urlsplit(uri), urlsplit(known)
        _ = asked.port  # read for its check: urlsplit looks at the port only when asked
    except ValueError:
        return False
    if asked.scheme != registered.scheme or asked.hostname != registered.hostname or asked.fragment:
        return False
    if asked.username is not None or asked.hostname not in _LOOPBACK:
        return False
    # Desktop clients register no path at Google, and then any path is taken.
    return registered.path in ("", "/") or (asked.path, asked.query) == (registered.path, registered.query)
