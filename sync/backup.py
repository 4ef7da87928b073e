"""Writes an embedded installation into one file, also while it runs; the key ring goes in only when asked for.
Reading such a file back is `sync.restore`. A database server has tools of its own."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import cast

import orjson

from core.errors import Conflict, Misconfigured
from sync.app import App
from sync.keys import keys_path

FORMAT = 1
MANIFEST, DATABASE, KEYS = "manifest.json", "twinbox.db", "keys.txt"
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `revision` is that of the database's layout, `sha256` that of its bytes."""

    format: int
    version: str
    revision: str
    created_at: datetime
    sha256: str
    bytes: int
    keys: bool


def write_backup(app: App, file: Path, *, with_keys: bool = False) -> Manifest:
    """Write the database as it is at one moment, mode 0600; never overwrites, and half a file never has the name.

    Raises Conflict when the file exists, Misconfigured when it cannot be written or the database is on a server.
    """
    if not app.embedded:
        raise Misconfigured(
            "the database is on a server, which is backed up with its own tools",
            advice="Use `pg_dump --format=custom`, and keep a copy of the keys apart from it.",
        )
    if file.exists():
        raise _taken(file)
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=file.parent) as folder:
            return _write(app, Path(folder), file, with_keys=with_keys)
    except FileExistsError:
        raise _taken(file) from None
    except OSError as error:
        raise Misconfigured(
            f"cannot write {file}: {error.strerror or error}", advice="Check the folder and its free space."
        ) from error
    except sqlite3.Error as error:
        raise Misconfigured(
            f"the database cannot be copied: {error}", advice="`twinbox doctor` says whether it is whole."
        ) from error


def _taken(file: Path) -> Conflict:
    return Conflict(f"{file} exists already", advice="Name another file.")


def _write(app: App, folder: Path, file: Path, *, with_keys: bool) -> Manifest:
    copy, draft = folder / DATABASE, folder / "backup.tar"
    revision = _snapshot(app, copy)
    manifest = Manifest(
        FORMAT, version("twinbox"), revision, app.clock(), sha256_of(copy), copy.stat().st_size, with_keys
    )
    with os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            _add(tar, MANIFEST, orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2), app.clock())
            tar.add(copy, DATABASE, filter=_nobodys)
            if with_keys:
                ring = app.settings.keys or keys_path(app.settings).read_text(encoding="ascii")
                _add(tar, KEYS, ring.encode("ascii"), app.clock())
        out.flush()
        os.fsync(out.fileno())
    os.link(draft, file)  # fails if the name was taken meanwhile
    return manifest


def _snapshot(app: App, copy: Path) -> str:
    """Copy the database while others write to it; the copy is one whole file. Gives the revision of its layout."""
    pooled = app.db.engine.raw_connection()
    try:
        source = cast("sqlite3.Connection", pooled.driver_connection)
        with closing(sqlite3.connect(copy)) as target:
            source.backup(target)  # in one step: what is committed meanwhile is not in it
            target.execute("PRAGMA journal_mode=DELETE")
            found = target.execute("SELECT version_num FROM alembic_version").fetchone()
            said = target.execute("PRAGMA integrity_check(1)").fetchone()
    finally:
        pooled.close()
    if said != ("ok",):
        raise sqlite3.DatabaseError(str(said[0]))
    return str(found[0]) if found else ""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, name: str, data: bytes, now: datetime) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o600, int(now.timestamp())
    tar.addfile(entry, BytesIO(data))


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry
