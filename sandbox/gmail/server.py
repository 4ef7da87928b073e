"""The Gmail double: an IMAP and SMTP server in a thread of its own, driven by tests and the demo.

Decides starting, stopping, the connection limit and token expiry; protocols are left to session.py, smtp.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar

from sandbox.gmail import login, manage, mutate, search, select
from sandbox.gmail.faults import Faults
from sandbox.gmail.fetch import COMMANDS as FETCH_COMMANDS
from sandbox.gmail.folders import PlainMail
from sandbox.gmail.labels import GmailMail
from sandbox.gmail.login import CheckToken
from sandbox.gmail.model import Mailbox
from sandbox.gmail.names import FolderNames
from sandbox.gmail.profile import PlainProfile, profile_of
from sandbox.gmail.session import EXPIRED, Command, No, Session
from sandbox.gmail.smtp import SmtpSettings, smtp_factory
from sandbox.gmail.store import Clock, Counters, Quota, Store
from sandbox.gmail.wire import MAX_LINE, Wire

T = TypeVar("T")

COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        **login.COMMANDS,
        **select.COMMANDS,
        **FETCH_COMMANDS,
        **search.COMMANDS,
        **mutate.COMMANDS,
        **manage.COMMANDS,
    }
)
_EXPIRY_POLL = 0.02


class SystemClock:
    """The time of the machine."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(UTC)


