"""Runs `twinbox` in this process, as a terminal would see it: exit code, standard output, standard error.
Settings are given as the environment, input as text."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from cli.main import main

_ADDRESS = re.compile(r"https?://\S+")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return orjson.loads(self.out)


class Terminal:
    """A shell with a fixed environment; no variable of the developer's own reaches the command."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
        self._patch = monkeypatch
        for name in [name for name in os.environ if name.startswith("TWINBOX_")]:
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str, stdin: str = "") -> Outcome:
        """Run one command to its end."""
        return self._run(arguments, stdin, io.StringIO())

    def browsing(self, *arguments: str, visit: Callable[[str], object]) -> Outcome:
        """Run a command that waits for a browser; `visit` gets the address it prints."""
        err = _Watched()
        with ThreadPoolExecutor(1) as pool:
            done: Future[Outcome] = pool.submit(self._run, arguments, "", err)
            done.add_done_callback(lambda _: err.changed.set())
            while not done.done():
                err.changed.wait(20)
                err.changed.clear()
                found = _ADDRESS.search(err.getvalue())
                if found and "Waiting" in err.getvalue():
                    visit(found[0])
                    break
            return done.result(30)

    def _run(self, arguments: tuple[str, ...], stdin: str, err: io.StringIO) -> Outcome:
        out = io.StringIO()
        self._patch.setattr(sys, "stdin", io.StringIO(stdin))
        with redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
        return Outcome(code, out.getvalue(), err.getvalue())


class _Watched(io.StringIO):
    """Text that tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        self.changed.set()
        return written
