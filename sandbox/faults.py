"""PRETENDS trouble: HTTP faults scripted ahead, played by an ASGI layer in front of a double.
Decides which request is spoiled and how; what a healthy answer looks like is left to the double behind it."""

from __future__ import annotations

import asyncio
import json as jsonlib
import math
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Drop = Literal["before", "after"]
TRANSPORT = "transport"  # key under scope["state"] where the server leaves the connection's transport


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer: status, headers as sent, body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """One scripted fault; also the handle by which a test waits for it and lets it go."""

    method: str | None
    path: str
    reply: Reply | None = None
    apply: bool = False
    drop: Drop | None = None
    truncate: int | None = None
    delay: float = 0.0
    hold: bool = False
    gate: Future[None] = field(default_factory=Future)
    reached: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let requests held or delayed by this fault go on. Harmless if there are none."""
        if not self.gate.done():
            self.gate.set_result(None)

    def matches(self, method: str, path: str) -> bool:
        """Whether a request falls under this fault; a path ending in `*` matches by prefix."""
        if self.method is not None and self.method != method:
            return False
        return path.startswith(self.path[:-1]) if self.path.endswith("*") else path == self.path


class Faults:
    """Faults waiting for their request, first scripted first played. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[Fault, float]] = []
        self._holding: list[Fault] = []

    def next(
        self,
        route: str,
        *,
        times: int | None = 1,
        status: int | None = None,
        json: Any = None,
        html: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        apply: bool = False,
        drop: Drop | None = None,
        truncate: int | None = None,
        delay: float = 0.0,
        hold: bool = False,
    ) -> Fault:
        """Spoil the next `times` requests to `route` (None: all, until `clear`).

        `route` is a path, `METHOD path`, or either with a trailing `*` as prefix.
        `status`, `json`, `html`, `body` and `headers` are the answer instead of the double's own; with `apply`
        the double works first and only its answer is lost.
        `drop` closes the connection without an answer, `before` or `after` the double has worked.
        `truncate` sends that many bytes of the body and hangs up.
        `delay` waits that many seconds first, `hold` until `Fault.release` or the end of the double.
        Raises ValueError when nothing would happen.
        """
        reply = _canned(status, json, html, body, headers)
        if reply is None and drop is None and truncate is None and not delay and not hold:
            raise ValueError("a fault needs a status, json, html, body, drop, truncate, delay or hold")
        method, _, path = route.rpartition(" ")
        fault = Fault(method or None, path, reply, apply, drop, truncate, delay, hold)
        with self._lock:
            self._waiting.append((fault, math.inf if times is None else times))
            if hold or delay:
                self._holding.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that spoils this request, counted as used, or None."""
        with self._lock:
            for index, (fault, left) in enumerate(self._waiting):
                if fault.matches(method, path):
                    self._waiting[index : index + 1] = [(fault, left - 1)] if left > 1 else []
                    return fault
        return None

    def pending(self) -> int:
        """How many scripted faults still wait for a request; 0 at the end of a test means all were met."""
        with self._lock:
            return len(self._waiting)

    def clear(self) -> None:
        """Forget all faults and release what they hold."""
        with self._lock:
            self._waiting.clear()
            holding, self._holding = self._holding, []
        for fault in holding:
            fault.release()


class FaultLayer:
    """ASGI layer that counts calls by path and plays the faults scripted for them."""

    def __init__(self, app: ASGIApp, faults: Faults, calls: Counter[str]) -> None:
        self._app = app
        self._faults = faults
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._calls[scope["path"]] += 1
        fault = self._faults.take(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await _play(fault, self._app, scope, receive, send)


async def _play(fault: Fault, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    fault.reached.set()
    await _wait(fault)
    works = fault.drop == "after" or fault.apply or (fault.drop is None and fault.reply is None)
    own = await _captured(app, scope, receive) if works else None
    if own is None:
        await _read_body(receive)
    answer = fault.reply or own
    if fault.drop is not None or answer is None:
        await _cut(scope, receive, abort=True)
        return
    await send({"type": "http.response.start", "status": answer.status, "headers": _with_length(answer)})
    if fault.truncate is None:
        await send({"type": "http.response.body", "body": answer.body})
        return
    await send({"type": "http.response.body", "body": answer.body[: fault.truncate], "more_body": True})
    await _cut(scope, receive, abort=False)


async def _wait(fault: Fault) -> None:
    if fault.hold or fault.delay:
        # wait() leaves the shared gate alone when time is up; wait_for() would cancel it for all requests.
        await asyncio.wait([asyncio.wrap_future(fault.gate)], timeout=None if fault.hold else fault.delay)


async def _captured(app: ASGIApp, scope: Scope, receive: Receive) -> Reply:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    start = next(m for m in messages if m["type"] == "http.response.start")
    body = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
    return Reply(start["status"], tuple((bytes(k), bytes(v)) for k, v in start["headers"]), body)


async def _read_body(receive: Receive) -> None:
    # Unread bytes in the socket would turn the close into a reset and hide which failure was asked for.
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass


async def _cut(scope: Scope, receive: Receive, *, abort: bool) -> None:
    transport: asyncio.Transport = scope["state"][TRANSPORT]
    if abort:
        transport.abort()
    else:
        transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


def _canned(
    status: int | None, json: Any, html: str | None, body: bytes | None, headers: Mapping[str, str] | None
) -> Reply | None:
    if status is None and json is None and html is None and body is None:
        if headers:
            raise ValueError("headers alone make no answer: give a status, json, html or body as well")
        return None
    if json is not None:
        kind, content = "application/json; charset=utf-8", jsonlib.dumps(json).encode()
    elif html is not None:
        kind, content = "text/html; charset=utf-8", html.encode()
    else:
        kind, content = "application/octet-stream", body or b""
    named = {"content-type": kind} | {name.lower(): value for name, value in (headers or {}).items()}
    raw = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items())
    return Reply(200 if status is None else status, raw, content)


def _with_length(reply: Reply) -> list[tuple[bytes, bytes]]:
    if any(name.lower() == b"content-length" for name, _ in reply.headers):
        return list(reply.headers)
    return [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
