"""A line-by-line IMAP dialogue with the Gmail double, for tests that look at the exact bytes.
Which commands are sent and what is expected is left to the tests."""

from __future__ import annotations

import base64
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from sandbox.gmail import GmailDouble

ANN = "ann@gmail.com"
APP_PASSWORD = "abcdefghijklmnop"
TOKEN = "ya29.good"
START = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


@dataclass
class Clock:
    """A clock that only moves when told."""

    time: datetime = START

    def now(self) -> datetime:
        """The present moment."""
        return self.time

    def advance(self, by: timedelta) -> None:
        """Move on."""
        self.time += by


def check_token(token: str) -> tuple[str, datetime] | None:
    """Ann's token is good for an hour, `ya29.old` has expired."""
    return {TOKEN: (ANN, START + timedelta(hours=1)), "ya29.old": (ANN, START)}.get(token)


def mail(subject: str = "Hello", number: int = 1, **headers: str) -> bytes:
    """A small message with a Message-ID made of the number."""
    lines = [
        "From: Bob <bob@example.org>",
        f"To: {ANN}",
        f"Subject: {subject}",
        f"Message-ID: <{number}@example.org>",
        "Date: Fri, 1 Mar 2024 10:00:00 +0000",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        "",
        f"Body of {subject}",
        "",
    ]
    return "\r\n".join(lines).encode()


def xoauth2(user: str = ANN, token: str = TOKEN) -> str:
    """The base64 initial response of XOAUTH2."""
    return base64.b64encode(f"user={user}\1auth=Bearer {token}\1\1".encode()).decode()


@dataclass
class Talk:
    """One connection; every call to `do` gives the untagged responses and ends with the tagged one."""

    connection: socket.socket
    stream: BinaryIO
    number: int = 0
    lines: list[bytes] = field(default_factory=list)

    def send(self, data: bytes | str) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data.encode() if isinstance(data, str) else data)

    def line(self) -> bytes:
        """One response, literals inline, without its line end; b"" at the end of the stream."""
        response = self.stream.readline()
        while (literal := _LITERAL.search(response)) is not None:
            response += self.stream.read(int(literal.group(1)))
            rest = self.stream.readline()
            if not rest:
                break
            response += rest
        return response.removesuffix(b"\r\n")

    def start(self, command: str) -> str:
        """Send a command without waiting; its tag."""
        self.number += 1
        tag = f"t{self.number}"
        self.send(f"{tag} {command}\r\n")
        return tag

    def finish(self, tag: str) -> list[bytes]:
        """All responses up to the tagged one, without the tag; ends early with the stream."""
        found: list[bytes] = []
        while line := self.line():
            if line.startswith(tag.encode() + b" "):
                return [*found, line[len(tag) + 1 :]]
            found.append(line)
        return found

    def do(self, command: str) -> list[bytes]:
        """Send a command and read its answer."""
        return self.finish(self.start(command))

    def ok(self, command: str) -> list[bytes]:
        """The untagged responses of a command that must succeed."""
        *untagged, status = self.do(command)
        assert status.startswith(b"OK"), status
        return untagged

    def status(self, command: str) -> bytes:
        """Only the tagged response."""
        return self.do(command)[-1]


@contextmanager
def talk(gmail: GmailDouble, context: ssl.SSLContext | None = None) -> Iterator[Talk]:
    """A connection after its greeting."""
    plain = socket.create_connection(("127.0.0.1", gmail.imap_port), timeout=20)
    connection = context.wrap_socket(plain, server_hostname="localhost") if context else plain
    with connection, connection.makefile("rb") as stream:
        opened = Talk(connection, stream)
        opened.lines.append(opened.line())
        yield opened


@contextmanager
def signed_in(gmail: GmailDouble, context: ssl.SSLContext | None = None, user: str = ANN) -> Iterator[Talk]:
    """A connection signed in with the app password."""
    with talk(gmail, context) as opened:
        opened.ok(f"LOGIN {user} {APP_PASSWORD}")
        yield opened
