"""The stored bytes of messages: reads slices back from packs, keeps what was fetched later as fragments.
How a pack is made is `sync.packing`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.packs import Slice
from models.bulk import insert_rows, update_rows
from models.content import FragmentRow, MessageRow, PackRow
from models.db import parts
from sync.ids import next_message_ids
from sync.packing import new_compressor, unpack_raw, unpack_text


@dataclass(frozen=True, slots=True)
class Fragment:
    """Bytes of a message from `offset` on; `text`, if any, is its text read anew, as one zstd frame."""

    message_id: int
    offset: int
    data: bytes = field(repr=False)
    text: bytes = field(default=b"", repr=False)


def keep_fragments(session: Session, account_id: str, fragments: Sequence[Fragment]) -> None:
    """Store fragments in one pack, and say that the messages have that much more."""
    if not fragments:
        return
    compressor = new_compressor()
    pack_id = next_message_ids(1)[0]
    pack = bytearray()
    rows, lengths, texts = [], [], []
    for fragment in fragments:
        frame = compressor.compress(fragment.data)
        row = {"message_id": fragment.message_id, "offset": fragment.offset, "size": len(fragment.data)}
        rows.append(row | {"pack_id": pack_id, "pack_offset": len(pack), "pack_length": len(frame)})
        lengths.append({"id": fragment.message_id, "have": fragment.offset + len(fragment.data)})
        pack += frame
        if fragment.text:
            place = {"text_pack": pack_id, "text_offset": len(pack), "text_length": len(fragment.text)}
            texts.append({"id": fragment.message_id} | place)
            pack += fragment.text
    insert_rows(session, FragmentRow, rows)
    update_rows(session, MessageRow, lengths, key=("id",))
    update_rows(session, MessageRow, texts, key=("id",))
    insert_rows(session, PackRow, [{"id": pack_id, "account_id": account_id, "data": bytes(pack)}])


def read_prefixes(session: Session, message_ids: Sequence[int]) -> dict[int, bytes]:
    """All bytes we hold of these messages, from their start. Raises ItemRejected when they are damaged."""
    slices: list[tuple[int, int, int, int]] = []
    for part in parts(list(message_ids)):
        first = select(MessageRow.id, MessageRow.raw_pack, MessageRow.raw_offset, MessageRow.raw_length)
        slices += session.execute(first.where(MessageRow.id.in_(part))).all()
        later = select(
            FragmentRow.message_id, FragmentRow.pack_id, FragmentRow.pack_offset, FragmentRow.pack_length
        ).where(FragmentRow.message_id.in_(part))
        slices += session.execute(later.order_by(FragmentRow.message_id, FragmentRow.offset)).all()
    frames = _frames(session, {(pack, offset, length) for _, pack, offset, length in slices})
    found = dict.fromkeys(message_ids, b"")
    for message_id, pack, offset, length in slices:
        frame = frames[pack, offset, length]
        found[message_id] += unpack_raw(frame, Slice(0, len(frame)))
    return found


def read_prefix(session: Session, message_id: int) -> bytes:
    """All bytes we hold of one message."""
    return read_prefixes(session, [message_id])[message_id]


def read_text(session: Session, message_id: int) -> str:
    """The plain text of a message. Raises ItemRejected when it is damaged."""
    query = select(MessageRow.text_pack, MessageRow.text_offset, MessageRow.text_length)
    place = session.execute(query.where(MessageRow.id == message_id)).one()
    frame = _frames(session, {place})[place]
    return unpack_text(frame, Slice(0, len(frame)))


def _frames(session: Session, places: Collection[tuple[int, int, int]]) -> dict[tuple[int, int, int], bytes]:
    """Slices of packs by (pack, offset, length). One pack is in memory at a time; the database would read all of it
    for a slice as well, so it is asked for once."""
    found = {}
    data, loaded = b"", 0
    for pack, offset, length in sorted(places):
        if pack != loaded:
            data, loaded = session.scalar(select(PackRow.data).where(PackRow.id == pack)) or b"", pack
        found[pack, offset, length] = data[offset : offset + length]
    return found
