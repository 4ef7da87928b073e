"""Completes messages of which only the first bytes came with their window: the attachment list, the rest of a long
text, or all bytes if the setting says so. Reading stored bytes back is `sync.mail_bytes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.errors import ItemRejected
from core.packs import ParsedItem, RawMail
from core.ports import Structure
from core.uidset import UidSet
from models.bulk import update_rows
from models.content import MessageRow, UnfinishedRow
from sync.mail_bytes import Fragment, keep_fragments, read_prefixes
from sync.mail_run import Box, MailRun
from sync.packing import attachment_json

BATCH = 200
# Text beyond this much of a message is not fetched for reading; the whole message still is on demand.
TEXT_REACH = 1024 * 1024
PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Rest:
    """Bytes read behind the first ones of a message; `text_wanted` when its text was not whole before."""

    message_id: int
    offset: int
    data: bytes
    text_wanted: bool
    complete: bool


def finish_messages(run: MailRun, box: Box) -> None:
    """Complete the unfinished messages of the selected mailbox, newest first, batch by batch."""
    while rows := _next(run, box):
        run.checkpoint()
        structures = run.source.structures(UidSet.of(row.uid for row, _, _ in rows))
        rests: list[_Rest] = []
        for row, size, have in rows:
            rests += _read_on(run, row, size, have, structures.get(row.uid))
            if sum(len(rest.data) for rest in rests) > 4 * PIECE:
                _store(run, (), structures, rests)
                rests = []
        _store(run, [row for row, _, _ in rows], structures, rests)


def _next(run: MailRun, box: Box) -> list[tuple[UnfinishedRow, int, int]]:
    """The newest unfinished messages, each with its size and how much of it we have."""
    query = (
        select(UnfinishedRow, MessageRow.size, MessageRow.have)
        .join(MessageRow, MessageRow.id == UnfinishedRow.message_id)
        .where(UnfinishedRow.mailbox_id == box.id)
        .order_by(UnfinishedRow.uid.desc())
        .limit(BATCH)
    )
    with run.app.db.reading() as session:
        return [(row, size, have) for row, size, have in session.execute(query)]


def _read_on(run: MailRun, row: UnfinishedRow, size: int, have: int, structure: Structure | None) -> list[_Rest]:
    """Read what is still wanted of a message; nothing when enough is there or the server does not give it."""
    if row.text_whole and not run.whole:
        return []
    wanted = _reach(run, row, structure, size)
    data = bytearray()
    while have + len(data) < wanted:
        try:
            piece = run.source.read(row.uid, "", have + len(data), min(PIECE, wanted - have - len(data)))
        except ItemRejected:
            break
        if not piece:
            break
        data += piece
    complete = have + len(data) >= size
    return [_Rest(row.message_id, have, bytes(data), not row.text_whole, complete)] if data else []


def _reach(run: MailRun, row: UnfinishedRow, structure: Structure | None, size: int) -> int:
    """Up to which byte a message is wanted."""
    if run.whole and size <= run.app.settings.mail_max_message:
        return size
    end = row.header_size + structure.text_end if structure and structure.text_end else TEXT_REACH
    return min(end, TEXT_REACH, size)


def _texts(run: MailRun, rests: Sequence[_Rest]) -> dict[int, tuple[ParsedItem, bytes]]:
    """The messages whose text was cut, parsed anew: by message id, with the text as one zstd frame."""
    wanted = [rest for rest in rests if rest.text_wanted]
    if not wanted:
        return {}
    with run.app.db.reading() as session:
        before = read_prefixes(session, [rest.message_id for rest in wanted])
    raw = [RawMail(before[rest.message_id] + rest.data, rest.complete) for rest in wanted]
    window = run.parser.parse_window(raw)
    return {
        rest.message_id: (item, window.pack[item.text.offset : item.text.offset + item.text.length])
        for rest, item in zip(wanted, window.items, strict=True)
    }


def _store(
    run: MailRun, rows: Sequence[UnfinishedRow], structures: Mapping[int, Structure], rests: Sequence[_Rest]
) -> None:
    texts = _texts(run, rests)
    with run.step() as session:
        fragments = [
            Fragment(r.message_id, r.offset, r.data, texts[r.message_id][1] if r.text_wanted else b"") for r in rests
        ]
        keep_fragments(session, run.lease.account_id, fragments)
        snippets = [
            {"id": message_id, "snippet": item.snippet, "defects": item.defects}
            for message_id, (item, _) in texts.items()
        ]
        update_rows(session, MessageRow, snippets, key=("id",))
        _list_attachments(session, {row.message_id: structures[row.uid] for row in rows if row.uid in structures})
        ids = [row.message_id for row in rows]
        session.execute(delete(UnfinishedRow).where(UnfinishedRow.message_id.in_(ids)))
        run.counts["long messages completed"] += len(rows)


def _list_attachments(session: Session, structures: Mapping[int, Structure]) -> None:
    rows = [
        {"id": message_id, "attachments": [attachment_json(one) for one in structure.attachments]}
        for message_id, structure in structures.items()
    ]
    update_rows(session, MessageRow, rows, key=("id",))
