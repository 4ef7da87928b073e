"""The comparisons: who runs what against which account, and the goals their figures are held against.
Running them in rounds and printing is left to `bench_mail.py`, one run's figures to `measure.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from benchmarks import drain, ours_runs, rivals
from benchmarks.bed import TEN_MAILBOXES, Bed
from benchmarks.measure import Measured
from benchmarks.ours import NEWEST
from benchmarks.rivals import Job

MBSYNC = "mbsync, no fsync"
MBSYNC_FSYNC = "mbsync, default"
DRAIN = "raw drain"
TEXT = "twinbox, text first"
ALL_BYTES = "twinbox, all bytes"
TWINBOX, WORKER = "twinbox", "twinbox, in a worker"
ONE_WORKER, FOUR_WORKERS = "twinbox, 1 worker", "twinbox, 4 workers"
REPEAT = 20


@dataclass(frozen=True, slots=True)
class Contender:
    """One column of work: `run` is measured in each round, in a folder that is new in every round unless the
    case keeps it; `prepare` (not measured) fills that folder once; `missing` says why it cannot take part."""

    name: str
    run: Callable[[Path], Measured]
    prepare: Callable[[Path], object] | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a contender must reach: at least `limit` times as fast as `against`, or a figure of at most `limit`.

    `figure` is a name that `figures` of the results knows.
    """

    contender: str
    limit: float
    against: str = ""
    figure: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison. `keeps` is the folder name shared with other cases of the same state (empty: fresh folders)."""

    name: str
    title: str
    contenders: Sequence[Contender]
    baseline: str
    goals: Sequence[Goal] = ()
    keeps: str = ""
    before_round: Callable[[int], object] | None = None


CaseName = Literal["first", "newest", "bytes", "nochange", "incr", "accounts"]
CASE_NAMES: tuple[CaseName, ...] = ("first", "newest", "bytes", "nochange", "incr", "accounts")


def first(bed: Bed) -> Case:
    """First sync of the big mailbox."""
    whole, halves = partial(_mbsync_first, bed, fsync=False), partial(_mbsync_halves, bed)
    missing = rivals.mbsync_missing()
    return Case(
        "first",
        f"first sync, {bed.messages:,} messages",
        (
            Contender(DRAIN, lambda _: rivals.raw_drain(bed, bed.first())),
            Contender(MBSYNC, whole, missing=missing),
            Contender("mbsync, no fsync x2", halves, missing=missing),
            Contender(MBSYNC_FSYNC, partial(_mbsync_first, bed, fsync=True), missing=missing),
            Contender(TEXT, lambda folder: ours_runs.first_sync(bed, folder)),
            Contender(ALL_BYTES, lambda folder: ours_runs.first_sync(bed, folder, all_bytes=True)),
        ),
        MBSYNC,
        (
            Goal(TEXT, 1.5, against=MBSYNC),
            Goal(TEXT, 3, against=MBSYNC_FSYNC),
            Goal(TEXT, 200, figure="rss_mb"),
            Goal(ALL_BYTES, 1, against=MBSYNC),
            Goal(ALL_BYTES, 200, figure="rss_mb"),
        ),
    )


def newest(bed: Bed) -> Case:
    """The newest 200 messages: their wall is the time until they are usable, not that of the whole run."""

    def drained(_: Path) -> Measured:
        whole = rivals.raw_drain(bed, bed.first(), last=NEWEST)
        return replace(whole, wall=whole.details["seconds"], details={"process_wall": whole.wall})

    goal = Goal(TWINBOX, 1.0, figure="wall")
    baseline = "raw drain of them"
    contenders = (Contender(baseline, drained), Contender(TWINBOX, partial(ours_runs.newest_200, bed)))
    return Case("newest", "newest 200 usable", contenders, baseline, (goal,))


def bytes_read(bed: Bed) -> Case:
    """Bytes the server sent per byte stored."""
    return Case(
        "bytes",
        "bytes read per byte stored",
        (
            Contender("raw drain, first 32 KB", lambda _: _drain_32_kb(bed)),
            Contender(TEXT, lambda folder: ours_runs.first_sync(bed, folder)),
            Contender(ALL_BYTES, lambda folder: ours_runs.first_sync(bed, folder, all_bytes=True)),
        ),
        "raw drain, first 32 KB",
        (Goal(TEXT, 1.02, figure="read_per_stored"), Goal(ALL_BYTES, 1.02, figure="read_per_stored")),
    )


def no_change(bed: Bed, account: str) -> Case:
    """Nothing happened in the big mailbox; for Twinbox also the cost in a process that runs already."""
    goals = (Goal(WORKER, 1, against=MBSYNC),)
    contenders = (*_resyncs(bed, account, ("INBOX",)), _in_worker(bed, account))
    return Case("nochange", "nothing changed, 1 mailbox", contenders, MBSYNC, goals, keeps=account)


def no_change_ten(bed: Bed) -> Case:
    """Nothing happened in an account of ten mailboxes, synced again and again by one process."""
    account = bed.ten_mailboxes()
    # Per mailbox one SELECT or STATUS and at most one more, and four for the session (ID, ENABLE, LIST, LOGOUT).
    goals = (Goal(TWINBOX, 15, figure="warm_cpu_ms"), Goal(TWINBOX, 24, figure="commands_per_sync"))
    contenders = _resyncs(bed, account, TEN_MAILBOXES, repeat=REPEAT)
    return Case("nochange10", "nothing changed, 10 mailboxes", contenders, MBSYNC, goals, keeps=account)


def incremental(bed: Bed, account: str) -> Case:
    """100 new messages and 500 changed flags in the big mailbox, the same for all contenders of a round."""
    return Case(
        "incr",
        "100 new, 500 flags changed",
        (*_resyncs(bed, account, ("INBOX",)), _in_worker(bed, account)),
        MBSYNC,
        (Goal(WORKER, 1, against=MBSYNC),),
        keeps=account,
        before_round=lambda number: bed.change(account, number),
    )


def many_accounts(bed: Bed) -> Case:
    """First sync of twenty accounts, one or four at a time."""
    many = bed.many()

    def with_mbsync(workers: int, folder: Path) -> Measured:
        jobs = [Job(user, ("INBOX",), folder / user) for user in many]
        return rivals.mbsync(bed, jobs, fsync=False, workers=workers)

    missing = rivals.mbsync_missing()
    contenders = [
        *(Contender(f"mbsync, {n} at a time", partial(with_mbsync, n), missing=missing) for n in (1, 4)),
        *(Contender(name, partial(_ours_many, bed, many, n)) for n, name in ((1, ONE_WORKER), (4, FOUR_WORKERS))),
    ]
    goal = Goal(FOUR_WORKERS, 1.6, against=ONE_WORKER)
    title = f"{len(many)} accounts, {bed.messages:,} messages"
    return Case("accounts", title, contenders, "mbsync, 1 at a time", (goal,))


def _ours_many(bed: Bed, many: Sequence[str], workers: int, folder: Path) -> Measured:
    return ours_runs.accounts(bed, folder, many, workers)


def _resyncs(bed: Bed, account: str, mailboxes: tuple[str, ...], repeat: int = 1) -> tuple[Contender, ...]:
    def mbsync(folder: Path) -> Measured:
        return rivals.mbsync(bed, [Job(account, mailboxes, folder)], fsync=False)

    def settled(folder: Path) -> Measured:
        _let_maildir_age(folder)
        return mbsync(folder)

    return (
        Contender(MBSYNC, settled, prepare=mbsync, missing=rivals.mbsync_missing()),
        Contender(
            TWINBOX,
            lambda folder: ours_runs.resync(bed, folder, account, repeat),
            prepare=lambda folder: ours_runs.prepare(bed, folder, account),
        ),
    )


def _in_worker(bed: Bed, account: str) -> Contender:
    # The goals hold for this one: a service does not start Python for each sync, which takes longer than the sync.
    warm_up = bed.ten_mailboxes()
    return Contender(
        WORKER,
        lambda folder: ours_runs.resync_in_worker(bed, folder, account, warm_up),
        prepare=lambda folder: ours_runs.prepare(bed, folder, account, warm_up),
    )


def _let_maildir_age(folder: Path) -> None:
    # mbsync waits for up to a second when a Maildir changed in the current one; that is no part of its work.
    touched = max((box.stat().st_mtime for box in folder.glob("*/*")), default=0.0)
    time.sleep(max(0.0, touched + 2.1 - time.time()))


def _mbsync_first(bed: Bed, folder: Path, *, fsync: bool) -> Measured:
    return rivals.mbsync(bed, [Job(bed.first(), ("INBOX",), folder)], fsync=fsync)


def _mbsync_halves(bed: Bed, folder: Path) -> Measured:
    jobs = [Job(bed.halves(), (half,), folder / half) for half in ("Half1", "Half2")]
    return rivals.mbsync(bed, jobs, fsync=False, workers=2)


def _drain_32_kb(bed: Bed) -> Measured:
    return rivals.raw_drain(bed, bed.first(), items=drain.FIRST_32_KB)
