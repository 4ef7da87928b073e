"""PRETENDS to be Google on a loopback port: one web server in a thread, all Google surfaces under one root.
Starts, stops and wires the parts; the surfaces themselves are routes, added one module per Google API."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandbox.clock import SandboxClock
from sandbox.faults import TRANSPORT, FaultLayer, Faults
from sandbox.google.api_http import api_routes
from sandbox.google.authorization import Consent
from sandbox.google.calendar_api import CalendarApi
from sandbox.google.consent import not_found_page
from sandbox.google.directory import Clients, Users
from sandbox.google.errors import OAuthError
from sandbox.google.identity import SigningKey, new_signing_key
from sandbox.google.oauth import oauth_routes, refused
from sandbox.google.people_api import PeopleApi
from sandbox.google.records import Knobs, TokenInfo
from sandbox.google.scopes import carries_mail
from sandbox.google.store import Store

Tls = ssl.SSLContext | tuple[str | Path, str | Path]
Router = Callable[[Store], Sequence[BaseRoute]]
_START_SECONDS = 20
_END_SECONDS = 5


class Clock(Protocol):
    """What the double needs of a clock: aware UTC times."""

    def now(self) -> datetime: ...


class GoogleDouble:
    """Google's identity service, People API (`people`) and Calendar API (`calendar`) on a free loopback port.

        with GoogleDouble() as google:
            google.users.add("ann@example.com", "Ann")
            google.clients.add("desktop", client_id="id", client_secret="secret")
            ...  # talk to google.base_url

    `clock` counts every lifetime (default: the wall clock, which tests can advance); `id_token_now` stamps id
    tokens (default: `clock`); `seed` fixes every token drawn; `tls` is a server context or a pair of paths
    (certificate chain, key); `hostname` is the name put into `base_url`; `key` may be shared between doubles,
    since drawing one takes 0.1 s; `routers` add more surfaces. Safe to use from any thread.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        tls: Tls | None = None,
        hostname: str = "127.0.0.1",
        id_token_now: Callable[[], datetime] | None = None,
        key: SigningKey | None = None,
        routers: Sequence[Router] = (),
    ) -> None:
        self.clock: Clock = clock or SandboxClock()
        self.faults = Faults()
        self.calls: Counter[str] = Counter()
        self.key = key or new_signing_key(self.clock.now())
        self.store = Store(self.clock.now, random.Random(seed))
        self.people = PeopleApi(self.store, self.clock.now, seed)
        self.calendar = CalendarApi(self.store, self.clock.now, seed)
        routes = [*oauth_routes(self.store, self.key, self.clock.now, id_token_now or self.clock.now)]
        routes.extend(api_routes(self.people, "/v1/people", "/v1/contactGroups"))
        routes.extend(api_routes(self.calendar, "/calendar/v3/"))
        app = Starlette(
            routes=[*routes, *(route for router in routers for route in router(self.store))],
            exception_handlers={404: _not_found, 405: _not_found, OAuthError: refused},
        )
        self._app = DateLayer(FaultLayer(app, self.faults, self.calls), self.clock.now)
        self._tls = tls
        self._hostname = hostname
        self._port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    # -- the server

    def start(self) -> Self:
        """Listen; a double once stopped takes its old port again.

        Raises OSError for a port taken meanwhile or an unreadable certificate, RuntimeError if it runs already.
        """
        if self._thread is not None:
            raise RuntimeError("this double is running already")
        config = _config(self._app, self._tls)
        config.load()  # here and not in the thread, so that the caller gets the error
        listener = _listener(self._port)
        self._port = listener.getsockname()[1]
        server = _Server(config)
        thread = threading.Thread(target=server.run_on, args=(listener,), name="google-double", daemon=True)
        thread.start()
        if not server.ready.wait(_START_SECONDS) or not server.started:
            listener.close()
            raise RuntimeError(f"the Google double did not start within {_START_SECONDS} s")
        self._server, self._thread = server, thread
        return self

    def stop(self) -> None:
        """Cut every connection, release held faults and free the port. Harmless if it is not running."""
        if self._thread is None or self._server is None:
            return
        self.faults.clear()
        self._server.finish()
        self._thread.join()
        self._server, self._thread = None, None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """The root of all surfaces, without a trailing slash; known once started."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self._hostname}:{self._port}"

    # -- what the world can do to it

    @property
    def users(self) -> Users:
        """The Google accounts."""
        return self.store.users

    @property
    def clients(self) -> Clients:
        """The registered OAuth clients."""
        return self.store.clients

    @property
    def knobs(self) -> Knobs:
        """Variants of behaviour: token rotation, revocation lag, lifetimes, limits."""
        return self.store.knobs

    @property
    def auto_consent(self) -> Consent | None:
        """The answer given without showing the consent page; None shows the page."""
        return self.store.auto_consent

    @auto_consent.setter
    def auto_consent(self, consent: Consent | None) -> None:
        self.store.auto_consent = consent

    def revoke_user(self, email: str, client_id: str | None = None) -> None:
        """The user takes back access in the account settings, from one client or all."""
        self.store.revoke_user(email, client_id)

    def change_password(self, email: str) -> None:
        """A new password: tokens that carry a mail scope die, others live."""
        self.store.change_password(email)

    def expire_access_tokens(self, email: str | None = None) -> None:
        """Let access tokens run out now; refresh tokens live."""
        self.store.expire_access_tokens(email)

    def require_reauth(self, email: str, subtype: str = "invalid_rapt") -> None:
        """Workspace session control: refreshes get invalid_grant with this subtype until the next consent."""
        self.users.update(email, reauth=subtype)

    def token_active(self, token: str) -> TokenInfo | None:
        """What a living access token stands for, or None."""
        return self.store.token_active(token)

    def mail_user(self, token: str) -> str | None:
        """The address of the user whom this access token lets into IMAP and SMTP, or None."""
        info = self.store.token_active(token)
        return info.email if info is not None and carries_mail(info.scopes) else None


class DateLayer:
    """ASGI layer that sends the double's own time as `Date`, so that clock skew can be played."""

    def __init__(self, app: ASGIApp, now: Callable[[], datetime]) -> None:
        self._app = app
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(self._now(), usegmt=True).encode()
                message = {**message, "headers": [*message["headers"], (b"date", date), (b"server", b"ESF")]}
            await send(message)

        await self._app(scope, receive, dated)


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        super().connection_made(transport)
        # Faults need the connection itself: ASGI has no way to hang up without an answer.
        self.app_state = {**self.app_state, TRANSPORT: transport}


