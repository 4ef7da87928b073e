"""HTTP for Google's client library: httplib2 whose connections go through the guard and that sends no write twice.
Signing requests is left to google-auth, what an answer means to the caller."""

from __future__ import annotations

import http.client
import time
import zlib
from collections.abc import Mapping
from typing import Any

import httplib2

from core.errors import Transient
from providers.protocols.counting import NO_ANSWER
from providers.protocols.http import Dialer

TIMEOUT = 30.0
DEADLINE = 120.0
ANSWER_LIMIT = 64 * 1024 * 1024  # a page of 1,000 contacts with long notes, unpacked
_REPEATABLE = frozenset({"GET", "HEAD"})  # RFC 9110 9.2.1: safe methods
_PIECE = 256 * 1024


class GuardedHttp(httplib2.Http):
    """httplib2 without its liberties: no proxy from the environment, no redirects, no cache, no second sending.

    httplib2 sends any request again, POST included, when a server hangs up without an answer: one contact would
    become two. Here only reads over a kept connection are tried once more. Not thread-safe.
    """

    def __init__(self, dialer: Dialer, *, timeout: float = TIMEOUT, limit: int = ANSWER_LIMIT) -> None:
        super().__init__(cache=None, timeout=timeout, proxy_info=None)
        self.follow_redirects = False
        self._dialer = dialer
        self._limit = limit

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: Any = None,
        headers: Any = None,
        redirections: int = 0,
        connection_type: Any = None,
    ) -> Any:
        """One request and its whole answer; raises what the guard raises, OSError and http.client.HTTPException."""
        scheme, authority, _, _ = httplib2.urlnorm(uri)
        # Where httplib2 finds a connection, it makes none of its own.
        self.connections.setdefault(f"{scheme}:{authority}", self._connection(scheme, authority))
        return super().request(uri, method, body, headers, redirections, connection_type)

    def _connection(self, scheme: str, authority: str) -> _GuardedConnection:
        return _GuardedConnection(self._dialer, authority, float(self.timeout or TIMEOUT), tls=scheme == "https")

    def _conn_request(self, conn: Any, request_uri: str, method: str, body: Any, headers: Any) -> Any:
        kept = conn.sock is not None
        if kept and method not in _REPEATABLE:
            # The server may be closing the idle connection just now, and then nobody knows whether it took the write.
            conn.close()
            kept = False
        try:
            return self._exchange(conn, request_uri, method, body, headers)
        except (http.client.BadStatusLine, ConnectionError):
            if not kept:
                raise
        return self._exchange(conn, request_uri, method, body, headers)

    def _exchange(
        self, conn: http.client.HTTPConnection, uri: str, method: str, body: Any, headers: Mapping[str, str]
    ) -> tuple[httplib2.Response, bytes]:
        code, complete = NO_ANSWER, False
        try:
            if conn.sock is None:
                conn.connect()
            conn.request(method, uri, body, headers)
            answer = conn.getresponse()
            code = str(answer.status)
            content = self._whole(answer)
            response = httplib2.Response(answer)
            complete = True
        finally:
            self._dialer.heard(conn.host, code)
            if not complete:
                conn.close()
        return response, self._unpacked(response, content)

    def _whole(self, answer: http.client.HTTPResponse) -> bytes:
        deadline = time.monotonic() + DEADLINE
        content = bytearray()
        while piece := answer.read(_PIECE):
            content += piece
            if len(content) > self._limit or time.monotonic() > deadline:
                raise Transient("the server sent too long or too slow an answer")
        if answer.length:  # http.client tells of a cut answer only when it is read in one piece
            raise http.client.IncompleteRead(b"", answer.length)
        return bytes(content)

    def _unpacked(self, response: httplib2.Response, content: bytes) -> bytes:
        if response.get("content-encoding", "") not in ("gzip", "deflate"):
            return content
        unpacker = zlib.decompressobj(wbits=47)  # finds out by itself whether it is gzip or zlib
        try:
            unpacked = unpacker.decompress(content, self._limit + 1)
        except zlib.error as error:
            raise Transient("the server sent a damaged answer") from error
        if len(unpacked) > self._limit:
            raise Transient("the server sent too long an answer")
        response["-content-encoding"] = response.pop("content-encoding")
        return unpacked


class _GuardedConnection(http.client.HTTPConnection):
    """A connection that is opened by the guard."""

    def __init__(self, dialer: Dialer, authority: str, timeout: float, *, tls: bool) -> None:
        self.default_port = http.client.HTTPS_PORT if tls else http.client.HTTP_PORT
        super().__init__(authority, timeout=timeout)
        self._dialer = dialer
        self._seconds = timeout
        self._tls = tls

    def connect(self) -> None:
        """Open the connection. Raises Refused, Transient or Misconfigured."""
        sock = self._dialer.open_socket(self.host, self.port, self._seconds)
        self.sock = self._dialer.wrap_tls(sock, self.host) if self._tls else sock
