"""The nouns of the parsing pipeline: raw messages in, one pack of compressed bytes and parsed heads out.
Making and reading packs is `sync.packing`, where they are kept is the caller's choice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from core.types import ParsedMail


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
    """One parsed message of a window. `mail.text` is empty: the text lies in the pack under `text`.

    `snippet` is the beginning of the text, 160 characters at most, white space collapsed.
    """

    mail: ParsedMail
    snippet: str
    raw: Slice
    text: Slice


@dataclass(frozen=True, slots=True)
class ParsedWindow:
    """The result of one window: `items` in the order of the raw messages, their bytes in `pack`."""

    pack: bytes = field(repr=False)
    items: tuple[ParsedItem, ...]
