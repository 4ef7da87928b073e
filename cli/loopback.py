"""Waits on a loopback port for the browser to come back from an OAuth 2.0 sign-in (RFC 8252 7.3).
What the answer means is decided by the caller, who also writes the page the user sees."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PATH = "/callback"
_HEAD_SECONDS = 10.0  # browsers open spare connections and leave them silent
_ANSWER_SECONDS = 60.0
_STYLE = "body{font:16px/1.6 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;color:#1f2937}"


@dataclass(frozen=True, slots=True)
class Page:
    """What the browser shows at the end."""

    title: str
    text: str


@dataclass(slots=True)
class _Visit:
    """One browser that came back, waiting for its page."""

    query: Mapping[str, str] = field(repr=False)
    page: Page = Page("Not finished", "Look at the terminal window for what happened.")
    answered: threading.Event = field(default_factory=threading.Event)


class Loopback:
    """A listener on 127.0.0.1 at a free port. Use `listening()`; one thread waits in `answer`."""

    def __init__(self) -> None:
        self._visits: queue.Queue[_Visit] = queue.Queue()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.visits = self._visits
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True, name="loopback")

    @property
    def redirect_uri(self) -> str:
        """Where the provider is to send the browser."""
        return f"http://127.0.0.1:{self._server.server_port}{PATH}"

    def answer(self, finish: Callable[[Mapping[str, str]], Page], state: str, timeout: float) -> bool:
        """Hand the query of the first visit that carries `state` to `finish` and show its page.

        False after `timeout` seconds without one. A raising `finish` leaves the browser with a neutral page.
        """
        self._server.state = state
        try:
            visit = self._visits.get(timeout=timeout)
        except queue.Empty:
            return False
        try:
            visit.page = finish(visit.query)
        finally:
            visit.answered.set()
        return True

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, after pages under way were sent."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def listening() -> Iterator[Loopback]:
    """A loopback listener for the length of the block."""
    loopback = Loopback()
    loopback.start()
    try:
        yield loopback
    finally:
        loopback.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that `server_close` waits for the last page to be written
    visits: queue.Queue[_Visit]
    state = ""
    done = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up early is no failure of the linking; nothing is printed."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _HEAD_SECONDS
    server_version = "twinbox"
    sys_version = ""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        server = self.server
        # The Host check keeps web pages of others out, which reach loopback by a name of their own.
        if parts.path != PATH or self.headers.get("Host") != f"127.0.0.1:{server.server_port}":
            self._send(404, Page("Not found", "There is nothing here."))
        elif not server.state or query.get("state") != server.state:
            self._send(400, Page("Not this one", "This is not the sign-in that is waited for."))
        elif server.done:
            self._send(200, Page("Done already", "You can close this window."))
        else:
            server.done = True
            visit = _Visit(query)
            server.visits.put(visit)
            visit.answered.wait(_ANSWER_SECONDS)
            self._send(200, visit.page)

    def _send(self, status: int, page: Page) -> None:
        title, text = escape(page.title), escape(page.text)
        body = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{text}</p></body></html>"
        ).encode()
        self.send_response(status)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ("Referrer-Policy", "no-referrer"),  # the address holds the code
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: the request line holds the authorization code."""
