"""Gives the text, the whole bytes or one attachment of a stored message, fetching from the server what is missing.
What is fetched is kept, so that it is asked for once."""

from __future__ import annotations

import binascii
import quopri
from dataclasses import dataclass, field

from sqlalchemy import select

from core.errors import ItemRejected, NotFound
from core.ports import MailSource
from models.content import LocationRow, MessageRow
from models.syncing import MailboxRow
from sync.app import App
from sync.mail_bytes import Fragment, keep_fragments, read_prefix
from sync.mime_body import Part, find_parts
from sync.mime_headers import base64_bytes, read_block
from sync.sources import open_mail

PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A decoded attachment."""

    filename: str
    content_type: str
    data: bytes = field(repr=False)


def whole_message(app: App, message_id: int) -> bytes:
    """All bytes of a message (RFC 5322 form), fetched as far as they are not stored yet.

    Raises ItemRejected when the server has it no more or it is above the size limit, and what opening the
    account raises.
    """
    with app.db.reading() as session:
        row = session.get_one(MessageRow, message_id)
        prefix = read_prefix(session, message_id)
        place = session.execute(
            select(MailboxRow.name, LocationRow.uid)
            .join(MailboxRow, MailboxRow.id == LocationRow.mailbox_id)
            .where(LocationRow.message_id == message_id)
            .limit(1)
        ).first()
    if row.have >= row.size:
        return prefix
    if row.size > app.settings.mail_max_message:
        raise ItemRejected(
            f"the message has {row.size} bytes, more than TWINBOX_MAIL_MAX_MESSAGE allows",
            advice="Read it in the mailbox itself, or raise that setting.",
        )
    if place is None:
        raise ItemRejected("the message is gone from the mailbox, and only its beginning is stored")
    source = open_mail(app, row.account_id)
    try:
        rest = _read_rest(source, place[0], place[1], row.have, row.size)
    finally:
        source.close()
    with app.db.transaction() as session:
        if session.get_one(MessageRow, message_id).have == row.have:
            keep_fragments(session, row.account_id, [Fragment(message_id, row.have, rest)])
    return prefix + rest


def _read_rest(source: MailSource, mailbox: str, uid: int, start: int, size: int) -> bytes:
    source.select(mailbox)
    rest = bytearray()
    while start + len(rest) < size:
        piece = source.read(uid, "", start + len(rest), PIECE)
        if not piece:
            break
        rest += piece
    return bytes(rest)


def attached_file(app: App, message_id: int, section: str) -> AttachedFile:
    """One attachment by its section number, decoded. Raises NotFound and what `whole_message` raises."""
    raw = whole_message(app, message_id)
    block = read_block(raw, 0, len(raw))
    parts, _ = find_parts(raw, block, "utf-8", complete=True)
    for part in parts:
        if part.section == section:
            return AttachedFile(part.filename or f"part-{section}", part.content_type, _decoded(raw, part))
    known = ", ".join(part.section for part in parts if part.filename or part.disposition == "attachment")
    raise NotFound(f"the message has no part {section}", advice=f"Its attachments: {known or 'none'}.")


def _decoded(raw: bytes, part: Part) -> bytes:
    data = raw[part.start : part.end]
    if part.encoding == "base64":
        return base64_bytes(data)
    if part.encoding == "quoted-printable":
        return quopri.decodestring(data)
    if part.encoding in ("x-uuencode", "uuencode", "uue", "x-uue"):
        return _uudecoded(data)
    return data


def _uudecoded(data: bytes) -> bytes:
    lines = data.splitlines()
    start = next((at for at, line in enumerate(lines) if line.startswith(b"begin ")), len(lines))
    decoded = bytearray()
    for line in lines[start + 1 :]:
        if line.strip() in (b"end", b""):
            break
        try:
            decoded += binascii.a2b_uu(line)
        except binascii.Error:
            break
    return bytes(decoded)
