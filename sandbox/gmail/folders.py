"""The plain profile's folder model: folders are containers, each holding its own copies.

Decides what append, copy, move and expunge do to containers; locking and notices are left to store.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sandbox.gmail.model import (
    DELETED,
    Entry,
    Folder,
    Mailbox,
    Message,
    add_folder,
    lower_modseq,
    place,
    remember,
    remove,
    renumber,
    touch,
)
from sandbox.gmail.store import Store


def add_copy(box: Mailbox, folder: Folder, raw: bytes, flags: Iterable[str], when: datetime) -> int:
    """Put a message of its own into the folder; the UID."""
    flags = set(flags)
    message = Message(0, 0, raw, when, flags - {DELETED})
    uid = place(folder, message, box.rise())
    folder.entries[uid].deleted = DELETED in flags
    return uid


def set_entry_flags(box: Mailbox, folder: Folder, entry: Entry, flags: Iterable[str]) -> None:
    """Replace the flags of one entry."""
    flags = set(flags)
    remember(box, [entry])
    entry.message.flags = flags - {DELETED}
    entry.deleted = DELETED in flags
    touch(folder, entry.uid, box.rise())


def expunge_entry(box: Mailbox, folder: Folder, entry: Entry) -> None:
    """Remove the entry for good."""
    remove(box, folder, entry.uid, box.rise())


def copy_entry(box: Mailbox, entry: Entry, target: Folder) -> int:
    """Copy the entry with flags and date; the new UID."""
    return add_copy(box, target, entry.message.raw, entry.flags(), entry.message.internaldate)


class PlainMail:
    """Changes made to a plain server's mailboxes from outside; safe from any thread.

    Folder names are decoded text. An unknown folder or UID raises KeyError.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def append(
        self,
        user: str,
        folder: str,
        raw: bytes,
        flags: Iterable[str] = (),
        internaldate: datetime | None = None,
    ) -> int:
        """Add a message, bytes unchanged; its UID."""
        with self._store.changing(user) as box:
            when = internaldate or self._store.clock.now()
            return add_copy(box, box.folders[folder], raw, flags, when)

    def set_flags(self, user: str, folder: str, uid: int, flags: Iterable[str]) -> None:
        """Replace the flags."""
        with self._store.changing(user) as box:
            found = box.folders[folder]
            set_entry_flags(box, found, found.entries[uid], flags)

    def copy(self, user: str, src: str, uid: int, dst: str) -> int:
        """Copy to another folder; the new UID."""
        with self._store.changing(user) as box:
            return copy_entry(box, box.folders[src].entries[uid], box.folders[dst])

    def move(self, user: str, src: str, uid: int, dst: str) -> int:
        """Move to another folder; the new UID."""
        with self._store.changing(user) as box:
            source = box.folders[src]
            entry = source.entries[uid]
            fresh = copy_entry(box, entry, box.folders[dst])
            expunge_entry(box, source, entry)
            return fresh

    def expunge(self, user: str, folder: str, uid: int) -> None:
        """Remove for good, whatever its flags."""
        with self._store.changing(user) as box:
            found = box.folders[folder]
            expunge_entry(box, found, found.entries[uid])

    def create_folder(self, user: str, folder: str, role: str = "") -> None:
        """Create a folder; ValueError if it exists."""
        with self._store.changing(user) as box:
            if folder in box.folders:
                raise ValueError(folder)
            add_folder(box, folder, role)

    def rename_folder(self, user: str, old: str, new: str) -> None:
        """Rename a folder and its children; UIDs and UIDVALIDITY stay."""
        with self._store.changing(user) as box:
            if old not in box.folders or new in box.folders:
                raise KeyError(old)
            rename(box, old, new, self._store.profile.plain.delimiter)

    def delete_folder(self, user: str, folder: str) -> None:
        """Delete a folder and what is in it; sessions that have it open are closed."""
        with self._store.changing(user) as box:
            delete(box, folder)

    def bump_uidvalidity(self, user: str, folder: str) -> int:
        """A higher UIDVALIDITY, all messages renumbered from 1; the new value."""
        with self._store.changing(user) as box:
            renumber(box, box.folders[folder], box.next_uidvalidity)
            return box.folders[folder].uidvalidity

    def set_uidvalidity(self, user: str, folder: str, number: int) -> None:
        """Any UIDVALIDITY, even a lower one; all messages renumbered from 1."""
        with self._store.changing(user) as box:
            renumber(box, box.folders[folder], number)

    def lower_modseq(self, user: str, to: int) -> None:
        """Let every modseq of the mailbox fall to at most this number."""
        with self._store.changing(user) as box:
            lower_modseq(box, to)

    def snapshot(self, user: str) -> dict[str, list[tuple[int, bytes, frozenset[str]]]]:
        """folder -> (uid, raw, flags) in UID order."""
        with self._store.lock:
            return {
                name: [(e.uid, e.message.raw, frozenset(e.flags())) for e in folder.entries.values()]
                for name, folder in self._store.box(user).folders.items()
            }

    def uidvalidity(self, user: str, folder: str) -> int:
        """The folder's UIDVALIDITY."""
        with self._store.lock:
            return self._store.box(user).folders[folder].uidvalidity


def rename(box: Mailbox, old: str, new: str, delimiter: str) -> None:
    """Rename a folder and its children."""
    for name in [name for name in box.folders if name == old or name.startswith(old + delimiter)]:
        folder = box.folders.pop(name)
        folder.name = new + name[len(old) :]
        box.folders[folder.name] = folder


def delete(box: Mailbox, name: str) -> None:
    """Delete a folder; its UIDVALIDITY is never given out again."""
    folder = box.folders.pop(name)
    # 0 is no legal UIDVALIDITY, so every session that has the folder open notices.
    folder.uidvalidity = 0
