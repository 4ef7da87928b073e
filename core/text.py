"""Brings texts of anybody into a form that can be compared, stored and shown: pure, never raises."""

from __future__ import annotations

import re

MAX_TEXT = 100_000

_NOISE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def one_line(text: str) -> str:
    """One line: no control characters, runs of blanks as one, at most MAX_TEXT characters."""
    return " ".join(_NOISE.sub("", text)[:MAX_TEXT].split())


def paragraphs(text: str) -> str:
    """Several lines: no control characters, one kind of line end, no blanks at the end of lines or of the text."""
    lines = _NOISE.sub("", text)[:MAX_TEXT].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()
