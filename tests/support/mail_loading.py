"""Stores many messages in an IMAP mailbox with few round trips, over a plain imaplib connection.
Needs LITERAL+ (RFC 7888), MULTIAPPEND (RFC 3502) and UIDPLUS (RFC 4315), which Dovecot has."""

from __future__ import annotations

import imaplib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from imapclient.imap_utf7 import encode

_PER_COMMAND = 2_000
_APPENDUID = re.compile(rb"\[APPENDUID \d+ ([0-9,:]+)\]")


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A message as it lies in a mailbox: its bytes, its flags, and when it arrived (aware; None: now)."""

    raw: bytes
    flags: tuple[str, ...] = ()
    internaldate: datetime | None = None


def append_all(client: imaplib.IMAP4, mailbox: str, mails: Iterable[StoredMail]) -> list[int]:
    """Append `mails` in order and return their UIDs; makes the mailbox, AssertionError if the server refuses."""
    client.create(_quoted(mailbox))  # answers NO when it exists, which is as good
    source = iter(mails)
    uids: list[int] = []
    while batch := list(islice(source, _PER_COMMAND)):
        uids.extend(_append_batch(client, f"L{len(uids)}".encode(), mailbox, batch))
    return uids


def _append_batch(client: imaplib.IMAP4, tag: bytes, mailbox: str, batch: Sequence[StoredMail]) -> list[int]:
    client.send(b"%b APPEND %b%b\r\n" % (tag, _quoted(mailbox).encode(), b"".join(_arguments(batch))))
    # imaplib offers no call with several literals; send() and readline() are its public wire.
    while not (line := client.readline()).startswith(tag + b" "):
        assert line, "the server closed the connection during APPEND"
    found = _APPENDUID.search(line)
    assert found, f"APPEND failed: {line!r}"
    return list(_uids(found[1]))


def _arguments(batch: Sequence[StoredMail]) -> Iterator[bytes]:
    for mail in batch:
        date = "" if mail.internaldate is None else f" {imaplib.Time2Internaldate(mail.internaldate)}"
        yield f" ({' '.join(mail.flags)}){date} {{{len(mail.raw)}+}}\r\n".encode()
        yield mail.raw


def _uids(text: bytes) -> Iterator[int]:
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        yield from range(int(first), int(last or first) + 1)


def _quoted(mailbox: str) -> str:
    name = str(encode(mailbox), "ascii")
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
