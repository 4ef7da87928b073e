"""Descriptions: Google takes them for HTML and rewrites them, the CRM has plain text. One way there, one way back.
When a description is written at all is left to `event_edits`."""

from __future__ import annotations

import html
import re

from core.text import MAX_TEXT, paragraphs

# Only names that HTML has: "<ann@example.com>" and "a < b" are text. Bounded and without going back, whatever comes.
_TAG = re.compile(
    r"<!--.*?-->|<(/?)(a|abbr|b|blockquote|body|br|code|dd|div|dl|dt|em|font|h[1-6]|head|hr|html|html-blob|i|img|label|li"
    r"|ol|p|pre|s|small|span|strike|strong|sub|sup|table|tbody|td|th|thead|tr|u|ul)"
    r"(?=[\s/>])((?:\"[^\"<>]*+\"|'[^'<>]*+'|[^'\"<>])*+)>",
    re.IGNORECASE | re.DOTALL,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_HREF = re.compile(r"""\shref\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_BLOCKS = frozenset(
    {"blockquote", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "table"}
    | {"tr", "ul"}
)
_LINK = ("http://", "https://", "mailto:")


def plain_text(description: str) -> str:
    """What a description says, in normal form: equal for the plain text we wrote and for the HTML that Google's page
    makes of it. Lines and list items stay, a link behind other words is put in brackets."""
    return paragraphs(_Reader().read(description[:MAX_TEXT]))


def as_description(text: str) -> str:
    """A plain text such that Google's page shows it: as it is, unless it would be taken for HTML."""
    return text if plain_text(text) == text else html.escape(text, quote=False)


class _Reader:
    """One pass over a description; `_link` is where an open link leads and where its words begin."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._fresh = True  # at the beginning of a line
        self._link = ("", 0)

    def read(self, text: str) -> str:
        end = 0
        for tag in _TAG.finditer(text):
            self._text(text[end : tag.start()])
            end = tag.end()
            if tag[2]:
                self._tag(tag[2].lower(), tag[3], closing=bool(tag[1]))
        self._text(text[end:])
        return "".join(self._out)

    def _text(self, text: str) -> None:
        text = _ENTITY.sub(_character, text)
        if text:
            self._out.append(text)
            self._fresh = text.endswith(("\n", "\r"))

    def _tag(self, name: str, attributes: str, *, closing: bool) -> None:
        if name == "br":
            self._text("\n")
        elif name == "a":
            self._anchor(attributes, closing=closing)
        elif name in _BLOCKS:
            if not self._fresh:
                self._text("\n")
            if name == "li" and not closing:
                self._out.append("- ")
                self._fresh = False

    def _anchor(self, attributes: str, *, closing: bool) -> None:
        target, begin = self._link
        self._link = ("", 0)
        if not closing:
            href = _HREF.search(attributes)
            self._link = (_ENTITY.sub(_character, href[1] or href[2] or "") if href else "", len(self._out))
        elif target.lower().startswith(_LINK):
            shown = "".join(self._out[begin:]).strip()
            if shown.rstrip("/") not in (target.rstrip("/"), target.partition(":")[2].strip("/")):
                self._text(f" ({target})" if shown else target)


def _character(entity: re.Match[str]) -> str:
    return " " if entity[0] == "&nbsp;" else html.unescape(entity[0])
