"""PRETENDS the opaque words of Google's APIs: any JSON list packed so that it cannot be made up, and read again.
What a word stands for and how long it is good is decided by the APIs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable
from typing import Any


def seal(content: list[Any]) -> str:
    """Any JSON list as an opaque word that cannot be made up."""
    payload = json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(payload) + payload).decode().rstrip("=")


def unseal(text: str) -> list[Any] | None:
    """The list behind a word of `seal`, or None for anything else."""
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    if _digest(raw[6:]) != raw[:6]:
        return None
    content: list[Any] = json.loads(raw[6:])
    return content


def fingerprint(parameters: Iterable[tuple[str, str]]) -> str:
    """A short name for the parameters of a list call; order between different names does not matter."""
    return hashlib.blake2b(repr(sorted(parameters)).encode(), digest_size=9).hexdigest()


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=6, person=b"sync token").digest()
