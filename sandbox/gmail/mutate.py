"""Commands that change messages: STORE, COPY, MOVE, EXPUNGE, APPEND.

Decides answers and conditions; what a change means is left to labels.py (Gmail) and folders.py (plain).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sandbox.gmail import folders as plain
from sandbox.gmail import labels as gmail
from sandbox.gmail.fetch import Item, response
from sandbox.gmail.grammar import BadCommand, NumberSet, Parser, compact
from sandbox.gmail.model import DELETED, Entry, Folder
from sandbox.gmail.names import JUNK, NOSELECT, TRASH
from sandbox.gmail.profile import APPEND_LIMIT
from sandbox.gmail.session import Command, No, Session


@dataclass(frozen=True, slots=True)
class Edit:
    """A STORE: which attribute, how (`+`, `-` or replace), and whether to keep silent about it."""

    labels: bool
    sign: str
    values: frozenset[str]
    silent: bool

    def apply(self, old: set[str]) -> set[str]:
        """The new set of flags or labels."""
        if self.sign == "+":
            return old | self.values
        return old - self.values if self.sign == "-" else set(self.values)


def targets(session: Session, wanted: NumberSet, uid: bool) -> list[Entry]:
    """The entries a set names; those already gone are left out. The caller holds the lock."""
    selected = session.opened
    chosen = (
        wanted.pick(selected.uids)
        if uid
        else [selected.uids[n - 1] for n in wanted.pick(range(1, len(selected.uids) + 1))]
    )
    return [selected.folder.entries[u] for u in chosen if u in selected.folder.entries]


def _writable(session: Session) -> None:
    if session.opened.read_only:
        raise No("[READ-ONLY] Mailbox is read-only. (Failure)")


async def store(session: Session, args: Parser) -> str:
    """STORE and UID STORE of flags and X-GM-LABELS, with UNCHANGEDSINCE."""
    uid = session.by_uid
    args.space()
    wanted = args.numbers()
    unchanged_since: int | None = None
    if args.take(b" (UNCHANGEDSINCE "):
        unchanged_since = args.number()
        args.need(b")")
        if not session.profile.has("CONDSTORE"):
            raise BadCommand
        if not session.profile.gmail:
            session.enabled.add("CONDSTORE")
    args.space()
    edit = _edit(session, args)
    args.end()
    _writable(session)
    with session.store.lock:
        failed = _store_all(session, targets(session, wanted, uid), edit, unchanged_since, uid)
    session.store.notify(session.user)
    if failed:
        return f"[MODIFIED {compact(failed).decode()}] Conditional STORE failed"
    return "Success"


def _edit(session: Session, args: Parser) -> Edit:
    sign = "+" if args.take(b"+") else "-" if args.take(b"-") else ""
    word = args.keyword()
    silent = word.endswith(".SILENT")
    word = word.removesuffix(".SILENT")
    args.space()
    if word == "FLAGS":
        return Edit(False, sign, frozenset(args.flags()), silent)
    if word == "X-GM-LABELS" and session.profile.gmail:
        return Edit(True, sign, frozenset(map(gmail.system_label, args.labels())), silent)
    raise BadCommand


def _store_all(
    session: Session, entries: Sequence[Entry], edit: Edit, unchanged_since: int | None, uid: bool
) -> list[int]:
    failed: list[int] = []
    names = ["X-GM-LABELS" if edit.labels else "FLAGS"] if not edit.silent else []
    # RFC 7162 3.1.3: the new MODSEQ is told even when .SILENT was asked.
    if "CONDSTORE" in session.enabled or unchanged_since is not None:
        names.append("MODSEQ")
    items = [Item("UID")] * uid + [Item(name) for name in names]
    for entry in entries:
        if unchanged_since is not None and entry.modseq > unchanged_since:
            failed.append(entry.uid if uid else session.sequence(entry.uid) or 0)
            continue
        _store_one(session, entry, edit)
        session.opened.horizon = max(session.opened.horizon, session.mailbox.modseq)
        session.opened.told[entry.uid] = entry.modseq
        if names and entry.uid in session.opened.folder.entries:
            session.wire.put(response(session, entry, items))
    return failed


def _store_one(session: Session, entry: Entry, edit: Edit) -> None:
    box, folder = session.mailbox, session.opened.folder
    if edit.labels:
        gmail.change(box, entry.message, labels=edit.apply(entry.message.labels))
        return
    flags = edit.apply(entry.flags())
    if not session.profile.gmail:
        plain.set_entry_flags(box, folder, entry, flags)
        return
    entry.deleted = DELETED in flags
    gmail.change(box, entry.message, flags=flags)
    if entry.deleted and box.auto_expunge and folder.role not in (TRASH, JUNK):
        # Gmail's default "Auto-Expunge on": \Deleted acts at once, without EXPUNGE.
        gmail.expunge_entry(box, folder, entry)


async def expunge(session: Session, args: Parser) -> str:
    """EXPUNGE, and UID EXPUNGE (RFC 4315)."""
    wanted: NumberSet | None = None
    if session.by_uid:
        if not session.profile.has("UIDPLUS"):
            raise BadCommand
        args.space()
        wanted = args.numbers()
    args.end()
    _writable(session)
    expunge_deleted(session, wanted)
    return "Success"


def expunge_deleted(session: Session, wanted: NumberSet | None) -> None:
    """Remove what is marked \\Deleted, limited to some UIDs if given."""
    selected = session.opened
    with session.store.lock:
        known = set(wanted.pick(selected.uids)) if wanted else set(selected.uids)
        doomed = [e for e in selected.folder.entries.values() if e.deleted and e.uid in known]
        for entry in doomed:
            if session.profile.gmail:
                gmail.expunge_entry(session.mailbox, selected.folder, entry)
            else:
                plain.expunge_entry(session.mailbox, selected.folder, entry)
        selected.horizon = session.mailbox.modseq
    session.store.notify(session.user)


async def copy(session: Session, args: Parser) -> str:
    """COPY and UID COPY."""
    return _transfer(session, args, move=False)


async def move(session: Session, args: Parser) -> str:
    """MOVE and UID MOVE (RFC 6851)."""
    if not session.profile.has("MOVE"):
        raise BadCommand
    return _transfer(session, args, move=True)


def _transfer(session: Session, args: Parser, *, move: bool) -> str:
    args.space()
    wanted = args.numbers()
    args.space()
    name = args.folder()
    args.end()
    if move:
        _writable(session)
    with session.store.lock:
        target = _target(session, name)
        entries = targets(session, wanted, session.by_uid)
        pairs = [(entry.uid, _transfer_one(session, entry, target, move=move)) for entry in entries]
        session.opened.horizon = session.mailbox.modseq
    session.store.notify(session.user)
    if not pairs or not session.profile.has("UIDPLUS"):
        return "(Success)" if pairs else "No matching messages, so nothing done. (Success)"
    olds, news = (",".join(map(str, side)) for side in zip(*pairs, strict=True))
    code = f"[COPYUID {target.uidvalidity} {olds} {news}]"
    if not move:
        return f"{code} (Success)"
    # RFC 6851 4.3: for MOVE the code comes in an untagged OK before the expunges.
    session.put(f"* OK {code}".encode())
    return "(Success)"


def _target(session: Session, name: str) -> Folder:
    folder = session.mailbox.folders.get(name)
    if folder is None or folder.role == NOSELECT:
        raise No("[TRYCREATE] No folder " + name.encode("ascii", "replace").decode() + " (Failure)")
    return folder


def _transfer_one(session: Session, entry: Entry, target: Folder, *, move: bool) -> int:
    box, source = session.mailbox, session.opened.folder
    if not session.profile.gmail:
        fresh = plain.copy_entry(box, entry, target)
        if move:
            plain.expunge_entry(box, source, entry)
        return fresh
    if move:
        gmail.move(box, entry.message, source, target)
    else:
        gmail.file_under(box, entry.message, target)
    return entry.message.places.get(target, 0)


async def append(session: Session, args: Parser) -> str:
    """APPEND one message; Gmail files a message whose Message-ID it knows only once."""
    args.space()
    name = args.folder()
    args.space()
    flags: set[str] = set()
    when = session.store.clock.now()
    if args.at(b"("):
        flags = args.flags()
        args.space()
    if args.at(b'"'):
        when = args.date_time()
        args.space()
    raw = args.string()
    args.end()
    if len(raw) > APPEND_LIMIT:
        raise No("[TOOBIG] Message too large. (Failure)")
    with session.store.lock:
        target = _target(session, name)
        if session.profile.gmail:
            number = _append_to_gmail(session, target, raw, flags, when)
        else:
            number = plain.add_copy(session.mailbox, target, raw, flags, when)
    session.store.notify(session.user)
    if not session.profile.has("UIDPLUS"):
        return "(Success)"
    return f"[APPENDUID {target.uidvalidity} {number}] (Success)"


def _append_to_gmail(session: Session, target: Folder, raw: bytes, flags: set[str], when: datetime) -> int:
    box = session.mailbox
    message = gmail.same_message(box, raw)
    if message is None:
        message = gmail.add_message(session.store, box, raw, (), flags, when)
    gmail.file_under(box, message, target)
    return message.places.get(target, 0)


COMMANDS = {
    "STORE": Command(store, 2, quiet=True),
    "UID STORE": Command(store, 2),
    "EXPUNGE": Command(expunge, 2),
    "UID EXPUNGE": Command(expunge, 2),
    "COPY": Command(copy, 2),
    "UID COPY": Command(copy, 2),
    "MOVE": Command(move, 2),
    "UID MOVE": Command(move, 2),
    "APPEND": Command(append),
}
