"""HTTP over the connection guard: client, capped reading of answers, translation of failures.
Which addresses may be reached is decided by the guard, what an answer means by the caller."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpcore2
import httpx2

from core.errors import Transient
from providers.protocols.counting import NO_ANSWER, Heard

BODY_LIMIT = 64 * 1024
DEADLINE = 30.0


class Dialer(Protocol):
    """What HTTP needs of `connect.Guard`."""

    def open_socket(self, host: str, port: int, timeout: float) -> socket.socket: ...

    def wrap_tls(self, sock: socket.socket, host: str) -> ssl.SSLSocket: ...

    @property
    def heard(self) -> Heard:
        """Told of every answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP answer; `body` may hold secrets, so it is never printed."""

    status: int
    headers: httpx2.Headers
    body: bytes

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, {len(self.body)} bytes)"


def guarded_client(dialer: Dialer, timeout: float) -> httpx2.Client:
    """A client whose connections are opened by `dialer`. Environment proxies and redirects are not followed."""
    return httpx2.Client(
        transport=_GuardedTransport(dialer),
        timeout=timeout,
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": "twinbox", "Accept-Encoding": "identity"},
    )


def exchange(
    client: httpx2.Client,
    method: str,
    url: str,
    *,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    limit: int = BODY_LIMIT,
) -> Reply:
    """One request and its whole answer, at most `limit` bytes and about `DEADLINE` seconds.

    Raises Transient for network faults and oversized or endless answers, and whatever the guard raises.
    """
    deadline = time.monotonic() + DEADLINE
    host = httpx2.URL(url).host
    try:
        with client.stream(method, url, data=form, headers=headers) as response:
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > limit or time.monotonic() > deadline:
                    raise Transient(f"{host} sent too long or too slow an answer")
            return Reply(response.status_code, response.headers, bytes(body))
    except httpx2.TimeoutException as error:
        raise Transient(f"{host} did not answer in time") from error
    except httpx2.HTTPError as error:
        raise Transient(f"the connection to {host} failed ({type(error).__name__})") from error


class _GuardedTransport(httpx2.HTTPTransport):
    """httpx2's transport over a pool that opens its connections through the guard."""

    def __init__(self, dialer: Dialer) -> None:
        # This context is never used for a handshake (see _GuardedStream.start_tls). It is empty, so it trusts nobody.
        unused = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=unused, max_connections=4, keepalive_expiry=15, network_backend=_GuardedBackend(dialer)
        )
        self._heard = dialer.heard

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        code = NO_ANSWER
        try:
            response = super().handle_request(request)
            code = str(response.status_code)
            return response
        finally:
            self._heard(request.url.host, code)


class _GuardedBackend(httpcore2.NetworkBackend):
    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        del local_address, socket_options  # neither is ever set by our pool
        return _GuardedStream(self._dialer.open_socket(host, port, timeout or DEADLINE), self._dialer)


class _GuardedStream(httpcore2.NetworkStream):
    def __init__(self, sock: socket.socket, dialer: Dialer) -> None:
        self._sock = sock
        self._dialer = dialer
        self._answer_by = time.monotonic() + DEADLINE

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        # The timeout is for one read only: a server that drips its header lines would never let it fire.
        left = self._answer_by - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout
        self._sock.settimeout(left if timeout is None else min(timeout, left))
        try:
            return self._sock.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        except OSError as error:
            raise httpcore2.ReadError(type(error).__name__) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._answer_by = time.monotonic() + DEADLINE  # a new request: its answer has the whole time again
        self._sock.settimeout(timeout)
        try:
            self._sock.sendall(buffer)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout from error
        except OSError as error:
            raise httpcore2.WriteError(type(error).__name__) from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        # The pool's context is left aside for the guard's own: httpcore2 writes ALPN "http/1.1" into the context it
        # is given, which must not leak into the IMAP and SMTP handshakes that share it.
        del ssl_context
        self._sock.settimeout(timeout)
        return _GuardedStream(self._dialer.wrap_tls(self._sock, server_hostname or ""), self._dialer)

    def get_extra_info(self, info: str) -> Any:
        if info == "socket":
            return self._sock
        if info == "server_addr":
            return self._sock.getpeername()
        if info == "is_readable":  # an idle connection that became readable was closed by the server
            return _is_readable(self._sock)
        return None


def _is_readable(sock: socket.socket) -> bool:
    # Through the TLS layer, not select(): session tickets make a healthy TLS 1.3 socket readable. A byte lost here
    # does not matter, because a connection that speaks unasked is thrown away.
    sock.settimeout(0)
    try:
        sock.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True
