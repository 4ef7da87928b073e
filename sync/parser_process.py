"""Runs the mail parser in a process of its own with limits on memory and time, and replaces it when it fails.
What is parsed is `parse`, how the child works `parser_child`; both see one message at a time, never the database."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from core.errors import Transient
from core.packs import ParsedWindow, RawMail
from core.types import ParsedMail
from sync.packing import join_windows, new_compressor, pack_messages, read_window
from sync.parse import parse_header_only, parse_mail
from sync.parser_child import ANSWER, COUNT, ITEM

_CHUNK = 1024 * 1024
_PIECES = 64
_IN_FLIGHT = 2
_START_SECONDS = 20.0
_MAX_FAILURES = 20


@dataclass(frozen=True, slots=True)
class ParserLimits:
    """Limits of the child. `address_space` is in octets.

    After `message_seconds` of CPU the child itself gives up a message as unparsed. A window may take `base_seconds` and
    `pace_seconds` for each of its messages; later the child counts as hung.
    """

    address_space: int = 512 * 1024 * 1024
    message_seconds: float = 2.0
    base_seconds: float = 5.0
    pace_seconds: float = 0.05


class Parser(Protocol):
    """What the sync needs of a parser. A ticket may be collected once, in any order; one thread uses a parser."""

    def submit(self, items: Sequence[RawMail]) -> int: ...
    def collect(self, ticket: int) -> ParsedWindow: ...
    def parse_window(self, items: Sequence[RawMail]) -> ParsedWindow: ...
    def stop(self) -> None: ...


class InProcessParser:
    """The same work without a process and without limits: for tests and a handful of messages."""

    def __init__(self) -> None:
        self._done: dict[int, ParsedWindow] = {}
        self._tickets = 0

    def submit(self, items: Sequence[RawMail]) -> int:
        self._tickets += 1
        self._done[self._tickets] = _packed(items, lambda item: parse_mail(item.data, complete=item.complete))
        return self._tickets

    def collect(self, ticket: int) -> ParsedWindow:
        return self._done.pop(ticket)

    def parse_window(self, items: Sequence[RawMail]) -> ParsedWindow:
        return self.collect(self.submit(items))

    def stop(self) -> None:
        self._done.clear()


def _packed(items: Sequence[RawMail], parse: Callable[[RawMail], ParsedMail]) -> ParsedWindow:
    heads, pieces = pack_messages(items, parse, new_compressor())
    return read_window(heads, b"".join(pieces))


def _unparsed(item: RawMail) -> ParsedWindow:
    return _packed([item], lambda raw: parse_header_only(raw.data))


def _widen(pipe: int) -> None:
    """Gives a pipe 1 MiB instead of 64 KiB where the system allows it: fewer turns between the two processes."""
    if sys.platform == "linux":
        # EPERM: this user's pipes hold as much as they may already. The small pipe does too.
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CHUNK)


class _ChildFailed(Exception):
    """The child died, hung, or answered nonsense."""


@dataclass(slots=True)
class _Job:
    ticket: int
    items: Sequence[RawMail]
    since: float = field(default=0.0)


class ParserProcess:
    """A parser process, started at need and replaced when it fails; an open resource: call `stop` or use `with`.

    Up to two windows are in flight: `submit` the next one while the first is parsed, then `collect`. A window
    that kills or hangs the child is sent again message by message; the guilty one comes back as `unparsed`.
    One thread uses it. Raises Transient when the child cannot be started or keeps failing on everything.
    """

    def __init__(self, limits: ParserLimits | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or ParserLimits()
        self._clock = clock
        self._child: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._received = bytearray()
        self._waiting: list[_Job] = []
        self._done: dict[int, ParsedWindow] = {}
        self._tickets = 0
        self._failures = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The process id of the child, None when none runs."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Starts the child unless it runs, and waits until it is ready; `submit` does it too."""
        early = self._child is not None
        self.warm()
        if self._ready:
            return
        try:
            self._answer(self._clock() + _START_SECONDS)
        except _ChildFailed as error:
            self._kill()
            if early:  # it may have been killed while it waited for work
                self.start()
                return
            raise Transient(
                "the mail parser process does not start",
                advice="Check that the machine has memory left and that the installation is complete.",
            ) from error
        self._ready = True

    def warm(self) -> None:
        """Lets the child begin to start unless it runs: it takes a tenth of a second, which others can use."""
        if self._child is not None:
            return
        limits = self._limits
        root = Path(__file__).resolve().parent.parent
        # A fresh interpreter (no fork: the parent has threads), and no environment that could hold secrets.
        self._child = subprocess.Popen(  # noqa: S603 - our own module, no shell, numbers as arguments
            [sys.executable, "-P", "-m", "sync.parser_child", str(limits.address_space), str(limits.message_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": str(root), "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1"},
            bufsize=0,
        )
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                _widen(pipe.fileno())
        self._received.clear()

    def stop(self) -> None:
        """Ends the child; windows not yet collected are forgotten."""
        self._kill()
        self._waiting.clear()
        self._done.clear()

    def parse_window(self, items: Sequence[RawMail]) -> ParsedWindow:
        """Parses one window and waits for it."""
        return self.collect(self.submit(items))

    def submit(self, items: Sequence[RawMail]) -> int:
        """Hands a window to the child and returns its ticket; waits when two windows are in flight already."""
        while len(self._waiting) >= _IN_FLIGHT:
            self._settle_first()
        self._tickets += 1
        job = _Job(self._tickets, items)
        try:
            self.start()
            self._send(job)
            self._waiting.append(job)
        except _ChildFailed:
            self._recover([*self._waiting, job])
        return job.ticket

    def collect(self, ticket: int) -> ParsedWindow:
        """The result of a ticket; each can be collected once (KeyError after that)."""
        while ticket not in self._done and any(job.ticket == ticket for job in self._waiting):
            self._settle_first()
        return self._done.pop(ticket)

    def _settle_first(self) -> None:
        job = self._waiting[0]
        try:
            window = self._result(job)
        except _ChildFailed:
            self._recover(list(self._waiting))
            return
        self._failures = 0
        self._waiting.pop(0)
        self._done[job.ticket] = window
        if self._waiting:
            self._waiting[0].since = self._clock()

    def _result(self, job: _Job) -> ParsedWindow:
        # The child may have waited for us to read; so it is never late before we have looked once more.
        now = self._clock()
        heads, pack = self._answer(max(self._deadline(job), now + self._limits.message_seconds))
        try:
            window = read_window(heads, pack)
        except ValueError as error:
            raise _ChildFailed from error
        if len(window.items) != len(job.items):
            raise _ChildFailed
        return window

    def _deadline(self, job: _Job) -> float:
        return job.since + self._limits.base_seconds + self._limits.pace_seconds * len(job.items)

    def _recover(self, jobs: list[_Job]) -> None:
        """After a failure: a new child, and every message of the windows in flight on its own."""
        self._kill()
        self._waiting.clear()
        for job in jobs:
            self._done[job.ticket] = join_windows([self._alone(item) for item in job.items])

    def _alone(self, item: RawMail) -> ParsedWindow:
        job = _Job(0, [item])
        try:
            self.start()
            self._send(job)
            window = self._result(job)
        except _ChildFailed as error:
            self._kill()
            self._failures += 1
            if self._failures > _MAX_FAILURES:
                raise Transient("the mail parser process fails on every message") from error
            return _unparsed(item)
        self._failures = 0
        return window

    def _send(self, job: _Job) -> None:
        """Writes one request; what the child has to say meanwhile is read, else both would wait for ever."""
        sizes = [ITEM.pack(len(item.data), item.complete) for item in job.items]
        head = b"".join((COUNT.pack(len(job.items)), *sizes))
        target, _ = self._pipes()
        busy_until = self._deadline(self._waiting[0]) if self._waiting else 0.0
        left = [memoryview(piece) for piece in (head, *(item.data for item in job.items))]
        at = 0
        while at < len(left):
            try:
                sent = os.writev(target, left[at : at + _PIECES])
            except BlockingIOError:
                self._pump(max(busy_until, self._clock() + self._limits.base_seconds), writing=True)
                continue
            except BrokenPipeError as error:
                raise _ChildFailed from error
            while at < len(left) and sent >= len(left[at]):
                sent -= len(left[at])
                at += 1
            if sent:
                left[at] = left[at][sent:]
        job.since = self._clock()

    def _answer(self, deadline: float) -> tuple[bytes, bytes]:
        """The next answer of the child. Once it begins to arrive, only a stall ends the wait."""
        while len(self._received) < ANSWER.size:
            self._pump(deadline)
        heads, pack = ANSWER.unpack_from(self._received)
        total = ANSWER.size + heads + pack
        while len(self._received) < total:
            self._pump(self._clock() + self._limits.base_seconds)
        with memoryview(self._received) as view:
            answer = bytes(view[ANSWER.size : ANSWER.size + heads]), bytes(view[ANSWER.size + heads : total])
        del self._received[:total]
        return answer

    def _pump(self, deadline: float, *, writing: bool = False) -> None:
        """Waits until the child can be read, or written to, and reads what there is."""
        target, source = self._pipes()
        left = max(deadline - self._clock(), 0.0)
        readable, writable, _ = select.select([source], [target] if writing else [], [], left)
        if readable:
            data = os.read(source, _CHUNK)
            if not data:
                raise _ChildFailed
            self._received += data
        elif not writable:
            raise _ChildFailed

    def _pipes(self) -> tuple[int, int]:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise _ChildFailed
        return child.stdin.fileno(), child.stdout.fileno()

    def _kill(self) -> None:
        child, self._child, self._ready = self._child, None, False
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        child.wait()
        self._received.clear()
