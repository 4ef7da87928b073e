"""Turns bytes of a declared, undeclared or wrongly declared charset into clean text; never raises.
Which bytes and which label, `mime_headers` and `mime_body` decide."""

from __future__ import annotations

import codecs
import re
from encodings.aliases import aliases
from functools import lru_cache

# Python names that are no charsets of mail: transforms, or decoders with quadratic time (punycode, idna).
# UTF-7 hides markup from filters and no living client writes it (WHATWG Encoding 4.2 drops it too).
_REFUSED = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "idna", "mbcs", "oem", "punycode", "quopri_codec", "rot_13"}
    | {"raw_unicode_escape", "undefined", "unicode_escape", "utf_7", "uu_codec", "zlib_codec"}
)
_WITHOUT_ALIAS = frozenset(("cp720", "cp737", "cp856", "cp874", "cp875", "cp1006", "koi8_t", "koi8_u", "utf_8_sig"))
# Labels that mean a superset in practice (WHATWG Encoding 4.2), or that Python does not know.
_WIDER = {
    "ascii": "utf_8",
    "us_ascii": "utf_8",
    "iso_8859_1": "cp1252",
    "iso8859_1": "cp1252",
    "latin_1": "cp1252",
    "latin1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
    "ks_c_5601": "cp949",
    "ksc5601": "cp949",
    "shift_jis": "cp932",
    "sjis": "cp932",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_6_i": "iso8859_6",
    "iso_2022_jp": "iso2022_jp_2",
    "iso2022_jp": "iso2022_jp_2",
    "windows_874": "cp874",
    "tis_620": "cp874",
}
_NO_CONTROLS = bytes(c for c in range(32) if c not in (9, 10)) + b"\x7f"
_NOT_ASCII_BASED = ("utf_16", "utf_32", "iso2022", "hz")
_EBCDIC = ("cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140")
_LONE_CR = re.compile(rb"\r(?!\n)")
_TEXT_JUNK = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]+")
_LINE_JUNK = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_COMMON = frozenset(("", "utf_8", "cp1252"))
_GUESS_BYTES = 4_096
_WORDS = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=256)
def python_codec(label: str) -> str:
    """Python's name of the codec for a MIME charset label, "" when there is none or it is refused."""
    name = _WORDS.sub("_", label[:64].lower().partition("*")[0]).strip("_")
    wider = _WIDER.get(name)
    if wider:
        return wider
    # Only names known beforehand reach the codec registry: it remembers every failed look-up for ever.
    found = aliases.get(name, name)
    if found not in _WITHOUT_ALIAS and found not in set(aliases.values()):
        return ""
    found = _WIDER.get(found, found)
    return "" if found in _REFUSED else found


def decode_bytes(data: bytes, label: str, *, ended: bool = True) -> tuple[str, bool]:
    """Text of `data` and whether the label was right. Without label: UTF-8, else a guess.

    `ended=False` drops a character that was cut in half at the end.
    """
    codec = python_codec(label) if label else "utf_8"
    if codec:
        try:
            if ended:
                return data.decode(codec), True
            return codecs.getincrementaldecoder(codec)("strict").decode(data, False), True
        except (UnicodeError, LookupError, ValueError):
            pass
    return _second_try(data, codec), False


def _second_try(data: bytes, codec: str) -> str:
    if codec.startswith(_NOT_ASCII_BASED):
        return data.decode(codec, "replace")
    if codec and codec != "utf_8":
        try:
            return data.decode("utf_8")
        except UnicodeError:
            return data.decode(codec, "replace")
    lenient = data.decode("utf_8", "replace")
    if lenient.count("\ufffd") * 20 <= len(lenient):
        return lenient  # a few broken bytes in what clearly is UTF-8
    return data.decode(_guessed(data), "replace")


def _guessed(data: bytes) -> str:
    # Imported here: 27 ms and some memory that most parser processes never need.
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_GUESS_BYTES], steps=4, chunk_size=512, threshold=0.3).best()
    codec = python_codec(best.encoding) if best else ""
    return codec if codec and not codec.startswith((*_NOT_ASCII_BASED, *_EBCDIC)) else "cp1252"


def decode_body(data: bytes, label: str, *, ended: bool = True) -> tuple[str, bool]:
    """As `decode_bytes`, for body text: line ends become LF and control characters go."""
    codec = python_codec(label) if label else ""
    if codec not in _COMMON and codec.startswith((*_NOT_ASCII_BASED, *_EBCDIC)):
        text, exact = decode_bytes(data, label, ended=ended)
        return clean_text(text.replace("\r\n", "\n").replace("\r", "\n")), exact
    if _LONE_CR.search(data):
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # Any CR left stands before its LF and goes with the other controls.
    return decode_bytes(data.translate(None, _NO_CONTROLS), label, ended=ended)


def clean_text(text: str) -> str:
    """Text without control characters (tab and LF stay) and without lone surrogates."""
    return _TEXT_JUNK.sub("", text)


def clean_line(text: str, limit: int) -> str:
    """One line for a header field: no controls, no lone surrogates, white space collapsed, at most `limit` long."""
    if not text.isprintable():
        text = _LINE_JUNK.sub(" ", text)
    elif len(text) <= limit and "  " not in text:
        return text.strip()
    return " ".join(text[: 4 * limit].split())[:limit]
