"""One user's mailbox on a running server, and what another mail program does to it: the same actions on the sandbox
and on Dovecot. What the service makes of it is looked at by the tests, through `mail_sync` or a `MailSource`."""

from __future__ import annotations

import imaplib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from imapclient.imap_utf7 import decode, encode

from sandbox.gmail import GmailDouble, labels
from sandbox.gmail.model import Entry, add_folder
from tests.support.dovecot import PASSWORD, Dovecot

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([^>]*)>", re.IGNORECASE | re.MULTILINE)
_LISTED = re.compile(rb'^\((?P<flags>[^)]*)\) (?:"(?:\\.|[^"\\])*"|NIL) (?P<name>.*)$')
_APPENDED = re.compile(rb"APPENDUID \d+ (\d+)")
_UID = re.compile(rb"UID (\d+)")
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
_NO_LABEL = frozenset({"\\All", "\\Trash", "\\Junk"})


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as one folder shows it; `labels` only on Gmail."""

    raw: bytes = field(repr=False)
    flags: frozenset[str]
    labels: frozenset[str] | None = None


def marker(raw: bytes) -> str:
    """What tells a message of these tests from every other one: its Message-ID, "" without one."""
    found = _MESSAGE_ID.search(raw)
    return found[1].decode() if found else ""


Contents = Mapping[str, Mapping[int, Shown]]


class MailServer(Protocol):
    """A user's mailbox and what somebody else does to it. Folder names are decoded text."""

    @property
    def address(self) -> str:
        """Also the login name."""

    @property
    def password(self) -> str: ...

    @property
    def endpoint(self) -> tuple[str, int, str]:
        """Host, port and security of the IMAP service."""

    @property
    def gmail(self) -> bool: ...

    @property
    def main(self) -> str:
        """A folder that the service follows, in which `append` puts messages."""

    @property
    def other(self) -> str:
        """A second one, to which messages can be moved and back."""

    def append(self, folder: str, raw: bytes, flags: Iterable[str] = (), when: datetime | None = None) -> int:
        """Store a message; its UID."""

    def set_flags(self, folder: str, uid: int, flags: Iterable[str]) -> None:
        """Replace the flags."""

    def copy(self, source: str, uid: int, target: str) -> None: ...

    def move(self, source: str, uid: int, target: str) -> None: ...

    def expunge(self, folder: str, uid: int) -> None: ...

    def create(self, folder: str) -> None: ...

    def rename(self, old: str, new: str) -> None: ...

    def delete(self, folder: str) -> None: ...

    def bump_uidvalidity(self, folder: str) -> None: ...

    def contents(self) -> Contents:
        """All that the followed folders show."""


@dataclass(frozen=True, slots=True)
class PlainBox:
    """A user of the sandbox's plain profile."""

    double: GmailDouble
    address: str
    password: str = "sandbox password"
    host: str = "127.0.0.1"
    gmail: bool = False
    main: str = "INBOX"
    other: str = "Sent"

    @property
    def endpoint(self) -> tuple[str, int, str]:
        return sandbox_endpoint(self.double, self.host)

    def append(self, folder: str, raw: bytes, flags: Iterable[str] = (), when: datetime | None = None) -> int:
        return self.double.folders.append(self.address, folder, raw, flags, when)

    def set_flags(self, folder: str, uid: int, flags: Iterable[str]) -> None:
        self.double.folders.set_flags(self.address, folder, uid, flags)

    def copy(self, source: str, uid: int, target: str) -> None:
        self.double.folders.copy(self.address, source, uid, target)

    def move(self, source: str, uid: int, target: str) -> None:
        self.double.folders.move(self.address, source, uid, target)

    def expunge(self, folder: str, uid: int) -> None:
        self.double.folders.expunge(self.address, folder, uid)

    def create(self, folder: str) -> None:
        self.double.folders.create_folder(self.address, folder)

    def rename(self, old: str, new: str) -> None:
        self.double.folders.rename_folder(self.address, old, new)

    def delete(self, folder: str) -> None:
        self.double.folders.delete_folder(self.address, folder)

    def bump_uidvalidity(self, folder: str) -> None:
        self.double.folders.bump_uidvalidity(self.address, folder)

    def contents(self) -> Contents:
        return {
            name: {uid: Shown(raw, flags) for uid, raw, flags in shown}
            for name, shown in self.double.folders.snapshot(self.address).items()
        }


