"""PRETENDS the opaque words of the People API: sync tokens and top-level etags, packed and read again.
What a token is good for is decided by `people_lists`, what an etag by `people_writes`."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import astuple, dataclass
from functools import lru_cache

from sandbox.google.api_tokens import seal, unseal
from sandbox.google.people_schema import READABLE

LISTED = 9  # marks an etag that came from connections.list
FEEDS = ("people", "groups")
_SOURCE_KINDS = {"CONTACT": 2, "PROFILE": 1}
_FIELD_IDS = {name: number for number, name in enumerate(READABLE, 2)}


@dataclass(frozen=True, slots=True)
class SyncToken:
    """What a sync token stands for: a place in one user's feed, bound to the parameters of its call."""

    feed: str
    sub: str
    position: int
    issued: int  # running number of tokens of this book, so that all older ones can be declared expired
    counted_from: float  # POSIX time of the full sync
    fingerprint: str

    def pack(self) -> str:
        """The token as sent."""
        return seal([*astuple(self)])


def read_sync_token(text: str) -> SyncToken | None:
    """The token behind `text`, or None for garbage and for words of another kind."""
    content = unseal(text)
    return SyncToken(*content) if content is not None and content[0] in FEEDS else None


# -- etags (google.md, B.3): "%" + base64(protobuf{2: field ids, 3: kinds of source, 4: etag of the CONTACT source})


def source_etag(seed: str, version: int) -> str:
    """The etag of a CONTACT source in the form of `#poIFzCG0qKE=`."""
    digest = hashlib.blake2b(f"{seed} {version}".encode(), digest_size=8).digest()
    return "#" + base64.b64encode(digest).decode()


def person_etag(fields: tuple[str, ...], kinds: tuple[str, ...], source: str, *, listed: bool) -> str:
    """The top-level etag: another one for every choice of fields and sources, though nothing changed."""
    content = source[1:].encode()
    return "%" + base64.b64encode(_etag_head(fields, kinds, listed) + bytes((0x22, len(content))) + content).decode()


@lru_cache(maxsize=256)
def _etag_head(fields: tuple[str, ...], kinds: tuple[str, ...], listed: bool) -> bytes:
    ids = bytes(_FIELD_IDS[name] for name in fields)
    marks = bytes((*(_SOURCE_KINDS[kind] for kind in kinds), *((LISTED,) if listed else ())))
    return bytes((0x12, len(ids))) + ids + bytes((0x1A, len(marks))) + marks


def read_person_etag(text: str) -> tuple[str, bool] | None:
    """The source etag within a top-level etag and whether it came from a list; None if it is no such etag."""
    try:
        raw = base64.b64decode(text[1:], validate=True) if text.startswith("%") else b""
    except (binascii.Error, ValueError):
        return None
    parts: dict[int, bytes] = {}
    while len(raw) >= 2 and len(raw) >= 2 + raw[1]:
        parts[raw[0]], raw = raw[2 : 2 + raw[1]], raw[2 + raw[1] :]
    if raw or 0x22 not in parts:
        return None
    return "#" + parts[0x22].decode("ascii", "replace"), LISTED in parts.get(0x1A, b"")
