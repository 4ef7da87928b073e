"""Carries out a plan: the CRM's part and the intent in one transaction, then the provider's part, then what came of it.
A crash between any two steps is finished by the next run (`core.plan.recover`); deciding is `core.plan`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from core.actions import Adopt, Create, Decide, Deselect, Reason, Rebase, Wait, done_in_words, in_words
from core.errors import ItemRejected, RecordGone, Throttled, TwinboxError, VersionConflict
from core.policy import Policy
from core.replica import UNKNOWN, Delta, Done, Failed, Item, Link, Side, Write
from sync.history import record_deeds
from sync.link_rows import Aside
from sync.record_jobs import Deed, Job, begun_link, deed, intended_deed, intent, job_of, late_deed, link_after
from sync.record_plan import Plan, make_narrow_plan
from sync.record_run import SETTLE, RecordRun

T = TypeVar("T")

LOCAL_BATCH = 500
ROUNDS = 3  # how often a record that changes under our hands is read and merged again within one run


@dataclass(slots=True)
class _Outcome(Generic[T]):
    """What became of the jobs of one transaction so far."""

    links: list[Link[T]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    deeds: list[tuple[Deed, Item[T]]] = field(default_factory=list)


def apply(run: RecordRun[T], plan: Plan[T]) -> None:
    """Carry out everything in a plan, then what changed meanwhile, up to `ROUNDS` times; what is left waits for the
    next run."""
    run.handled |= {(Side.LOCAL, one) for one in plan.lifted}
    if plan.recovered or plan.settled or plan.overtaken:
        with run.step() as session:
            run.store.save(session, plan.recovered)
            _tell_late(run, session, plan)
            run.store.answered(session, plan.settled | plan.overtaken)
    conflicts = _apply_once(run, plan)
    for _ in range(ROUNDS - 1):
        if not conflicts or run.paused:
            break
        conflicts = _apply_once(run, make_narrow_plan(run, conflicts))
    run.asides += [Aside(Side.REMOTE, one, "it kept changing while it was written", soon=True) for one in conflicts]


def _tell_late(run: RecordRun[T], session: Session, plan: Plan[T]) -> None:
    """What an earlier run wrote without hearing so goes into the history now, with what it overwrote."""
    now_at = {link.local_id: Item(link.remote_id, link.remote, link.active, link.base) for link in plan.recovered}
    stored = run.store.intended_deeds(session, plan.settled)
    known = {local_id: now_at[local_id] for local_id in stored if local_id in now_at}
    told = [(late_deed(stored[one], item.id), item) for one, item in known.items()]
    record_deeds(session, run, told)
    _tell_what_gave_way(run, session, plan.overtaken)


def _tell_what_gave_way(run: RecordRun[T], session: Session, local_ids: Collection[str]) -> None:
    """These intents are given up, and nobody knows whether they were written: what gave way to them must not be
    forgotten."""
    noted = run.store.intended_deeds(session, local_ids).values()
    items = [Item(one["remote_id"], UNKNOWN, True, run.policy.blank) for one in noted]
    told = [(replace(late_deed(one, item.id), changes={}), item) for one, item in zip(noted, items, strict=True)]
    record_deeds(session, run, [one for one in told if one[0].lost])


def _apply_once(run: RecordRun[T], plan: Plan[T]) -> set[str]:
    """Remote ids of the records that had changed when they were written."""
    jobs = []
    for action in plan.actions:
        if isinstance(action, Wait):
            why = in_words(action.reason, by_time=run.policy.has_range)
            wait = SETTLE if action.reason is Reason.IN_DOUBT else timedelta(0)
            run.asides.append(Aside(action.side, action.id, why, soon=True, wait=wait))
            run.counts["looked at again later"] += 1
        elif not isinstance(action, Decide):
            job = job_of(action, run.account_id, run.replica.skew)
            if not _is_refused_here(run, job):
                jobs.append(job)
    run.phase, run.done, run.total = "writing", 0, len(jobs)
    here = [job for job in jobs if job.to_remote is None]
    for start in range(0, len(here), LOCAL_BATCH):
        _apply_here(run, here[start : start + LOCAL_BATCH])
    there = [job for job in jobs if job.to_remote is not None]
    conflicts: set[str] = set()
    for start in range(0, len(there), run.replica.batch):
        try:
            conflicts |= _apply_there(run, there[start : start + run.replica.batch])
        except Throttled as error:
            if not error.writes_only:
                raise
            _pause(run, error, there[start:])
            break
    return conflicts


def _pause(run: RecordRun[T], error: Throttled, jobs: Sequence[Job[T]]) -> None:
    """Nothing more is written in this run. What was read counts all the same; the rest is decided anew."""
    run.paused = error
    waiting = [job.remote_id for job in jobs if job.remote_id and (Side.REMOTE, job.remote_id) not in run.handled]
    run.asides += [Aside(Side.REMOTE, one, str(error), soon=True) for one in waiting]


# ---- what concerns the CRM alone ---------------------------------------------------------------------------


def _apply_here(run: RecordRun[T], jobs: Sequence[Job[T]]) -> None:
    with run.step() as session:
        allowed = _still_right(run, session, [job for job in jobs if not isinstance(job.action, Deselect | Rebase)])
        written = _write_here(run, session, [job for job in jobs if job.key in allowed or job.local is None])
        outcome: _Outcome[T] = _Outcome()
        for job in jobs:
            item = written.get(job.key)
            if job.to_local is not None and item is None:
                _again(run, job)
                continue
            _settled(run, outcome, job, item, None)
        _keep(run, session, outcome)
        run.done += len(jobs)


def _still_right(run: RecordRun[T], session: Session, jobs: Sequence[Job[T]]) -> set[str]:
    """Keys of the jobs whose CRM record still is what it was when they were decided; the rows stay locked."""
    ids = [job.local_id for job in jobs if job.local_id]
    now = run.local(session).get(ids).items
    return {job.key for job in jobs if _fits(job, now.get(job.local_id), run.policy)}


def _fits(job: Job[T], now: Item[T] | None, policy: Policy[T]) -> bool:
    # What takes part by its time and left the range was decided on as it is: only a removal makes that wrong.
    member = now is not None and (not now.deleted if policy.has_range else now.selected)
    if job.wants_member is False:
        return not member
    if now is None or job.local is None:
        return False
    same = job.local.stamp.version == now.stamp.version
    return same and (job.wants_member is None or member)


def _write_here(run: RecordRun[T], session: Session, jobs: Sequence[Job[T]]) -> dict[str, Item[T]]:
    """Carry out the CRM's part; the records as they are now, by key of the job."""
    writes = [job.to_local for job in jobs if job.to_local is not None]
    done = (one for one in run.local(session).write(writes) if isinstance(one, Done))
    return {one.key: one.item for one in done}