@dataclass(frozen=True, slots=True)
class GmailBox:
    """A user of the sandbox's Gmail profile. `main` is All Mail; a folder of another name stands for its label."""

    double: GmailDouble
    address: str
    password: str = "abcdefghijklmnop"
    host: str = "127.0.0.1"
    gmail: bool = True

    @property
    def endpoint(self) -> tuple[str, int, str]:
        return sandbox_endpoint(self.double, self.host)

    @property
    def main(self) -> str:
        return self.double.mail.folder_name(self.address, "\\All")

    @property
    def other(self) -> str:
        return self.double.mail.folder_name(self.address, "\\Trash")

    @property
    def spam(self) -> str:
        """The name of the junk folder."""
        return self.double.mail.folder_name(self.address, "\\Junk")

    def append(self, folder: str, raw: bytes, flags: Iterable[str] = (), when: datetime | None = None) -> int:
        box = self.double.box(self.address)
        found = box.folders[folder]
        own = labels.own_label(found)
        state = {self.other: "trash", self.spam: "spam"}.get(folder, "all")
        msgid = self.double.mail.deliver(self.address, raw, [own] if own else (), flags, when, state)
        return box.messages[msgid].places[found]

    def msgid(self, folder: str, uid: int) -> int:
        """The X-GM-MSGID of a message."""
        return self._entry(folder, uid).message.msgid

    def set_flags(self, folder: str, uid: int, flags: Iterable[str]) -> None:
        self.double.mail.set_flags(self.address, self.msgid(folder, uid), flags)

    def set_labels(self, folder: str, uid: int, wanted: Iterable[str]) -> None:
        """Replace the labels."""
        with self.double.store.changing(self.address) as box:
            labels.change(box, self._entry(folder, uid).message, labels=wanted)

    def copy(self, source: str, uid: int, target: str) -> None:
        with self.double.store.changing(self.address) as box:
            labels.file_under(box, self._entry(source, uid).message, box.folders[target])

    def move(self, source: str, uid: int, target: str) -> None:
        with self.double.store.changing(self.address) as box:
            labels.move(box, self._entry(source, uid).message, box.folders[source], box.folders[target])

    def expunge(self, folder: str, uid: int) -> None:
        """Delete for good, wherever it lies."""
        self.double.mail.expunge(self.address, self.msgid(folder, uid))

    def create(self, folder: str) -> None:
        with self.double.store.changing(self.address) as box:
            add_folder(box, folder)

    def rename(self, old: str, new: str) -> None:
        self.double.mail.rename_label(self.address, old, new, bump=True)

    def delete(self, folder: str) -> None:
        with self.double.store.changing(self.address) as box:
            for message in list(box.messages.values()):
                if folder in message.labels:
                    labels.change(box, message, labels=message.labels - {folder})
            box.folders.pop(folder).uidvalidity = 0

    def bump_uidvalidity(self, folder: str) -> None:
        self.double.mail.bump_uidvalidity(self.address, folder)

    def contents(self) -> Contents:
        with self.double.store.lock:
            box = self.double.box(self.address)
            return {
                folder.name: {
                    entry.uid: Shown(entry.message.raw, frozenset(entry.flags()), frozenset(entry.message.labels))
                    for entry in folder.entries.values()
                }
                for folder in box.folders.values()
                if folder.role in _NO_LABEL
            }

    def _entry(self, folder: str, uid: int) -> Entry:
        return self.double.box(self.address).folders[folder].entries[uid]


def sandbox_endpoint(double: GmailDouble, host: str) -> tuple[str, int, str]:
    """Where a sandbox speaks IMAP; in the clear unless it was started with a certificate."""
    return (host, double.imap_port, "tls" if double.smtps_port else "plain")


def plain_box(double: GmailDouble, address: str, host: str = "127.0.0.1") -> PlainBox:
    """A new user of a sandbox that plays a plain server."""
    box = PlainBox(double, address, host=host)
    double.add_user(address, password=box.password)
    return box


def gmail_box(double: GmailDouble, address: str, host: str = "127.0.0.1") -> GmailBox:
    """A new user of a sandbox that plays Gmail."""
    box = GmailBox(double, address, host=host)
    double.add_user(address, app_password=box.password)
    return box


