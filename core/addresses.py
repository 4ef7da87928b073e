"""Decides when two e-mail addresses are the same for matching; pure text in, text out.
Finding addresses in a message belongs to `sync.mail_fields`, storing the key to `models`."""

from __future__ import annotations

import re
import unicodedata

_END = ". "  # the root's dot of a domain, and what a cut may leave at the end
MAX_ADDRESS = 320  # RFC 5321 4.5.3.1: local part 64 + "@" + domain 255

_DOT_ATOM = re.compile(r'"([^\s"\\(),:;<>@\[\]]+)"')
_SPACES = re.compile(r"\s+")
_UNWANTED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u2069]+")


def address_key(email: str) -> str:
    """The form of an address that is compared and indexed.

    Case-folded, the domain in ASCII (IDNA, RFC 3490), needless quotes and invisible characters gone.
    Dots and +tags are kept: outside Gmail they can name different people.
    Never raises; text that is no address comes back case-folded, longer text cut to `MAX_ADDRESS`.
    """
    text = email[:MAX_ADDRESS]
    if text.isascii() and text.isprintable() and '"' not in text and " " not in text:
        return text.lower().rstrip(_END)
    text = _UNWANTED.sub("", text).strip()
    if not text.startswith('"'):
        text = _SPACES.sub("", text)
    local, at, domain = text.rpartition("@")
    if not at:
        return _folded(text)[:MAX_ADDRESS].rstrip(_END)
    quoted = _DOT_ATOM.fullmatch(local)
    return f"{_folded(quoted[1] if quoted else local)}@{_ascii_domain(domain)}"[:MAX_ADDRESS].rstrip(_END)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _ascii_domain(domain: str) -> str:
    if not domain.isascii():
        # Folded first: what the codec refuses must come out such that it is refused again.
        domain = _folded(domain).rstrip(_END)
        # The codec takes quadratic time on very long labels; 255 characters is the limit of a domain anyway.
        try:
            domain = domain[:255].encode("idna").decode("ascii")
        except UnicodeError:
            return domain
    return domain.lower().rstrip(_END)
