"""Names on the wire: modified UTF-7, quoting, and the localized special-use folder sets of Gmail.

Decides how a name is written; which folders exist is left to labels.py and folders.py.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

INBOX = "\\Inbox"
ALL, DRAFTS, IMPORTANT, SENT = "\\All", "\\Drafts", "\\Important", "\\Sent"
JUNK, FLAGGED, TRASH = "\\Junk", "\\Flagged", "\\Trash"
NOSELECT = "\\Noselect"

_SAFE_ATOM = re.compile(r"[A-Za-z0-9_.+&,'!#$:;<=>?@^`|~/-]+")
_GMAIL_BARE = re.compile(r"[A-Za-z0-9_.+&,'!#$:;<=>?@^`|~/\[\]-]+")


@dataclass(frozen=True, slots=True)
class FolderNames:
    """The names one Gmail interface language gives to the special folders, without the root."""

    root: str = "[Gmail]"
    leaves: Mapping[str, str] = field(default_factory=dict)


def _leaves(*names: str) -> Mapping[str, str]:
    roles = (ALL, DRAFTS, IMPORTANT, SENT, JUNK, FLAGGED, TRASH)
    return MappingProxyType(dict(zip(roles, names, strict=True)))


_ENGLISH = ("All Mail", "Drafts", "Important", "Sent Mail", "Spam", "Starred", "Trash")
LANGUAGES: Mapping[str, FolderNames] = MappingProxyType(
    {
        "en": FolderNames("[Gmail]", _leaves(*_ENGLISH)),
        "en-GB": FolderNames("[Gmail]", _leaves(*_ENGLISH[:-1], "Bin")),
        "google-mail": FolderNames("[Google Mail]", _leaves(*_ENGLISH[:-1], "Bin")),
        "ru": FolderNames(
            "[Gmail]",
            _leaves("Вся почта", "Черновики", "Важное", "Отправленные", "Спам", "Помеченные", "Корзина"),
        ),
        "de": FolderNames(
            "[Gmail]",
            _leaves("Alle Nachrichten", "Entwürfe", "Wichtig", "Gesendet", "Spam", "Markiert", "Papierkorb"),
        ),
    }
)


def encode_utf7(name: str) -> bytes:
    """The modified UTF-7 form of a mailbox name (RFC 3501 5.1.3)."""
    out = bytearray()
    shifted = ""
    for char in name + "\0":
        if 0x20 <= ord(char) <= 0x7E or char == "\0":
            if shifted:
                packed = binascii.b2a_base64(shifted.encode("utf-16-be"), newline=False)
                out += b"&" + packed.rstrip(b"=").replace(b"/", b",") + b"-"
                shifted = ""
            out += b"" if char == "\0" else b"&-" if char == "&" else char.encode("ascii")
        else:
            shifted += char
    return bytes(out)


def decode_utf7(name: bytes) -> str:
    """The mailbox name written in modified UTF-7; 8-bit bytes are read as UTF-8.

    Raises:
        ValueError: a shift sequence that is not valid.
    """
    out = ""
    for index, piece in enumerate(name.split(b"&")):
        if index == 0:
            out += piece.decode("utf-8")
            continue
        shifted, dash, rest = piece.partition(b"-")
        if not dash:
            raise ValueError("unterminated shift sequence")
        if not shifted:
            out += "&"
        else:
            padded = shifted.replace(b",", b"/") + b"=" * (-len(shifted) % 4)
            out += binascii.a2b_base64(padded).decode("utf-16-be")
        out += rest.decode("utf-8")
    return out


def quote(text: bytes) -> bytes:
    """Text as an IMAP quoted string; the caller made sure that it holds no CR, LF or NUL."""
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def string(text: bytes | None) -> bytes:
    """An nstring: NIL, a quoted string, or a literal where the quoted form is not allowed."""
    if text is None:
        return b"NIL"
    if len(text) > 900 or any(byte in b"\r\n\0" or byte >= 0x80 for byte in text):
        return b"{%d}\r\n%s" % (len(text), text)
    return quote(text)


def mailbox(name: str, utf8: bool = False) -> bytes:
    """A folder name as servers send it: always quoted, in modified UTF-7 unless UTF8=ACCEPT is on."""
    return quote(name.encode("utf-8") if utf8 else encode_utf7(name))


def gmail_label(label: str, utf8: bool = False) -> bytes:
    """A label as Gmail's X-GM-LABELS writes it, with its known bad quoting.

    System labels keep their backslash inside a quoted string; `[Mailbox]`, bare digits and even `NIL`
    arrive unquoted although a client's lexer then reads a section, a number or nothing.
    """
    text = label.encode("utf-8") if utf8 else encode_utf7(label)
    if _GMAIL_BARE.fullmatch(text.decode("utf-8")):
        return text
    return quote(text)


def is_plain_atom(text: str) -> bool:
    """Whether the text may be written as an atom without quoting."""
    return _SAFE_ATOM.fullmatch(text) is not None