@dataclass(frozen=True, slots=True)
class DovecotBox:
    """A user of a Dovecot; every action is a short IMAP session of its own."""

    server: Dovecot
    address: str
    password: str = PASSWORD
    gmail: bool = False
    main: str = "INBOX"
    other: str = "Archive"

    @property
    def endpoint(self) -> tuple[str, int, str]:
        return ("localhost", self.server.imaps_port, "tls")

    def append(self, folder: str, raw: bytes, flags: Iterable[str] = (), when: datetime | None = None) -> int:
        with self.server.connect(self.address) as client:
            date = imaplib.Time2Internaldate(when) if when else ""
            status, answer = client.append(_quoted(folder), f"({' '.join(flags)})", date, raw)
            found = _APPENDED.search(answer[0])
            assert status == "OK"
            assert found is not None, answer
            return int(found[1])

    def set_flags(self, folder: str, uid: int, flags: Iterable[str]) -> None:
        with self._opened(folder) as client:
            _ok(client.uid("STORE", str(uid), "FLAGS.SILENT", f"({' '.join(flags)})"))

    def copy(self, source: str, uid: int, target: str) -> None:
        with self._opened(source) as client:
            _ok(client.uid("COPY", str(uid), _quoted(target)))

    def move(self, source: str, uid: int, target: str) -> None:
        with self._opened(source) as client:
            _ok(client.uid("MOVE", str(uid), _quoted(target)))

    def expunge(self, folder: str, uid: int) -> None:
        with self._opened(folder) as client:
            _ok(client.uid("STORE", str(uid), "+FLAGS.SILENT", "(\\Deleted)"))
            _ok(client.uid("EXPUNGE", str(uid)))

    def create(self, folder: str) -> None:
        with self.server.connect(self.address) as client:
            _ok(client.create(_quoted(folder)))

    def rename(self, old: str, new: str) -> None:
        with self.server.connect(self.address) as client:
            _ok(client.rename(_quoted(old), _quoted(new)))

    def delete(self, folder: str) -> None:
        with self.server.connect(self.address) as client:
            _ok(client.delete(_quoted(folder)))

    def bump_uidvalidity(self, folder: str) -> None:
        with self.server.connect(self.address) as client:
            _, answer = client.status(_quoted(folder), "(UIDVALIDITY)")
        number = int(answer[0].rpartition(b" ")[2].rstrip(b")"))
        self.server.doveadm("mailbox", "update", "-u", self.address, "--uid-validity", str(number + 1), folder)

    def contents(self) -> Contents:
        with self.server.connect(self.address) as client:
            _, listed = client.list()
            names = [_name(line) for line in listed if isinstance(line, bytes)]
            return {name: dict(_shown(client, name)) for name in names}

    @contextmanager
    def _opened(self, folder: str) -> Iterator[imaplib.IMAP4]:
        with self.server.connect(self.address) as client:
            _ok(client.select(_quoted(folder)))
            yield client


def _ok(answer: tuple[str, Sequence[object]]) -> None:
    assert answer[0] == "OK", answer


def _quoted(folder: str) -> str:
    name = bytes(encode(folder)).decode("ascii")
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _name(line: bytes) -> str:
    match = _LISTED.match(line)
    assert match is not None, line
    name = match["name"]
    if name.startswith(b'"'):
        name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
    return str(decode(name))


def _shown(client: imaplib.IMAP4, folder: str) -> Iterator[tuple[int, Shown]]:
    _ok(client.select(_quoted(folder), readonly=True))
    _, answer = client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")
    for part in answer:
        if not isinstance(part, tuple):
            continue
        head, raw = part
        uid, flags = _UID.search(head), _FLAGS.search(head)
        assert uid is not None, head
        assert flags is not None, head
        words = frozenset(flag.decode() for flag in flags[1].split()) - {"\\Recent"}
        yield int(uid[1]), Shown(raw, words)


class _Bodies(Counter[tuple[str, int, str]]):
    """Counts of the sandbox that also tell which message it was whose first bytes were sent: a UID alone does not,
    after folders were renamed or renumbered."""

    def __init__(self, double: GmailDouble, user: str) -> None:
        super().__init__()
        self._double, self._user = double, user
        self.sent: Counter[str] = Counter()

    def __setitem__(self, key: tuple[str, int, str], count: int) -> None:
        super().__setitem__(key, count)
        name, uid, item = key
        folder = self._double.box(self._user).folders.get(name)
        entry = folder.entries.get(uid) if folder else None
        if item.startswith("BODY[]<0.") and entry is not None:
            self.sent[marker(entry.message.raw)] += 1


def count_bodies(double: GmailDouble, user: str) -> Counter[str]:
    """From now on, how often the first bytes of each message (by Message-ID) were sent to this user."""
    bodies = _Bodies(double, user)
    double.store.counters[user].fetched = bodies
    return bodies.sent
