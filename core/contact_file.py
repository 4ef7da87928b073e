"""What a file of contacts gives, whatever its format: contacts and faults, each with the line it begins at.
The formats are `core.vcard` and `core.contact_csv`; what becomes of a contact is decided by `sync.contact_import`."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass

from core.contact import Contact

MAX_BYTES = 128_000_000
MAX_RECORDS = 100_000
MAX_EXTERNAL_ID = 200

_UTF_16_SAMPLE = 2_000
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Bytes and the name of their charset, "" when none was declared, to text; never raises.
Decode = Callable[[bytes, str], str]


@dataclass(frozen=True, slots=True)
class FileContact:
    """A contact in normal form. `external_id` is what the file calls it, "" for nothing."""

    line: int
    contact: Contact
    external_id: str = ""


@dataclass(frozen=True, slots=True)
class FileFault:
    """A record that was not taken, and why."""

    line: int
    reason: str


FileRecord = FileContact | FileFault


def too_many() -> str:
    """The reason why a record, and all that follow, were not taken."""
    return f"only the first {MAX_RECORDS} records of a file are read: split it"


def decode_text(data: bytes, _charset: str = "") -> str:
    """UTF-8, else the charset of Western Windows."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def decode_file(data: bytes, decode: Decode = decode_text) -> str:
    """The text of a whole file: by its byte order mark, as UTF-16 when it looks like that, else by `decode`."""
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, "replace")
    # Spreadsheets write UTF-16 without a mark: every other byte of Western text is zero.
    sample = data[:_UTF_16_SAMPLE]
    for offset, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = sample[offset::2].count(0)
        if zeros > len(sample) // 4 and not sample[1 - offset :: 2].count(0):
            return data.decode(codec, "replace")
    return decode(data, "")


def checked_id(text: str) -> str:
    """An external id as it can be stored, "" when it cannot: a cut one could be another record's."""
    shown = text.strip()
    return shown if shown.isprintable() and len(shown) <= MAX_EXTERNAL_ID else ""
