"""Checks a backup that `sync.backup` wrote, and puts it in the place of an embedded installation's database.
What was there is kept beside it; nothing is changed before everything was checked."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import orjson
from sqlalchemy import text

from core.errors import BadInput, Conflict, Misconfigured
from core.ports import Clock
from core.settings import Settings
from models.db import Database
from sync.app import make_data_dir
from sync.backup import DATABASE, FORMAT, KEYS, MANIFEST, Manifest
from sync.keys import Key, keys_path, load_keys, parse_keys
from sync.migrate import known_revisions
from sync.vault import Vault, sealed_and_unopened

_MOST = {MANIFEST: 65_536, KEYS: 65_536}
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Checked:
    """A backup that is whole: what it says of itself, how many secrets it holds and how many of them do not open with
    the keys at hand. `keys_from` says where those are: `settings`, `keys.txt`, `backup`, or "" when there are none."""

    manifest: Manifest
    secrets: int
    unopened: int
    keys_from: str
    set_aside: Path | None = None


def check_backup(settings: Settings, file: Path) -> Checked:
    """Read a backup from beginning to end and change nothing.

    Raises BadInput when it is none or damaged, Misconfigured when a newer version made it.
    """
    with _unpacked(file, None) as (folder, manifest):
        return _check(settings, folder, manifest)


def restore(settings: Settings, file: Path, *, replace: bool, clock: Clock) -> Checked:
    """Put the database of a backup, and its key ring where there is none, into the data folder.

    `replace` allows that there is a database; it stays beside the new one as `twinbox.db.before-<time>`. Raises what
    `check_backup` raises, Conflict when there is a database or a process still uses it, and Misconfigured when no key
    at hand opens what is sealed, or the database is on a server.
    """
    if settings.database_url:
        raise Misconfigured(
            "the database is on a server, which is restored with its own tools",
            advice="Use `pg_restore` into an empty database, then `twinbox migrate`.",
        )
    make_data_dir(settings)
    target = settings.data_dir / DATABASE
    if target.exists() and not replace:
        raise Conflict(
            f"{target} exists", advice="Stop all processes of Twinbox and use --replace: the old database is kept."
        )
    with _unpacked(file, settings.data_dir) as (folder, manifest):
        checked = _check(settings, folder, manifest)
        if checked.secrets and (checked.unopened or not checked.keys_from):
            raise Misconfigured(
                f"{checked.unopened or checked.secrets} of {checked.secrets} secrets in this backup do not open with "
                "the keys at hand",
                advice="Put the key ring of that time into keys.txt or TWINBOX_KEYS first; nothing was changed.",
            )
        aside = _set_aside(target, clock()) if target.exists() else None
        if checked.keys_from == "backup":
            _install_keys(folder / KEYS, keys_path(settings))
        _drop_log(target)
        (folder / DATABASE).replace(target)
        _sync_folder(settings.data_dir)
    return Checked(manifest, checked.secrets, checked.unopened, checked.keys_from, aside)


# ---- reading the file ------------------------------------------------------------------------------------


@contextmanager
def _unpacked(file: Path, inside: Path | None) -> Iterator[tuple[Path, Manifest]]:
    """A folder, for the length of the block, with the members of a backup whose bytes are those that were written."""
    try:
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=inside) as name:
            folder = Path(name)
            digest = _extract(file, folder)
            manifest = _manifest((folder / MANIFEST).read_bytes())
            if digest != manifest.sha256:
                raise BadInput(f"{file} is damaged: its database is not what was written", advice="Use another backup.")
            yield folder, manifest
    except (tarfile.TarError, EOFError) as error:
        raise _no_backup(file) from error
    except OSError as error:
        raise Misconfigured(
            f"cannot read {file}: {error.strerror or error}", advice="Check the file, its rights and the free space."
        ) from error


def _no_backup(file: Path) -> BadInput:
    return BadInput(f"{file} is no backup, or only a part of one", advice="Name a file that `twinbox backup` wrote.")


def _extract(file: Path, folder: Path) -> str:
    """Take out the members that a backup has, and only as plain files. Gives the SHA-256 of the database."""
    digest, found = hashlib.sha256(), set()
    with tarfile.open(file, "r:") as tar:
        for entry in tar:
            stream = tar.extractfile(entry) if entry.isreg() else None
            known = entry.name in (MANIFEST, DATABASE, KEYS) and entry.name not in found
            if stream is None or not known or entry.size > _MOST.get(entry.name, entry.size):
                raise _no_backup(file)
            found.add(entry.name)
            _copy(stream, folder / entry.name, digest if entry.name == DATABASE else hashlib.sha256())
    if not {MANIFEST, DATABASE} <= found:
        raise _no_backup(file)
    return digest.hexdigest()


def _copy(source: IO[bytes], path: Path, digest: hashlib._Hash) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while piece := source.read(_PIECE):
            digest.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())


def _manifest(data: bytes) -> Manifest:
    try:
        told = orjson.loads(data)
        made = told["format"]
        if made != FORMAT:
            raise Misconfigured(
                f"this backup has format {made}, this version reads format {FORMAT}",
                advice="Restore it with the version of Twinbox that made it.",
            )
        return Manifest(**told | {"created_at": datetime.fromisoformat(told["created_at"])})
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput("the manifest of this backup cannot be read", advice="Use another backup.") from error


# ---- checking --------------------------------------------------------------------------------------------


def _check(settings: Settings, folder: Path, manifest: Manifest) -> Checked:
    if manifest.revision not in known_revisions():
        raise Misconfigured(
            f"this backup was made by version {manifest.version}, which is newer (revision {manifest.revision})",
            advice="Restore it with that version.",
        )
    ring, source = _ring(settings, folder)
    database = Database(f"sqlite:///{folder / DATABASE}")
    try:
        _check_whole(database)
        sealed, unopened = sealed_and_unopened(database, Vault(ring)) if ring else (_secrets(database), {})
    finally:
        database.close()
    return Checked(manifest, sealed, sum(unopened.values()), source)


def _check_whole(database: Database) -> None:
    with database.reading() as session:
        said = session.scalars(text("PRAGMA integrity_check(1)")).all()
        orphan = session.execute(text("PRAGMA foreign_key_check")).first()
    if said != ["ok"] or orphan is not None:
        raise BadInput("the database in this backup is not whole", advice="Use another backup.")


def _secrets(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(text("SELECT count(*) FROM secrets")) or 0


def _ring(settings: Settings, folder: Path) -> tuple[tuple[Key, ...], str]:
    """The keys that would be in force after a restore, and where they are from. What is here goes before what is in
    the backup: it may have been rotated since, and then has both."""
    if settings.keys:
        return load_keys(settings), "settings"
    if keys_path(settings).exists():
        return load_keys(settings), "keys.txt"
    if (folder / KEYS).exists():
        return parse_keys((folder / KEYS).read_text(encoding="ascii"), "the backup"), "backup"
    return (), ""


# ---- putting it in place ---------------------------------------------------------------------------------


def _set_aside(target: Path, now: datetime) -> Path:
    """Give the present database a second name; the first is free to be replaced in one step."""
    _close_journal(target)
    aside = target.with_name(f"{DATABASE}.before-{now:%Y%m%dT%H%M%SZ}")
    try:
        os.link(target, aside)
    except FileExistsError:
        raise Conflict(f"{aside} exists already", advice="Try again in a second.") from None
    return aside


def _close_journal(target: Path) -> None:
    """Bring all that is committed into the one file, which SQLite does for the only one who has it open: so this also
    shows whether a process still works on it. Raises Conflict then.

    A damaged database cannot be asked.
    """
    try:
        with closing(sqlite3.connect(target, timeout=0)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        raise Conflict(
            f"{target} is in use ({error})",
            advice="Stop all processes of Twinbox, then try again; nothing was changed.",
        ) from None
    except sqlite3.DatabaseError:
        return


def _drop_log(target: Path) -> None:
    """A write-ahead log that a damaged or lost database left behind would be read into the new one."""
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)


def _install_keys(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except FileExistsError:
        raise Conflict(f"{path} was made meanwhile", advice="Try again.") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
