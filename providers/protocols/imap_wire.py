"""Reads IMAP server data within budgets: lines, literals, tagged and untagged responses (RFC 9051 2.2.2, 4.3).
What a response means is left to `imap_tokens` and `imap`; connecting and signing in to `imap_connection`."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from core.errors import Transient
from providers.protocols.counting import IMAP, NO_ANSWER, Heard, unheard
from providers.protocols.imap_errors import as_imap_error

# `SEARCH` without ESEARCH names every UID in one line: this is a million messages.
MAX_LINE = 8_000_000
# Of one response, all its literals together.
MAX_LITERAL = 16 * 1024 * 1024
MAX_LITERALS = 1_000
# Far above what any command of ours can rightly bring, far below what hurts.
MAX_RESPONSE_BYTES = 256 * 1024 * 1024
MAX_RESPONSE_LINES = 1_000_000
READ_TIMEOUT = 60.0

_LITERAL_END = re.compile(rb"\{(\d+)\+?\}\r\n$")


@dataclass(frozen=True, slots=True)
class Tagged:
    """The completion of a command: `status` is b"OK", b"NO" or b"BAD"."""

    tag: bytes
    status: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class Untagged:
    """One untagged response. `parts` alternates text and literals, starting with text; `size` is its octets."""

    parts: tuple[bytes, ...]
    size: int


class Watchdog:
    """Shuts a socket down when a command takes longer than its deadline.

    A socket timeout cannot do this: a server that drips one byte at a time never lets it fire.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._wake = threading.Condition()
        self._seconds: float | None = None
        self._generation = 0
        self._closed = False
        self.fired = False
        self._thread = threading.Thread(target=self._watch, name="imap-watchdog", daemon=True)
        self._thread.start()

    def start(self, seconds: float) -> None:
        """Give the work that begins now that long."""
        with self._wake:
            self._seconds, self._generation = seconds, self._generation + 1
            self._wake.notify()

    def stop(self) -> None:
        """The work is done in time."""
        with self._wake:
            self._seconds, self._generation = None, self._generation + 1

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _watch(self) -> None:
        with self._wake:
            while not self._closed:
                seconds, generation = self._seconds, self._generation
                self._wake.wait(seconds)
                if seconds is not None and self._generation == generation and not self._closed:
                    self.fired, self._seconds = True, None
                    _shut(self._sock)


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class Wire:
    """Sends commands and reads responses on a connected, signed-in socket. One thread owns it."""

    def __init__(
        self, sock: socket.socket, file: BinaryIO, *, max_literal: int = MAX_LITERAL, heard: Heard = unheard
    ) -> None:
        self._sock = sock
        self._heard = heard
        self._file = file
        self._max_literal = max_literal
        self._number = 0
        self._budget = 0
        self._lines = 0
        self.bytes_read = 0
        self.round_trips = 0
        self._watchdog = Watchdog(sock)

    def close(self) -> None:
        """Stop watching; the socket belongs to the connection."""
        self._watchdog.close()

    def send(self, *commands: bytes) -> list[bytes]:
        """Send commands in one packet, without waiting; gives their tags in order. Raises Transient."""
        tags = []
        packet = bytearray()
        for command in commands:
            if b"\r" in command or b"\n" in command or b"\0" in command:
                raise ValueError("a line break or NUL in an IMAP command")
            self._number += 1
            tags.append(b"T%d" % self._number)
            packet += tags[-1] + b" " + command + b"\r\n"
        self._budget, self._lines = MAX_RESPONSE_BYTES, MAX_RESPONSE_LINES
        self.round_trips += 1
        try:
            self._sock.sendall(packet)
        except OSError as error:
            raise self._lost(error) from error
        return tags

    def responses(self, tags: Sequence[bytes], *, deadline: float) -> Iterator[Untagged | Tagged]:
        """Everything the server says until all of `tags` are completed, in any order (RFC 9051 5.5).

        `deadline` is in seconds for the whole exchange. Raises Transient when the connection ends or a budget is
        exceeded; after that the connection must be thrown away.
        """
        waiting = set(tags)
        self._watchdog.start(deadline)
        try:
            while waiting:
                response = self._next()
                if isinstance(response, Tagged):
                    if response.tag not in waiting:
                        raise Transient("the server completed a command that was never sent")
                    waiting.remove(response.tag)
                    self._heard(IMAP, response.status.decode())
                yield response
        except (OSError, ssl.SSLError, ValueError) as error:
            self._heard(IMAP, NO_ANSWER)
            raise self._lost(error) from error
        finally:
            self._watchdog.stop()

    def _lost(self, error: Exception) -> Transient:
        if self._watchdog.fired:
            return Transient("the server did not finish its answer in time")
        if isinstance(error, TimeoutError):
            return Transient(f"the server was silent for {READ_TIMEOUT:.0f} seconds")
        return Transient("the connection to the mail server was lost")

    def _line(self) -> bytes:
        line = self._file.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            if len(line) >= MAX_LINE:
                raise Transient("the server sent a line without end")
            raise ConnectionError("end of stream")
        self._spend(len(line))
        return line

    def _spend(self, size: int) -> None:
        self.bytes_read += size
        self._budget -= size
        self._lines -= 1
        if self._budget < 0 or self._lines < 0:
            raise Transient("the server sent far more than was asked for")

    def _next(self) -> Untagged | Tagged:
        line = self._line()
        if line[:2] == b"* ":
            if line[-3:] != b"}\r\n":
                if line[2:5].upper() == b"BYE":
                    raise_bye(line[5:])
                return Untagged((line,), len(line))
            return self._with_literals(line)
        tag, _, rest = line.rstrip(b"\r\n").partition(b" ")
        status, _, text = rest.partition(b" ")
        if status.upper() not in (b"OK", b"NO", b"BAD"):
            raise Transient("the server sent something that is not IMAP")
        return Tagged(tag, status.upper(), text)

    def _with_literals(self, line: bytes) -> Untagged:
        parts = [line]
        size, held = len(line), 0
        while match := _LITERAL_END.search(line):
            length = int(match[1]) if len(match[1]) < 20 else self._max_literal + 1
            held += length
            if held > self._max_literal or len(parts) > 2 * MAX_LITERALS:
                raise Transient("the server announced more bytes at once than any answer needs")
            data = self._file.read(length)
            if len(data) < length:
                raise ConnectionError("end of stream inside a literal")
            self._spend(length)
            line = self._line()
            parts += (data, line)
            size += length + len(line)
        return Untagged(tuple(parts), size)


def raise_bye(text: bytes) -> None:
    """Turn an untagged BYE into the error it stands for (RFC 9051 7.1.5)."""
    raise as_imap_error(b"BYE " + text.strip())
