"""Gmail's folder model: folders are views of labels, a message is one thing seen in several of them.

Decides what labels, Trash and Spam mean; locking and notices are left to store.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from sandbox.gmail import names
from sandbox.gmail.mime import header_value
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

LABEL_OF_ROLE: Mapping[str, str] = MappingProxyType(
    {
        names.INBOX: "\\Inbox",
        names.SENT: "\\Sent",
        names.DRAFTS: "\\Draft",
        names.IMPORTANT: "\\Important",
        names.FLAGGED: "\\Starred",
    }
)
_STATE_OF_ROLE = {names.TRASH: "trash", names.JUNK: "spam", names.ALL: "all"}
_MOVING_LABELS = {"\\Trash": "trash", "\\Spam": "spam", "\\Junk": "spam"}
_FLAG_OF_LABEL = {"\\Starred": "\\Flagged", "\\Draft": "\\Draft"}
_MESSAGE_ID = re.compile(rb"<[^<>\s]+>")


def own_label(folder: Folder) -> str | None:
    """The label that puts a message into this folder, if a label does."""
    if folder.role in LABEL_OF_ROLE:
        return LABEL_OF_ROLE[folder.role]
    return folder.name if folder.role == "" else None


def system_label(label: str) -> str:
    """A system label in its one spelling; a user label as it is."""
    return "\\" + label[1:].title() if label.startswith("\\") else label


def wanted(box: Mailbox, message: Message) -> list[Folder]:
    """The folders in which the message must be seen now."""
    if message.state != "all":
        role = names.TRASH if message.state == "trash" else names.JUNK
        return [folder for folder in box.folders.values() if folder.role == role]
    return [
        folder for folder in box.folders.values() if folder.role == names.ALL or own_label(folder) in message.labels
    ]


def change(
    box: Mailbox,
    message: Message,
    *,
    labels: Iterable[str] | None = None,
    flags: Iterable[str] | None = None,
    state: str | None = None,
) -> None:
    """Give the message other labels, flags or another state, and bring every view in line.

    Starred and Draft are a label and a flag at once; a label that names Trash or Spam moves the message.
    """
    remember(box, (folder.entries[uid] for folder, uid in message.places.items()))
    if labels is not None:
        _set_labels(box, message, {system_label(label) for label in labels})
    if flags is not None:
        message.flags = set(flags) - {DELETED}
        for label, flag in _FLAG_OF_LABEL.items():
            message.labels = message.labels | {label} if flag in message.flags else message.labels - {label}
    if state is not None:
        message.state = state
        if state != "all":
            message.labels.discard("\\Inbox")
    _show(box, message)


def _set_labels(box: Mailbox, message: Message, labels: set[str]) -> None:
    for label in sorted(labels & _MOVING_LABELS.keys()):
        message.state = _MOVING_LABELS[label]
        labels = labels - {label, "\\Inbox"}
    if "\\Inbox" in labels and "\\Inbox" not in message.labels:
        message.state = "all"
    message.labels = labels
    for label, flag in _FLAG_OF_LABEL.items():
        message.flags = message.flags | {flag} if label in labels else message.flags - {flag}
    for label in sorted(labels):
        if not label.startswith("\\") and label not in box.folders:
            add_folder(box, label)


def _show(box: Mailbox, message: Message) -> None:
    modseq = box.rise()
    now = wanted(box, message)
    for folder, uid in list(message.places.items()):
        if folder not in now:
            remove(box, folder, uid, modseq)
        else:
            touch(folder, uid, modseq)
    for folder in now:
        if folder not in message.places:
            place(folder, message, modseq)


def discard(box: Mailbox, message: Message) -> None:
    """Delete the message for good."""
    modseq = box.rise()
    for folder, uid in list(message.places.items()):
        remove(box, folder, uid, modseq)
    box.messages.pop(message.msgid, None)


def file_under(box: Mailbox, message: Message, folder: Folder) -> None:
    """What COPY into the folder does: add its label, or change the state for Trash, Spam and All Mail."""
    if folder.role in _STATE_OF_ROLE:
        change(box, message, state=_STATE_OF_ROLE[folder.role])
        return
    change(box, message, labels=message.labels | {own_label(folder) or ""}, state="all")


def move(box: Mailbox, message: Message, source: Folder, target: Folder) -> None:
    """What MOVE does: file under the target and take the source's label away."""
    label = own_label(source)
    file_under(box, message, target)
    if label is not None and target is not source and label in message.labels:
        change(box, message, labels=message.labels - {label})


def expunge_entry(box: Mailbox, folder: Folder, entry: Entry) -> None:
    """What EXPUNGE does: for good in Trash and Spam, else only this folder's label goes (archive)."""
    if folder.role in (names.TRASH, names.JUNK):
        discard(box, entry.message)
        return
    entry.deleted = False
    label = own_label(folder)
    if label is not None:
        change(box, entry.message, labels=entry.message.labels - {label})
    else:
        change(box, entry.message)


def add_message(
    store: Store, box: Mailbox, raw: bytes, labels: Iterable[str], flags: Iterable[str], when: datetime
) -> Message:
    """Store a new message: id, thread from References and In-Reply-To, views."""
    msgid = store.new_msgid(when)
    own = _MESSAGE_ID.findall(header_value(raw, b"message-id") or b"")[:1]
    named = (header_value(raw, b"references") or b"") + b" " + (header_value(raw, b"in-reply-to") or b"")
    keys = [key.decode("latin-1") for key in (*own, *_MESSAGE_ID.findall(named))]
    thrid = next((box.threads[key] for key in keys if key in box.threads), msgid)
    for key in keys:
        box.threads.setdefault(key, thrid)
    message = Message(msgid, thrid, raw, when)
    box.messages[msgid] = message
    message.flags = set(flags) - {DELETED}
    labels = {system_label(label) for label in labels}
    labels |= {label for label, flag in _FLAG_OF_LABEL.items() if flag in message.flags}
    message.flags |= {flag for label, flag in _FLAG_OF_LABEL.items() if label in labels}
    _set_labels(box, message, labels)
    _show(box, message)
    return message