class _Server(uvicorn.Server):
    """uvicorn that tells when it listens and ends at once; as it stands it looks ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._end: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def finish(self) -> None:
        """Ask the server thread to end; call it from another thread, once ready."""
        if self._loop is not None and self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)

    def run_on(self, listener: socket.socket) -> None:
        try:
            with contextlib.closing(listener):
                self.run(sockets=[listener])
        finally:
            self.ready.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets=sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        assert self._end is not None
        await self._end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A client that keeps its connection open must not hold up the end, nor leave a socket behind.
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if tasks := list(self.server_state.tasks):
            await asyncio.wait(tasks, timeout=_END_SECONDS)
        for server in self.servers:
            await server.wait_closed()


def _listener(port: int) -> socket.socket:
    # Named as TCP, or asyncio leaves Nagle's algorithm on and every answer waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(100)
    return listener


def _config(app: ASGIApp, tls: Tls | None) -> uvicorn.Config:
    given = tls if isinstance(tls, ssl.SSLContext) else None
    certificate, key = tls if isinstance(tls, tuple) else (None, None)
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        ssl_context_factory=None if given is None else lambda _config, _default: given,
    )


async def _not_found(_request: Request, _error: Exception) -> Response:
    # Google answers a wrong method on these hosts with 404, not 405.
    return HTMLResponse(not_found_page(), 404)
