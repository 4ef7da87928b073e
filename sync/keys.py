"""Reads and makes the key ring of the vault, and refuses keys that protect nothing.
Sealing with it is left to `sync.vault`."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from core.errors import Misconfigured
from core.settings import Settings

KEY_BYTES = 32  # AES-256
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_MAKE = "Make one with `twinbox init`, or set TWINBOX_KEYS to id:key with 32 random bytes in base64."


@dataclass(frozen=True, slots=True)
class Key:
    """One AES-256 key; `id` is stored beside everything it sealed."""

    id: str
    value: bytes = field(repr=False)


def keys_path(settings: Settings) -> Path:
    """Where the key ring lies when no setting gives it."""
    return settings.data_dir / "keys.txt"


def load_keys(settings: Settings) -> tuple[Key, ...]:
    """The key ring: the first key seals, all open.

    It comes from the setting `keys`, else from keys.txt in the data folder. An embedded installation without
    anything stored yet makes that file. Raises Misconfigured when there is no key or a worthless one.
    """
    if settings.keys:
        return parse_keys(settings.keys, "TWINBOX_KEYS")
    path = keys_path(settings)
    if not path.exists():
        _refuse_to_orphan(settings)
        make_keys_file(settings)
    try:
        if path.stat().st_mode & 0o077:
            raise Misconfigured(f"{path} can be read by other users", advice=f"Run `chmod 600 {path}`.")
        return parse_keys(path.read_text(encoding="ascii"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"cannot read the key ring {path}", advice="Check the file and its owner.") from error


def _refuse_to_orphan(settings: Settings) -> None:
    """A fresh key would leave everything that is sealed already unreadable, so there must be nothing yet."""
    if settings.database_url:
        raise Misconfigured("no encryption key is set for this database", advice=_MAKE)
    if (settings.data_dir / "twinbox.db").exists():
        raise Misconfigured(
            f"the key ring {keys_path(settings)} is missing but the database exists",
            advice="Restore keys.txt from your backup; without it every account must be linked again.",
        )


def make_keys_file(settings: Settings) -> bool:
    """Write keys.txt (mode 0600) with one random key; False when it is there already. Safe in parallel."""
    path = keys_path(settings)
    draft = path.with_name(f".keys-{secrets.token_hex(8)}")
    text = f"k{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}\n"
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link fails if the name exists: of two first starts one wins, and nobody sees half a file.
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
    except OSError as error:
        raise Misconfigured(
            f"cannot write the key ring {path}: {error.strerror}", advice="Check the data folder and its free space."
        ) from error
    return True


def parse_keys(text: str, source: str) -> tuple[Key, ...]:
    """Read `id:base64key`, separated by commas or lines; `#` starts a comment line.

    Raises Misconfigured naming `source` and the key's position, never its value.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    parts = [part.strip() for line in lines for part in line.split(",") if part.strip()]
    if not parts:
        raise Misconfigured(f"{source} holds no encryption key", advice=_MAKE)
    keys = tuple(_key(part, f"{source}, key {number}") for number, part in enumerate(parts, 1))
    if len({key.id for key in keys}) < len(keys):
        raise Misconfigured(f"{source} uses one key id twice", advice="Give every key its own id.")
    return keys


def _key(part: str, where: str) -> Key:
    ident, colon, encoded = part.partition(":")
    if not colon or not _KEY_ID.fullmatch(ident):
        raise Misconfigured(f"{where} is not of the form id:base64key", advice=_MAKE)
    try:
        value = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Misconfigured(f"{where} is not base64", advice=_MAKE) from error
    if len(value) != KEY_BYTES:
        raise Misconfigured(f"{where} has {len(value)} bytes instead of {KEY_BYTES}", advice=_MAKE)
    if _guessable(value):
        raise Misconfigured(f"{where} is not random: a pattern or a phrase protects nothing", advice=_MAKE)
    return Key(ident, value)


def _guessable(value: bytes) -> bool:
    # Chance that 32 random bytes look like this: below 1 in 4,000,000,000.
    steps = {(b - a) % 256 for a, b in pairwise(value)}
    return len(set(value)) < 16 or len(steps) == 1 or all(32 <= byte < 127 for byte in value)
