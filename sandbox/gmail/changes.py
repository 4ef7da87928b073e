"""What the server tells an open session of its own accord: EXISTS, EXPUNGE or VANISHED, FETCH FLAGS.

Decides the lines from what the client was told before; when they are sent is left to session.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.gmail.grammar import compact
from sandbox.gmail.model import Entry

if TYPE_CHECKING:
    from sandbox.gmail.session import Selected

_LITERAL = re.compile(rb"\{(\d+)\+?\}\r?\n")


def pending(selected: Selected, enabled: set[str], *, expunges: bool) -> list[bytes]:
    """The untagged lines due now; the session's picture is updated accordingly."""
    folder = selected.folder
    if selected.version == folder.version:
        return []
    lines = _gone(selected, "QRESYNC" in enabled) if expunges else []
    known = set(selected.uids)
    fresh = [uid for uid, e in folder.entries.items() if uid not in known and e.born <= selected.horizon]
    for uid in fresh:
        selected.told[uid] = folder.entries[uid].modseq
    selected.uids.extend(sorted(fresh))
    for index, uid in enumerate(selected.uids):
        entry = folder.entries.get(uid)
        if entry is not None and uid in known and news(selected, entry):
            lines.append(b"* %d FETCH (%s)" % (index + 1, _flags(selected, entry, enabled)))
    if fresh:
        lines.append(b"* %d EXISTS" % len(selected.uids))
    settle(selected)
    if expunges:
        selected.version = folder.version
    return lines


def news(selected: Selected, entry: Entry) -> bool:
    """Whether the entry changed since the client was told of it."""
    return entry.view(selected.horizon).modseq > selected.told.get(entry.uid, 0)


def settle(selected: Selected) -> None:
    """Note every entry the client knows as told up to the horizon."""
    entries = selected.folder.entries
    selected.told = {uid: entries[uid].view(selected.horizon).modseq for uid in selected.uids if uid in entries}


def _gone(selected: Selected, vanished: bool) -> list[bytes]:
    hidden = {uid for modseq, uid in selected.folder.vanished if modseq > selected.horizon}
    entries = selected.folder.entries
    gone = [(index + 1, uid) for index, uid in enumerate(selected.uids) if uid not in entries and uid not in hidden]
    if not gone:
        return []
    lost = {uid for _, uid in gone}
    selected.uids = [uid for uid in selected.uids if uid not in lost]
    if vanished:
        return [b"* VANISHED " + compact([uid for _, uid in gone])]
    # From the end, so that each number is still right when the client reads it.
    return [b"* %d EXPUNGE" % sequence for sequence, _ in reversed(gone)]


def _flags(selected: Selected, entry: Entry, enabled: set[str]) -> bytes:
    view = entry.view(selected.horizon)
    text = b"FLAGS (%s)" % " ".join(sorted(view.flags)).encode()
    if "QRESYNC" in enabled:
        text = b"UID %d " % entry.uid + text
    # RFC 7162 3.2: a CONDSTORE-aware client gets MODSEQ with it. Gmail pushes FLAGS only.
    return text + (b" MODSEQ (%d)" % view.modseq if "CONDSTORE" in enabled else b"")


def mask_literals(line: bytes) -> bytes:
    """The command with every literal's text left out, `{n}` staying."""
    out = b""
    while (found := _LITERAL.search(line)) is not None:
        out += line[: found.start()] + b"{%s}" % found.group(1)
        line = line[found.end() + int(found.group(1)) :]
    return out + line
