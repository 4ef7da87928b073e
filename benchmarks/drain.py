"""Reads a mailbox over IMAP and TLS to nowhere: one FETCH, nothing parsed, nothing kept.
It is the floor that any Python client is measured against; run as `python -m benchmarks.drain`."""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import IO, cast

METADATA = "(UID FLAGS INTERNALDATE RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
WHOLE = "(BODY.PEEK[])"
_PIECE = 1 << 20
FIRST_32_KB = "(BODY.PEEK[]<0.32768>)"


@dataclass(frozen=True, slots=True)
class Source:
    """Where and as whom to sign in; `ca` is the path of the trusted certificate."""

    host: str
    port: int
    ca: str
    user: str
    password: str


def drain(source: Source, mailbox: str, items: str, last: int | None = None) -> int:
    """FETCH `items` of all (or the `last`) messages; how many answers came. ConnectionError if any step is refused."""
    context = ssl.create_default_context(cafile=source.ca)
    with (
        socket.create_connection((source.host, source.port), timeout=120) as plain,
        context.wrap_socket(plain, server_hostname=source.host) as wire,
        cast("IO[bytes]", wire.makefile("rb", buffering=262_144)) as lines,
    ):
        lines.readline()
        _command(wire, lines, f'LOGIN "{source.user}" "{source.password}"')
        exists = _command(wire, lines, f'EXAMINE "{mailbox}"')
        first = 1 if last is None else max(1, exists - last + 1)
        found = _command(wire, lines, f"FETCH {first}:* {items}") if exists else 0
        _command(wire, lines, "LOGOUT")
    return found


def _command(wire: ssl.SSLSocket, lines: IO[bytes], text: str) -> int:
    """Send one command; the count of FETCH answers, or the EXISTS of an EXAMINE."""
    wire.sendall(b"A " + text.encode() + b"\r\n")
    answers, exists = 0, 0
    while True:
        line = lines.readline()
        while line.endswith(b"}\r\n"):
            left = int(line[line.rindex(b"{") + 1 : -3])
            while left:
                left -= len(lines.read(min(left, _PIECE))) or _closed()
            line = lines.readline()
            answers += 1
        if line.startswith(b"A "):
            if not line.startswith(b"A OK"):
                raise ConnectionError(line.decode(errors="replace"))
            return exists or answers
        if line.endswith(b" EXISTS\r\n"):
            exists = int(line.split()[1])
        if not line:
            _closed()


def _closed() -> int:
    raise ConnectionError("the server closed the connection")


def main() -> None:
    """Command line of one drain; prints a JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drain")
    for name in ("host", "port", "ca", "user", "password"):
        parser.add_argument(f"--{name}", required=True, type=int if name == "port" else str)
    parser.add_argument("--mailbox", default="INBOX")
    parser.add_argument("--items", default=WHOLE)
    parser.add_argument("--last", type=int)
    given = parser.parse_args()
    started = time.perf_counter()
    found = drain(
        Source(given.host, given.port, given.ca, given.user, given.password), given.mailbox, given.items, given.last
    )
    print(json.dumps({"messages": found, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
