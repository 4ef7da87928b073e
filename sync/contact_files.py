"""Opens files of contacts (which format, which charset) and writes a workspace's contacts as one.
The formats are `core.vcard` and `core.contact_csv`; storing what was read is `sync.contact_import`."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson
from sqlalchemy.orm import Session

from core.contact import from_json
from core.contact_csv import read_csv, write_csv
from core.contact_file import MAX_BYTES, FileRecord, decode_file, decode_text
from core.errors import ItemRejected
from core.vcard import read_vcards, write_vcard
from models.columns import Record
from models.contact_queries import contact_records, iterate_contacts
from sync.mime_charsets import decode_bytes


class ReadFormat(enum.StrEnum):
    """Formats that can be imported; `auto` looks at the file."""

    AUTO = "auto"
    VCARD = "vcard"
    CSV = "csv"


class WriteFormat(enum.StrEnum):
    """Formats that can be exported: vCard 4.0 and 3.0, a table, JSON."""

    VCARD = "vcard"
    VCARD3 = "vcard3"
    CSV = "csv"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ContactFile:
    """An opened file. `ignored` names columns that hold something that is not kept; it is complete at the end of
    `records`."""

    format: ReadFormat
    records: Iterator[FileRecord]
    ignored: list[str] = field(default_factory=list)


def open_file(data: bytes, wanted: ReadFormat = ReadFormat.AUTO) -> ContactFile:
    """Open the bytes of a file. Raises ItemRejected when nothing in it can be understood at all."""
    if len(data) > MAX_BYTES:
        raise ItemRejected(
            f"the file has more than {MAX_BYTES // 1_000_000} MB", advice="Split it, or export it without photographs."
        )
    if not data.strip():
        raise ItemRejected("the file is empty", advice="Export the contacts again, as vCard or CSV.")
    kind = _format_of(data) if wanted is ReadFormat.AUTO else wanted
    if kind is ReadFormat.VCARD:
        return ContactFile(kind, read_vcards(data, _decode))
    table = read_csv(decode_file(data))
    if table is None:
        raise ItemRejected(
            "the file is no vCard, and its first line names no column that is known",
            advice="Export the contacts as vCard, or name the columns like given_name,family_name,email,phone.",
        )
    return ContactFile(kind, table.records, table.ignored)


def _format_of(data: bytes) -> ReadFormat:
    start = decode_file(data[:4_096]).lstrip("\ufeff \t\r\n")
    return ReadFormat.VCARD if start[:11].upper() == "BEGIN:VCARD" else ReadFormat.CSV


def _decode(data: bytes, charset: str) -> str:
    # Guessing a charset costs milliseconds, and there are many values.
    return decode_bytes(data, charset)[0] if charset else decode_text(data)


def export_contacts(session: Session, workspace: str, wanted: WriteFormat, *, tag: str = "") -> Iterator[str]:
    """The living contacts of a workspace, or those with the tag of that id, as pieces of text. Each bears the external
    id, or our own where there is none, so that it is found again."""
    batches = iterate_contacts(session, workspace, tag=tag)
    if wanted is WriteFormat.CSV:
        yield write_csv([(row.external_id or row.id, from_json(row.body)) for rows in batches for row in rows])
    elif wanted is WriteFormat.JSON:
        yield from _as_json(contact_records(session, rows) for rows in batches)
    else:
        version = "4.0" if wanted is WriteFormat.VCARD else "3.0"
        for row in (row for rows in batches for row in rows):
            uid = row.external_id or row.id
            yield write_vcard(from_json(row.body), uid=uid, revised=row.modified_at, version=version)


def _as_json(batches: Iterable[list[Record]]) -> Iterator[str]:
    separator = "[\n"
    for records in batches:
        for record in records:
            yield separator + orjson.dumps(record).decode()
            separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"