# ---- what concerns the provider ----------------------------------------------------------------------------


def _apply_there(run: RecordRun[T], jobs: Sequence[Job[T]]) -> set[str]:
    with run.step() as session:
        ready, written = _prepare(run, session, jobs)
    by_key = {job.key: job for job in ready}
    writes = [job.to_remote for job in ready if job.to_remote is not None]
    outcomes: list[Done[T] | Failed] = []
    try:
        for one in run.replica.write(writes):
            outcomes.append(one)  # what came before an error must be kept
    finally:
        # What is known is kept even if the call broke off in the middle; the rest stays an intent.
        conflicts = _conclude(run, by_key, written, outcomes)
    return conflicts


def _prepare(run: RecordRun[T], session: Session, jobs: Sequence[Job[T]]) -> tuple[list[Job[T]], dict[str, Item[T]]]:
    """The CRM's part of these jobs and the intents, in one transaction; the jobs that are still right."""
    allowed = _still_right(run, session, jobs)
    written = _write_here(run, session, [job for job in jobs if job.key in allowed])
    outcome: _Outcome[T] = _Outcome()
    ready: list[Job[T]] = []
    for job in jobs:
        if job.key not in allowed or (job.to_local is not None and job.key not in written):
            _again(run, job)
            continue
        ready.append(job)
        if job.key in written:
            _did(run, outcome, job, Side.LOCAL, written[job.key])
        if link := begun_link(job, run.policy.blank, local_written=job.key in written):
            outcome.links.append(link)
        elif isinstance(job.action, Create) and job.link is not None:
            outcome.forgotten.append(job.link.local_id)
    now = {job.key: written.get(job.key) or job.local for job in ready}
    intents = [(intent(job, now[job.key], run.now), intended_deed(job, now[job.key], run.policy)) for job in ready]
    _tell_what_gave_way(run, session, [one.local_id for one, _ in intents])
    run.store.intend(session, intents)
    run.local(session).taken([job.local_id for job in ready if isinstance(job.action, Create)])
    _keep(run, session, outcome)
    return ready, written


