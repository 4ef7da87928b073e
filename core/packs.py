"""The nouns of the parsing pipeline: raw messages in, one pack of compressed bytes and parsed heads out.
Making and reading packs is `sync.packing`, where they are kept is the caller's choice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class RawMail:
    """The bytes of one message as fetched; `complete` is False when only its beginning was asked for."""

    data: bytes = field(repr=False)
    complete: bool = True


class Slice(NamedTuple):  # tuples: built three times as fast, and a first sync builds many
    """A byte range of a pack. Each range is one zstd frame of its own."""

    offset: int
    length: int


class ParsedItem(NamedTuple):
    """One parsed message of a window, in the form it is stored in; the meaning is that of `core.types.ParsedMail`.

    `sender` is its first From for people to read, `sender_key` for comparing. `people` is role, name and address of
    everybody, `roles` the roles of each normalised address. `snippet` is the beginning of the text, 160 characters at
    most, white space collapsed; the text itself lies in the pack under `text`.
    """

    message_id: str
    date_header: str
    refs: list[str]
    subject: str
    sender: str
    sender_key: str
    people: list[list[str]]
    roles: dict[str, str]
    sent_at: datetime | None
    snippet: str
    text_complete: bool
    attachments: list[dict[str, Any]]
    calendar: dict[str, Any] | None
    marks: list[str]
    defects: list[str]
    raw: Slice
    text: Slice


@dataclass(frozen=True, slots=True)
class ParsedWindow:
    """The result of one window: `items` in the order of the raw messages, their bytes in `pack`."""

    pack: bytes = field(repr=False)
    items: tuple[ParsedItem, ...]
