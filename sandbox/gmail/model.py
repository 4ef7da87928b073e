"""Mailbox state: messages, folders as ordered (uid, message, modseq) entries, one user's mailbox.

Holds the primitives that keep UIDs ascending and modseqs rising; what a label or a folder means is left
to labels.py (Gmail) and folders.py (plain IMAP).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

DELETED = "\\Deleted"


@dataclass(slots=True, eq=False)
class Message:
    """One stored message. In Gmail it sits in several folders; in a plain server in exactly one."""

    msgid: int
    thrid: int
    raw: bytes
    internaldate: datetime
    flags: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    state: str = "all"
    places: dict[Folder, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """What a session may see of an entry: its flags, labels and modseq at one moment."""

    modseq: int
    flags: frozenset[str]
    labels: frozenset[str]


@dataclass(slots=True, eq=False)
class Entry:
    """A message in one folder; `history` keeps earlier views while late visibility is on."""

    uid: int
    message: Message
    modseq: int
    born: int
    deleted: bool = False
    history: list[View] = field(default_factory=list)

    def flags(self) -> set[str]:
        """The flags in this folder; \\Deleted belongs to the folder, the rest to the message."""
        return self.message.flags | {DELETED} if self.deleted else set(self.message.flags)

    def view(self, horizon: int) -> View:
        """The newest view not younger than the horizon (a modseq)."""
        if self.modseq > horizon:
            for view in reversed(self.history):
                if view.modseq <= horizon:
                    return view
        return View(self.modseq, frozenset(self.flags()), frozenset(self.message.labels))


@dataclass(slots=True, eq=False)
class Folder:
    """A folder: `role` is its special-use attribute (or \\Inbox, \\Noselect), empty for an ordinary one."""

    name: str
    uidvalidity: int
    role: str = ""
    uidnext: int = 1
    modseq: int = 1
    entries: dict[int, Entry] = field(default_factory=dict)
    vanished: list[tuple[int, int]] = field(default_factory=list)
    version: int = 0
    subscribed: bool = True


@dataclass(slots=True, eq=False)
class Mailbox:
    """Everything one user has, and the switches a test may turn.

    `late_commands` is the number of commands an open session stays behind a change while STATUS already
    counts it; `held_at` is the modseq after which no session, not even a fresh SELECT, sees a change (only
    expunges show); `modseq_offset` is added to every HIGHESTMODSEQ reported. `hidden` names roles that LIST
    leaves out ("Show in IMAP" off). `sent_limit` is the number of messages SMTP takes before 550-5.4.5.
    """

    user: str
    next_uidvalidity: int
    folders: dict[str, Folder] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    modseq: int = 1
    late_commands: int = 0
    held_at: int | None = None
    modseq_offset: int = 0
    hidden: frozenset[str] = frozenset()
    auto_expunge: bool = True
    expunge_bumps_modseq: bool = True
    app_password: str = ""
    password: str = ""
    aliases: frozenset[str] = frozenset()
    sent_limit: int | None = None
    sent: int = 0

    def role(self, role: str) -> Folder | None:
        """The folder with this role, by attribute and never by name."""
        return next((folder for folder in self.folders.values() if folder.role == role), None)

    def rise(self) -> int:
        """A new modseq, higher than all before."""
        self.modseq += 1
        return self.modseq

    def visible(self) -> int:
        """The modseq up to which sessions may see."""
        return self.modseq if self.held_at is None else min(self.modseq, self.held_at)

    def highestmodseq(self, folder: Folder) -> int:
        """HIGHESTMODSEQ as reported, which a test may falsify."""
        return max(1, folder.modseq + self.modseq_offset)


def add_folder(box: Mailbox, name: str, role: str = "") -> Folder:
    """Create a folder with a UIDVALIDITY never used before in this mailbox."""
    folder = Folder(name, box.next_uidvalidity, role, modseq=box.modseq)
    box.next_uidvalidity += 1
    box.folders[name] = folder
    return folder


def place(folder: Folder, message: Message, modseq: int) -> int:
    """Put the message at the end of the folder; the new UID."""
    uid = folder.uidnext
    folder.uidnext += 1
    folder.entries[uid] = Entry(uid, message, modseq, born=modseq)
    message.places[folder] = uid
    _changed(folder, modseq)
    return uid


def remove(box: Mailbox, folder: Folder, uid: int, modseq: int) -> None:
    """Take the entry out of the folder and remember it as vanished."""
    entry = folder.entries.pop(uid)
    entry.message.places.pop(folder, None)
    folder.vanished.append((modseq, uid))
    folder.version += 1
    if box.expunge_bumps_modseq:
        folder.modseq = max(folder.modseq, modseq)


def touch(folder: Folder, uid: int, modseq: int) -> None:
    """Record that the entry's metadata changed."""
    folder.entries[uid].modseq = modseq
    _changed(folder, modseq)


def remember(box: Mailbox, entries: Iterable[Entry]) -> None:
    """Keep the present views before a change, for sessions that must not see it yet."""
    if box.late_commands or box.held_at is not None:
        for entry in entries:
            entry.history.append(entry.view(entry.modseq))


def renumber(box: Mailbox, folder: Folder, uidvalidity: int) -> None:
    """Give the folder another UIDVALIDITY and its messages new UIDs from 1 up, reusing old numbers."""
    modseq = box.rise()
    entries = list(folder.entries.values())
    folder.entries = {}
    folder.vanished = []
    folder.uidnext = 1
    folder.uidvalidity = uidvalidity
    box.next_uidvalidity = max(box.next_uidvalidity, uidvalidity + 1)
    for entry in entries:
        uid = place(folder, entry.message, modseq)
        folder.entries[uid].deleted = entry.deleted


def lower_modseq(box: Mailbox, to: int) -> None:
    """Bring every modseq of the mailbox down to at most the given number, as a restored server would."""
    box.modseq = min(box.modseq, to)
    for folder in box.folders.values():
        folder.modseq = min(folder.modseq, to)
        folder.vanished = [(min(modseq, to), uid) for modseq, uid in folder.vanished]
        folder.version += 1
        for entry in folder.entries.values():
            entry.modseq, entry.born = min(entry.modseq, to), min(entry.born, to)
            entry.history.clear()


def _changed(folder: Folder, modseq: int) -> None:
    folder.modseq = max(folder.modseq, modseq)
    folder.version += 1