def _conclude(
    run: RecordRun[T],
    jobs: dict[str, Job[T]],
    written: dict[str, Item[T]],
    outcomes: Sequence[Done[T] | Failed],
) -> set[str]:
    conflicts: set[str] = set()
    with run.step() as session:
        outcome: _Outcome[T] = _Outcome()
        for one in outcomes:
            job = jobs[one.key]
            if isinstance(one, Done):
                item = _completed(run, session, job, one.item)
                local = _as_kept_there(run, session, job, written.get(one.key), item)
                _settled(run, outcome, job, local, item)
            elif isinstance(one.error, VersionConflict | RecordGone):
                conflicts.add(job.remote_id)
            elif isinstance(one.error, ItemRejected):
                _refuse(run, job, one.error)
            else:
                run.counts["looked at again later"] += 1
        answered = [jobs[one.key].local_id for one in outcomes if _is_known(one)]
        run.store.answered(session, answered)
        _keep(run, session, outcome)
        run.done += len(outcomes)
    return conflicts


def _completed(run: RecordRun[T], session: Session, job: Job[T], remote: Item[T]) -> Item[T]:
    """What was written as it counts for the CRM: a provider may tell less of it than is known."""
    if job.to_remote is None or job.to_remote.body in (None, remote.body):
        return remote
    return run.local(session).adjust(Delta({remote.id: remote})).items.get(remote.id, remote)


def _as_kept_there(
    run: RecordRun[T], session: Session, job: Job[T], local: Item[T] | None, remote: Item[T]
) -> Item[T] | None:
    """A provider may keep a text in another form than it was given. Then the CRM takes that form: else the pair would
    differ for ever, or one side would be written again and again."""
    mine = local or job.local
    if job.to_remote is None or job.to_remote.body is None or mine is None or remote.body == mine.body:
        return local
    write = Write(job.key, mine.id, mine.stamp.version, remote.body, None, modified_at=mine.stamp.modified_at)
    done = [one.item for one in run.local(session).write([write]) if isinstance(one, Done)]
    return done[0] if done else local


def _is_known(one: Done[T] | Failed) -> bool:
    return isinstance(one, Done) or isinstance(one.error, VersionConflict | RecordGone | ItemRejected)


def _is_refused_here(run: RecordRun[T], job: Job[T]) -> bool:
    """Whether a text makes no sense to the CRM: then the record of the provider is set aside, and read again later."""
    text = job.to_local.body if job.to_local else None
    problem = run.policy.problem(text, job.remote) if text is not None and job.remote is not None else ""
    if problem:
        run.counts["set aside"] += 1
        run.asides.append(Aside(Side.REMOTE, job.remote_id, problem, "Correct it at the provider."))
    return bool(problem)


def _refuse(run: RecordRun[T], job: Job[T], error: TwinboxError) -> None:
    run.counts["set aside"] += 1
    version = job.local.stamp.version if job.local else ""
    run.asides.append(Aside(Side.LOCAL, job.local_id, str(error), error.advice, version))


# ---- common to both ----------------------------------------------------------------------------------------


def _again(run: RecordRun[T], job: Job[T]) -> None:
    """The CRM record changed while this was decided: the next run decides again, and must read the other one again."""
    run.counts["changed meanwhile"] += 1
    if job.remote_id:
        run.asides.append(Aside(Side.REMOTE, job.remote_id, "the contact was changed while it was synced", soon=True))


def _settled(
    run: RecordRun[T],
    outcome: _Outcome[T],
    job: Job[T],
    local: Item[T] | None,
    remote: Item[T] | None,
) -> None:
    """Both sides have what they shall have."""
    if local is not None and job.to_remote is None:
        _did(run, outcome, job, Side.LOCAL, local)
    if remote is not None:
        _did(run, outcome, job, Side.REMOTE, remote)
    if isinstance(job.action, Adopt):
        run.counts["joined with one that was there"] += 1
    if job.lost:
        run.counts["conflicts"] += 1
    if job.reason is Reason.NOT_CHOSEN:
        run.counts["not followed any more"] += 1
    link = link_after(job, local, remote, run.now)
    if link is None:
        outcome.forgotten.append(job.local_id)
        return
    outcome.links.append(link)
    run.handled |= {(Side.LOCAL, link.local_id), (Side.REMOTE, link.remote_id)}


def _did(run: RecordRun[T], outcome: _Outcome[T], job: Job[T], side: Side, item: Item[T]) -> None:
    done = deed(job, side, item, run.policy)
    run.counts[done_in_words(done.action, side, by_time=run.policy.has_range)] += 1
    outcome.deeds.append((done, item))


def _keep(run: RecordRun[T], session: Session, outcome: _Outcome[T]) -> None:
    run.store.forget(session, outcome.forgotten)
    run.store.save(session, outcome.links)
    record_deeds(session, run, outcome.deeds)
