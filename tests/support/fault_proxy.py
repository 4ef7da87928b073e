"""A TCP proxy that damages connections on purpose: latency, drip, cut, half-close, stall, refuse, garbage.
It knows no protocol, so it stands in front of any server; which fault to switch on is the test's choice."""

from __future__ import annotations

import asyncio
import enum
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port

_CHUNK = 64 * 1024
_AHEAD = 64  # chunks read ahead of a slow receiver

_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_Arrival = tuple[float, bytes]  # loop time, data (empty: end of file)


class End(enum.Enum):
    """What happens to a connection once `Flow.limit` bytes have passed."""

    CLOSE = "close"  # orderly FIN in both directions
    RESET = "reset"  # RST in both directions
    HALF_CLOSE = "half-close"  # FIN to the receiver only; the other direction goes on
    STALL = "stall"  # nothing more arrives, nothing is closed (black hole)


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of every connection.

    `latency` in seconds delays each byte without lowering the throughput, as distance does; `chunk` bytes
    at a time with `pause` seconds after each drip; after `limit` bytes of a connection, `then` happens.
    """

    latency: float = 0.0
    chunk: int = _CHUNK
    pause: float = 0.0
    limit: int | None = None
    then: End = End.RESET


@dataclass(frozen=True, slots=True)
class Faults:
    """What the proxy does from now on; the default is to pass everything on unharmed.

    `refuse` closes the port (ECONNREFUSED). `garbage` is sent to a new client instead of the server's
    words, which breaks a TLS handshake.
    """

    to_server: Flow = field(default_factory=Flow)
    to_client: Flow = field(default_factory=Flow)
    refuse: bool = False
    garbage: bytes = b""


HEALTHY = Faults()
_SILENT = Flow(limit=0, then=End.STALL)
BLACK_HOLE = Faults(to_server=_SILENT, to_client=_SILENT)
REFUSE = Faults(refuse=True)


@dataclass(slots=True)
class Traffic:
    """What passed since the proxy started: connections accepted and bytes delivered each way."""

    connections: int = 0
    to_server: int = 0
    to_client: int = 0

    def count(self, delivered: int, upward: bool) -> None:
        """Add `delivered` bytes to one direction."""
        if upward:
            self.to_server += delivered
        else:
            self.to_client += delivered


class FaultProxy:
    """A proxy on a free loopback port in front of `target`, to be used as a context manager.

    New faults hold at once, for open connections too; their bytes count from the start of the connection.
    """

    def __init__(self, target: int, faults: Faults = HEALTHY) -> None:
        self.port = free_port()
        self.traffic = Traffic()
        self._target = target
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._runner = asyncio.Runner()
        self._thread = threading.Thread(target=self._run_loop, name="fault-proxy")
        self._started = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        self.use(self._faults)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def use(self, faults: Faults) -> None:
        """Switch to other faults; returns when they are in force."""
        self._call(self._apply(faults))

    def sever(self) -> None:
        """Reset every open connection, once; new ones are served as before."""
        self._call(self._drop_connections())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def _run_loop(self) -> None:
        with self._runner as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._started.set()
        await self._stop.wait()

    async def _apply(self, faults: Faults) -> None:
        self._faults = faults
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if faults.refuse and self._listener is not None:
            self._listener.close()
            self._listener = None
        elif not faults.refuse and self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _close(self) -> None:
        await self._apply(REFUSE)
        await self._drop_connections()

    async def _drop_connections(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.traffic.connections += 1
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its beginning to its end; it is reset when this task is cancelled."""
        sides = [writer]
        orderly = False
        try:
            if self._faults.garbage:
                writer.write(self._faults.garbage)
                orderly = True
                return
            server = await asyncio.open_connection("127.0.0.1", self._target)
            sides.append(server[1])
            orderly = await self._relay((reader, writer), server)
        except OSError:
            pass  # the server refused, so do we: by a reset
        finally:
            for side in sides:
                _finish(side, orderly)

    async def _relay(self, client: _Stream, server: _Stream) -> bool:
        """Pass bytes both ways until both have ended; False if the connection is to be reset instead."""
        orderly = True
        try:
            async with asyncio.TaskGroup() as group:
                for source, sink, upward in ((client, server, True), (server, client, False)):
                    arrived: asyncio.Queue[_Arrival] = asyncio.Queue(_AHEAD)
                    group.create_task(_receive(source[0], arrived))
                    group.create_task(self._deliver(arrived, sink[1], upward))
        except* _Cut as cuts:
            orderly = all(cut.orderly for cut in cuts.exceptions if isinstance(cut, _Cut))
        except* OSError:
            orderly = False
        return orderly

    async def _deliver(self, arrived: asyncio.Queue[_Arrival], sink: asyncio.StreamWriter, upward: bool) -> None:
        passed, data, ended = 0, b"", False
        while await self._may_go_on(passed, upward):
            if ended:
                break
            if not data:
                at, data = await arrived.get()
                await asyncio.sleep(at + self._flow(upward).latency - self._loop.time())
                ended = not data
                continue  # faults may have changed while we waited
            flow = self._flow(upward)
            room = flow.chunk if flow.limit is None else min(flow.chunk, flow.limit - passed)
            piece, data = data[:room], data[room:]
            sink.write(piece)
            await sink.drain()
            passed += len(piece)
            self.traffic.count(len(piece), upward)
            await asyncio.sleep(flow.pause)
        sink.write_eof()
        await _discard(arrived)

    async def _may_go_on(self, passed: int, upward: bool) -> bool:
        """Whether more bytes may pass; False is the end of this direction, _Cut that of the connection."""
        while (flow := self._flow(upward)).limit is not None and passed >= flow.limit:
            if flow.then is End.HALF_CLOSE:
                return False
            if flow.then is not End.STALL:
                raise _Cut(orderly=flow.then is End.CLOSE)
            await self._changed.wait()
        return True

    def _flow(self, upward: bool) -> Flow:
        return self._faults.to_server if upward else self._faults.to_client


class _Cut(Exception):
    def __init__(self, *, orderly: bool) -> None:
        super().__init__()
        self.orderly = orderly


async def _receive(source: asyncio.StreamReader, arrived: asyncio.Queue[_Arrival]) -> None:
    loop = asyncio.get_running_loop()
    while data := await source.read(_CHUNK):
        await arrived.put((loop.time(), data))
    await arrived.put((loop.time(), b""))
    await arrived.put((loop.time(), b""))  # one for the delivery, one for what it leaves to _discard


async def _discard(arrived: asyncio.Queue[_Arrival]) -> None:
    """Keep taking bytes that shall not be delivered, so that their sender is not held up."""
    while (await arrived.get())[1]:
        pass


def _finish(side: asyncio.StreamWriter, orderly: bool) -> None:
    if not orderly:
        connection: socket.socket = side.get_extra_info("socket")
        # socket(7): closing with SO_LINGER of zero seconds sends RST in place of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        side.transport.abort()
    side.close()
