"""The programs Twinbox is compared with: mbsync (isync) and a raw drain that keeps nothing.
When they run, and in which order, is decided in `cases.py`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import drain
from benchmarks.bed import HOST, Bed
from benchmarks.measure import Measured, measure

# isync 1.4 leaves messages without an end of their header alone and says so by its exit status.
_STATUSES = (0, 1)

_CONFIG = """
FSync {fsync}

IMAPStore remote
Host {host}
Port {port}
User {user}
Pass {password}
SSLType IMAPS
SSLVersions TLSv1.3
CertificateFile {ca}
AuthMechs PLAIN

MaildirStore local
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel mail
Far :remote:
Near :local:
Patterns {patterns}
Create Near
Sync Pull
CopyArrivalDate yes
SyncState {folder}/state/
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One mbsync: an account, the mailboxes it takes, and the folder its Maildirs and state go to."""

    user: str
    mailboxes: tuple[str, ...]
    folder: Path


def mbsync_missing() -> str:
    """Why mbsync cannot take part, or an empty text."""
    return "" if shutil.which("mbsync") else "mbsync is not installed (Debian package isync)"


def mbsync(bed: Bed, jobs: Sequence[Job], *, fsync: bool, workers: int = 1) -> Measured:
    """Run the jobs, `workers` at a time, each with a connection of its own; a second call is a re-sync."""
    configs = [str(_write_config(bed, job, fsync)) for job in jobs]
    one = ["mbsync", "-q", "-q", "-a", "-c"]
    if len(configs) == 1:
        measured = measure(bed, [*one, configs[0]], ok=_STATUSES)
    else:
        listed = jobs[0].folder.parent / "configs"
        listed.write_text("\n".join(configs))
        # xargs turns the status 1 of any command into 123.
        command = ["xargs", "-a", str(listed), "-P", str(workers), "-n", "1", *one]
        measured = measure(bed, command, ok=(*_STATUSES, 123))
    return replace(measured, messages=sum(_maildir_messages(job.folder) for job in jobs))


def raw_drain(bed: Bed, user: str, *, last: int | None = None, items: str = drain.WHOLE) -> Measured:
    """One FETCH of all (or the `last`) messages of INBOX by a fresh Python process, to nowhere."""
    source = bed.source(user)
    command = [sys.executable, "-m", "benchmarks.drain", "--items", items]
    for name in ("host", "port", "ca", "user", "password"):
        command += [f"--{name}", str(getattr(source, name))]
    return measure(bed, command if last is None else [*command, "--last", str(last)])


def _write_config(bed: Bed, job: Job, fsync: bool) -> Path:
    (job.folder / "state").mkdir(parents=True, exist_ok=True)
    config = job.folder / "mbsyncrc"
    config.write_text(
        _CONFIG.format(
            fsync="yes" if fsync else "no",
            host=HOST,
            port=bed.port,
            user=job.user,
            password=bed.password,
            ca=bed.tls.ca,
            folder=job.folder,
            patterns=" ".join(job.mailboxes),
        ).replace("\n\n\n", "\n\n")
    )
    return config


def _maildir_messages(folder: Path) -> int:
    return sum(sum(1 for _ in box.iterdir()) for name in ("cur", "new") for box in folder.glob(f"*/{name}"))