class GmailDouble:
    """Pretends to be imap.gmail.com and smtp.gmail.com on free loopback ports, or a plain IMAP server.

    A context manager. `mail` changes Gmail mailboxes, `folders` those of a plain profile; `faults` arms what
    shall go wrong. `check_token` maps an access token to (email, expiry) or None. Without `tls` everything
    is plain TCP and `smtps_port` is 0.
    """

    def __init__(
        self,
        *,
        check_token: CheckToken = lambda _: None,
        certfile: str | Path | None = None,
        keyfile: str | Path | None = None,
        clock: Clock | None = None,
        seed: int = 0,
        profile: Literal["gmail"] | PlainProfile = "gmail",
        tls: bool = True,
        smtp: bool = True,
        max_connections: int = login.MAX_CONNECTIONS,
    ) -> None:
        self.store = Store(profile_of(profile), clock or SystemClock(), seed)
        self.mail = GmailMail(self.store)
        self.folders = PlainMail(self.store)
        self.max_connections = max_connections
        self._check_token = check_token
        self._tls = _server_context(certfile, keyfile) if tls else None
        self._smtp = smtp
        self._sessions: dict[Session, asyncio.Task[None]] = {}
        self._servers: list[asyncio.Server] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.imap_port = self.smtps_port = self.submission_port = 0

    @property
    def faults(self) -> Faults:
        """The scripted faults of this server."""
        return self.store.faults

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen on free loopback ports; returns when connections are accepted."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gmail-double", daemon=True)
        self._thread.start()
        self._call(self._start())
        self.store.listeners.append(self._notify)

    def stop(self) -> None:
        """Close every connection, the ports and the thread."""
        if self._loop is None or self._thread is None:
            return
        self.store.listeners.remove(self._notify)
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def reset(self) -> None:
        """Drop all connections, users, faults and counters, keeping the ports."""
        self._call(self._drop_sessions())
        self.store.clear()

    def add_user(
        self,
        user: str,
        *,
        app_password: str = "",
        password: str = "",
        language: str | FolderNames = "en",
        hidden: frozenset[str] = frozenset(),
        aliases: frozenset[str] = frozenset(),
    ) -> Mailbox:
        """Create a user; see `Store.add_user`. Users that a change names spring up by themselves."""
        return self.store.add_user(
            user,
            app_password=app_password,
            password=password,
            language=language,
            hidden=hidden,
            aliases=aliases,
        )

    def box(self, user: str) -> Mailbox:
        """The user's mailbox with its switches (late_commands, hidden, auto_expunge, sent_limit ...)."""
        return self.store.box(user)

    def counters(self, user: str) -> Counters:
        """What the user's sessions did so far."""
        with self.store.lock:
            counters = self.store.counters[user.lower()]
            live = [s.bytes_sent for s in tuple(self._sessions) if s.user == user.lower()]
            return Counters(
                counters.bytes_sent,
                counters.sessions + live,
                list(counters.commands),
                Counter(counters.fetched),
            )

    def forget_counters(self, user: str) -> None:
        """Start counting the user's traffic from zero."""
        with self.store.lock:
            self.store.counters.pop(user.lower(), None)

    def set_quota(
        self, user: str, *, max_bytes: int | None = None, max_commands: int | None = None, reply: str = "NO"
    ) -> None:
        """Allow so many bytes sent or commands per 24 hours of the clock, then OVERQUOTA as NO or BYE."""
        with self.store.lock:
            counters = self.store.counters[user.lower()]
            self.store.quotas[user.lower()] = Quota(
                max_bytes,
                max_commands,
                reply,
                self.store.clock.now(),
                counters.bytes_sent,
                len(counters.commands),
            )

    def clear_quota(self, user: str) -> None:
        """Lift the quota."""
        with self.store.lock:
            self.store.quotas.pop(user.lower(), None)

    def hold_changes(self, user: str) -> None:
        """From now on HIGHESTMODSEQ and UIDNEXT rise with changes, but no session can see them yet."""
        with self.store.lock:
            box = self.store.box(user)
            box.held_at = box.modseq

    def release_changes(self, user: str) -> None:
        """Let sessions see what was held."""
        with self.store.changing(user) as box:
            box.held_at = None

    def connections(self, user: str) -> int:
        """How many sessions the user has open."""
        return sum(session.user == user.lower() for session in tuple(self._sessions))

    def kick(self, user: str, text: str = "Session terminated by administrator.") -> None:
        """Say BYE to all sessions of the user."""
        self._call(self._kick(user.lower(), text))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            work.close()
            raise RuntimeError("the double is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self) -> None:
        self.imap_port = await self._listen(self._serve_imap, self._tls)
        if self._smtp:
            settings = SmtpSettings(self.store, self.mail, self.folders, self._check_token, self._tls)
            if self._tls is not None:
                self.smtps_port = await self._listen_smtp(settings, self._tls)
            self.submission_port = await self._listen_smtp(settings, None)
        self._watcher = asyncio.ensure_future(self._watch_expiry())

    async def _listen(
        self,
        serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
        tls: ssl.SSLContext | None,
    ) -> int:
        server = await asyncio.start_server(serve, sock=_free_port(), ssl=tls, limit=MAX_LINE)
        self._servers.append(server)
        return _port(server)

    async def _listen_smtp(self, settings: SmtpSettings, tls: ssl.SSLContext | None) -> int:
        factory = smtp_factory(settings, implicit=tls is not None)
        server = await asyncio.get_running_loop().create_server(factory, sock=_free_port(), ssl=tls)
        self._servers.append(server)
        return _port(server)

    async def _serve_imap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = 4096 if self.store.profile.has("LITERAL-") else 0
        wire = Wire(reader, writer, lambda size: session.count(size), non_sync_limit=limit)
        session = Session(self.store, wire, COMMANDS)
        session.login, session.check_token = self._admit, self._check_token
        task = asyncio.current_task()
        if task is not None:
            self._sessions[session] = task
        peer = writer.get_extra_info("peername") or ("127.0.0.1",)
        greeting = "Gimap ready for requests from " + f"{peer[0]} {id(session) % 99991:x}"
        try:
            await session.run(greeting if self.store.profile.gmail else "IMAP4rev1 server ready")
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._sessions.pop(session, None)
            if session.user:
                self.store.counters[session.user].sessions.append(session.bytes_sent)
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    def _admit(self, session: Session, user: str, expires_at: datetime | None) -> None:
        """Log the session in, unless the user has too many already."""
        if self.connections(user) >= self.max_connections:
            raise No("[ALERT] Too many simultaneous connections. (Failure)")
        session.user, session.box, session.expires_at = user, self.store.box(user), expires_at
        self.store.counters[user].bytes_sent += session.bytes_sent

    def _notify(self, user: str) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake, user)

    def _wake(self, user: str) -> None:
        for session in self._sessions:
            if session.user == user:
                session.changed.set()

    async def _watch_expiry(self) -> None:
        """End idle sessions whose token has expired by the (possibly advanced) clock."""
        while True:
            await asyncio.sleep(_EXPIRY_POLL)
            if all(session.expires_at is None for session in self._sessions):
                continue
            now = self.store.clock.now()
            for session in tuple(self._sessions):
                if session.expires_at is not None and now >= session.expires_at and not session.busy:
                    await session.say_bye(EXPIRED)

    async def _kick(self, user: str, text: str) -> None:
        for session in tuple(self._sessions):
            if session.user == user:
                await session.say_bye(text)

    async def _drop_sessions(self) -> None:
        tasks = list(self._sessions.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop(self) -> None:
        self._watcher.cancel()
        for server in self._servers:
            server.close()
        self._servers.clear()
        await self._drop_sessions()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # One more turn, so that aborted transports close their sockets before the loop ends.
        await asyncio.sleep(0)


def _server_context(certfile: str | Path | None, keyfile: str | Path | None) -> ssl.SSLContext:
    if certfile is None:
        raise ValueError("TLS needs a certfile (a PEM chain), or tls=False")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certfile, keyfile)
    return context


def _free_port() -> socket.socket:
    # Named as TCP, or asyncio leaves Nagle's algorithm on and answers wait for acknowledgements.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    return listening


def _port(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
