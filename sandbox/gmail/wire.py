"""One IMAP connection's bytes: reads commands with their literals, sends answers, carries out transport faults.

Decides framing only; what a command means is left to session.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

MAX_LINE = 1 << 20
MAX_LITERAL = 36 << 20
FLUSH_AT = 1 << 16

_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r?\n\Z")


class ConnectionCut(Exception):
    """The connection ended, by the client or by a fault."""


class Wire:
    """The buffered connection. `put` queues, `flush` sends through whatever fault is set."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sent: Callable[[int], None],
        *,
        non_sync_limit: int,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._sent = sent
        self._buffer = bytearray()
        self._non_sync_limit = non_sync_limit
        self._reading: asyncio.Task[bytes] | None = None
        self.cut_left: int | None = None
        self.packet = 0
        self.pause = 0.0
        self.closed = False

    def put(self, data: bytes) -> None:
        """Queue bytes."""
        self._buffer += data

    @property
    def full(self) -> bool:
        """Whether enough is queued that it should be flushed."""
        return len(self._buffer) >= FLUSH_AT

    async def flush(self) -> None:
        """Send what is queued; raises ConnectionCut when that is impossible or a fault cuts it."""
        data, self._buffer = bytes(self._buffer), bytearray()
        if self.closed:
            raise ConnectionCut
        cut = self.cut_left is not None and len(data) >= self.cut_left
        if self.cut_left is not None:
            data = data[: self.cut_left] if cut else data
            self.cut_left -= len(data)
        try:
            await self._send(data)
        except OSError as error:
            self.close()
            raise ConnectionCut from error
        if cut:
            self.close()
            raise ConnectionCut

    async def _send(self, data: bytes) -> None:
        size = self.packet or len(data) or 1
        for start in range(0, len(data), size):
            chunk = data[start : start + size]
            self._sent(len(chunk))
            self._writer.write(chunk)
            await self._writer.drain()
            if self.packet:
                await asyncio.sleep(self.pause)

    async def read_command(self) -> bytes:
        """One command with its literals inline; raises ConnectionCut at the end of the stream."""
        command = b""
        while True:
            command += await self.read_line()
            announced = _LITERAL.search(command[-32:])
            if announced is None:
                return command.removesuffix(b"\n").removesuffix(b"\r")
            size = int(announced.group(1))
            tag = command.partition(b" ")[0]
            if announced.group(2) and size > self._non_sync_limit:
                # RFC 7888 4: an over-long non-synchronising literal cannot be refused politely.
                self.put(b"* BYE Literal too long\r\n" + tag + b" BAD Could not parse command\r\n")
                await self.flush()
                raise ConnectionCut
            if size > MAX_LITERAL:
                self.put(tag + b" NO [TOOBIG] Message too large. (Failure)\r\n")
                await self.flush()
                command = b""
                continue
            if not announced.group(2):
                self.put(b"+ go ahead\r\n")
                await self.flush()
            command += await self._read(self._reader.readexactly(size))

    async def read_line(self) -> bytes:
        """One line with its end."""
        return await self._read(self._next_line())

    def line_task(self) -> asyncio.Task[bytes]:
        """The read of the next line as a task that may be waited for repeatedly (IDLE)."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._reader.readuntil(b"\n"))
        return self._reading

    async def _next_line(self) -> bytes:
        task = self.line_task()
        try:
            return await task
        finally:
            self._reading = None

    async def _read(self, reading: Awaitable[bytes]) -> bytes:
        try:
            return await reading
        except asyncio.CancelledError as error:
            # Our own close cancels a pending read; any other cancellation is the server stopping.
            if self.closed:
                raise ConnectionCut from error
            raise
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            self.close()
            raise ConnectionCut from error

    def close(self) -> None:
        """Close the connection; what was already sent still arrives."""
        self.closed = True
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._writer.close()