def same_message(box: Mailbox, raw: bytes) -> Message | None:
    """A stored message with this Message-ID: Gmail files an APPEND of a known message only once."""
    wanted_id = header_value(raw, b"message-id")
    if not wanted_id:
        return None
    for message in box.messages.values():
        if header_value(message.raw, b"message-id") == wanted_id:
            return message
    return None


class GmailMail:
    """Changes made to Gmail mailboxes from outside, by tests and the demo; safe from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def deliver(
        self,
        user: str,
        raw: bytes,
        labels: Iterable[str] = ("\\Inbox",),
        flags: Iterable[str] = (),
        internaldate: datetime | None = None,
        state: str = "all",
    ) -> int:
        """A new message arrives; its X-GM-MSGID. Labels are written as X-GM-LABELS shows them, decoded."""
        with self._store.changing(user) as box:
            when = internaldate or self._store.clock.now()
            message = add_message(self._store, box, raw, labels, flags, when)
            if state != "all":
                change(box, message, state=state)
            return message.msgid

    def message(self, user: str, msgid: int) -> Message:
        """The stored message; KeyError if it is gone."""
        with self._store.lock:
            return self._store.box(user).messages[msgid]

    def add_label(self, user: str, msgid: int, *labels: str) -> None:
        """Add labels, creating those that do not exist."""
        self._edit(user, msgid, lambda box, m: change(box, m, labels=m.labels | set(labels)))

    def remove_label(self, user: str, msgid: int, *labels: str) -> None:
        """Take labels away."""
        self._edit(user, msgid, lambda box, m: change(box, m, labels=m.labels - set(labels)))

    def set_flags(self, user: str, msgid: int, flags: Iterable[str]) -> None:
        """Replace the flags (\\Seen, \\Flagged, \\Answered, keywords)."""
        self._edit(user, msgid, lambda box, m: change(box, m, flags=flags))

    def move_to_trash(self, user: str, msgid: int) -> None:
        """Move to Trash: gone from every other folder."""
        self._edit(user, msgid, lambda box, m: change(box, m, state="trash"))

    def move_to_spam(self, user: str, msgid: int) -> None:
        """Move to Spam: gone from every other folder."""
        self._edit(user, msgid, lambda box, m: change(box, m, state="spam"))

    def restore(self, user: str, msgid: int, labels: Iterable[str] = ("\\Inbox",)) -> None:
        """Take the message out of Trash or Spam."""
        self._edit(user, msgid, lambda box, m: change(box, m, labels=m.labels | set(labels), state="all"))

    def expunge(self, user: str, msgid: int) -> None:
        """Delete for good."""
        self._edit(user, msgid, discard)

    def rename_label(self, user: str, old: str, new: str, *, bump: bool = False) -> None:
        """Rename a label and its children; as in Gmail the messages get no modseq unless `bump`."""
        with self._store.changing(user) as box:
            rename(box, old, new)
            if bump:
                for message in list(box.messages.values()):
                    if new in message.labels:
                        change(box, message)

    def bump_uidvalidity(self, user: str, folder: str) -> int:
        """Give the folder (by name or by role, e.g. \\All) a new UIDVALIDITY and new UIDs."""
        with self._store.changing(user) as box:
            found = box.role(folder) or box.folders[folder]
            renumber(box, found, box.next_uidvalidity)
            return found.uidvalidity

    def lower_modseq(self, user: str, to: int) -> None:
        """Let every modseq of the mailbox fall to at most this number."""
        with self._store.changing(user) as box:
            lower_modseq(box, to)

    def folder_name(self, user: str, role: str) -> str:
        """The (localized) name of the folder with this role; KeyError if the user has none."""
        with self._store.lock:
            found = self._store.box(user).role(role)
            if found is None:
                raise KeyError(role)
            return found.name

    def uid(self, user: str, msgid: int, role: str = names.ALL) -> int | None:
        """The message's UID in the folder with this role, None when it is not there."""
        with self._store.lock:
            box = self._store.box(user)
            folder = box.role(role) or box.folders.get(role)
            return None if folder is None else box.messages[msgid].places.get(folder)

    def snapshot(self, user: str) -> dict[int, tuple[str, frozenset[str], frozenset[str], bytes]]:
        """msgid -> (state, labels, flags, raw) of everything the user has."""
        with self._store.lock:
            return {
                msgid: (m.state, frozenset(m.labels), frozenset(m.flags), m.raw)
                for msgid, m in self._store.box(user).messages.items()
            }

    def _edit(self, user: str, msgid: int, edit: Callable[[Mailbox, Message], None]) -> None:
        with self._store.changing(user) as box:
            edit(box, box.messages[msgid])


def rename(box: Mailbox, old: str, new: str) -> None:
    """Rename a user label and its children everywhere, without touching modseqs."""
    moved = {name: new + name[len(old) :] for name in box.folders if name == old or name.startswith(old + "/")}
    for before, after in moved.items():
        folder = box.folders.pop(before)
        folder.name = after
        box.folders[after] = folder
    for message in box.messages.values():
        message.labels = {moved.get(label, label) for label in message.labels}
