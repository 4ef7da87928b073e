"""Keeps parser processes for the runs of this process: one run borrows one at a time, idle ones are used again.
Starting and guarding a single process is `sync.parser_process`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sync.parser_process import Parser, ParserLimits, ParserProcess


class ParserPool:
    """An open resource: call `close` at the end. A process is started at need, or earlier by `warm`."""

    def __init__(self, limits: ParserLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._idle: list[ParserProcess] = []

    def warm(self) -> None:
        """Let one process begin to start if none is idle. If it cannot, whoever needs it later is told."""
        with self._lock, suppress(OSError):
            if not self._idle:
                parser = ParserProcess(self._limits)
                parser.warm()
                self._idle.append(parser)

    @contextmanager
    def borrow(self) -> Iterator[Parser]:
        """A parser for one thread; it goes back afterwards, or is stopped when the work failed in the middle."""
        with self._lock:
            parser = self._idle.pop() if self._idle else ParserProcess(self._limits)
        try:
            yield parser
        except BaseException:
            # Windows of the failed work may still be on their way; a new process starts clean.
            parser.stop()
            raise
        with self._lock:
            self._idle.append(parser)

    def close(self) -> None:
        """Stop all idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for parser in idle:
            parser.stop()
