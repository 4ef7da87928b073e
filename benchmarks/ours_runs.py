"""Starts Twinbox's side of the comparisons, a fresh process for each run, and has it measured.
What runs in there is written in `ours.py`; NotImplementedError as long as it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.bed import HOST, Bed
from benchmarks.measure import Measured, ProgramFailed, measure
from benchmarks.ours import NEWEST, NOT_YET, Task


def first_sync(bed: Bed, data_dir: Path, all_bytes: bool = False) -> Measured:
    """First sync of the big mailbox by a fresh process; linking is done before and not measured.

    `details` has `stored_bytes` and `newest_200_seconds`, from the start of `sync_one`, so before connecting.
    """
    task = replace(_task(bed, (bed.first(),), data_dir), all_bytes=all_bytes)
    _prepare(task)
    return _run(bed, "sync", task)


def prepare(bed: Bed, data_dir: Path, *accounts: str) -> None:
    """Link the accounts and sync each once, unmeasured, so that `resync` finds a filled store."""
    _prepare(_task(bed, accounts, data_dir))
    for account in accounts:
        _child("sync", _task(bed, (account,), data_dir))


def resync(bed: Bed, data_dir: Path, account: str, repeat: int = 1) -> Measured:
    """Sync an account that `prepare` has filled, by a fresh process.

    With `repeat`, it is synced so often in that process, and `details` has `warm_wall` and `warm_cpu`: seconds per
    sync without the first one, thus what a worker that runs already needs.
    """
    return _run(bed, "sync", replace(_task(bed, (account,), data_dir), repeat=repeat))


def resync_in_worker(bed: Bed, data_dir: Path, account: str, warm_up: str) -> Measured:
    """The same in a process that runs already: it has just synced `warm_up`; both were given to `prepare`.

    `wall` and `cpu` are those of the second sync alone, connecting and signing in included. Memory, bytes and
    commands hold for the process, with the few of `warm_up`, in which nothing changed.
    """
    whole = _run(bed, "sync", replace(_task(bed, (account,), data_dir), warm_up=warm_up))
    told = whole.details
    return replace(whole, wall=told["warm_wall"], cpu=told["warm_cpu"], details={**told, "process_wall": whole.wall})


def newest_200(bed: Bed, data_dir: Path) -> Measured:
    """A first sync whose `wall` is the time until the newest 200 messages were usable, connecting included."""
    whole = first_sync(bed, data_dir)
    until = whole.details["newest_200_seconds"]
    return replace(whole, wall=until, messages=NEWEST, details={**whole.details, "process_wall": whole.wall})


def accounts(bed: Bed, data_dir: Path, accounts: Sequence[str], workers: int) -> Measured:
    """First sync of many accounts by `workers` workers; linking is done before and not measured."""
    task = replace(_task(bed, tuple(accounts), data_dir), workers=workers)
    _prepare(task)
    return _run(bed, "many", task)


def _task(bed: Bed, accounts: tuple[str, ...], data_dir: Path) -> Task:
    return Task(HOST, bed.port, str(bed.tls.ca), bed.password, accounts, str(data_dir))


def _prepare(task: Task) -> None:
    Path(task.data_dir).mkdir(parents=True, exist_ok=True)
    _child("link", task)


def _command(verb: str, task: Task) -> list[str]:
    return [sys.executable, "-m", "benchmarks.ours_child", verb, json.dumps(asdict(task))]


def _child(verb: str, task: Task) -> None:
    done = subprocess.run(_command(verb, task), capture_output=True, text=True, check=False)
    _refuse(done.returncode, done.stdout + done.stderr)


def _run(bed: Bed, verb: str, task: Task) -> Measured:
    measured = measure(bed, _command(verb, task), ok=(0, NOT_YET))
    if measured.details.get("not_yet"):
        _refuse(NOT_YET, f"{verb} is not written yet")
    return measured


def _refuse(status: int, printed: str) -> None:
    if status == NOT_YET:
        raise NotImplementedError(printed.strip())
    if status != 0:
        raise ProgramFailed(f"The Twinbox side of the benchmark ended with status {status}\n{printed[-3000:]}")
