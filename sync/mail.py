"""The mail channel of one account: looks at every mailbox, decides, fetches, follows, completes.
The steps are `mail_fill`, `mail_follow` and `mail_finish`; lease and outcome are left to `sync.run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.errors import MailboxGone, Throttled, Transient
from core.mail_settings import choose_mailboxes
from core.mailbox import MailboxPlan, begin, plan_mailbox
from core.ports import MailSource
from core.types import Mailbox, MailboxStatus
from core.uidset import UidSet
from models.content import LocationRow, MessageRow
from models.db import BATCH
from models.syncing import MailboxRow
from sync.erasure import erase_messages, packs_of, scrub_packs
from sync.ids import next_message_ids
from sync.mail_fill import FIRST_WINDOW, fetch_and_store, fill, recover
from sync.mail_finish import finish_messages
from sync.mail_follow import follow
from sync.mail_quarantine import due_again, release_found
from sync.mail_run import Box, MailRun
from sync.mail_store import drop_locations, held_uids, mark_unplaced, save_state, state_of

RECONNECTS = 3
GRACE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class _Task:
    box: Box
    plan: MailboxPlan
    retry: UidSet


def run_mail(run: MailRun, reconnect: Callable[[], MailSource]) -> None:
    """Bring the store in step with the server.

    A lost connection is replaced as long as each one gets something done. Raises SliceEnded and every error of the
    ports.
    """
    for attempt in range(RECONNECTS + 1):
        before = (run.done, sum(run.counts.values()))
        try:
            _pass(run)
            return
        except Throttled:
            raise
        except Transient:
            if attempt == RECONNECTS or before == (run.done, sum(run.counts.values())):
                raise
        run.reconnect(reconnect())


def _pass(run: MailRun) -> None:
    run.phase = "looking at the folders"
    listed = _listed(run)
    chosen = choose_mailboxes(listed, run.settings, gmail=run.source.traits.gmail)
    boxes = _boxes(run, chosen)
    statuses = run.source.statuses([box.name for box in boxes])
    with run.app.db.reading() as session:
        due = due_again(session, run.lease.account_id, run.app.clock())
    tasks = [task for box in boxes if (task := _task(run, box, statuses, due.get(box.id, UidSet()))) is not None]
    _newest_first(run, tasks)
    for task in tasks:
        _one_mailbox(run, task)
    _forget_deleted(run, {mailbox.name for mailbox in listed})
    if run.app.settings.mail_gone == "erase":
        _erase_gone(run)


def _listed(run: MailRun) -> Sequence[Mailbox]:
    """The server's folders. A list that lacks folders we know is asked for twice before it is believed."""
    listed = run.source.mailboxes()
    with run.app.db.reading() as session:
        mine = select(MailboxRow.name).where(MailboxRow.account_id == run.lease.account_id)
        known = set(session.scalars(mine))
    if known - {mailbox.name for mailbox in listed}:
        listed = run.source.mailboxes()
    if not listed:
        raise Transient("the server listed no folders at all")
    return listed


def _boxes(run: MailRun, chosen: Sequence[Mailbox]) -> list[Box]:
    with run.app.db.reading() as session:
        mine = select(MailboxRow).where(MailboxRow.account_id == run.lease.account_id)
        rows = {row.name: row for row in session.scalars(mine)}
    new = [mailbox for mailbox in chosen if mailbox.name not in rows]
    if new:
        with run.step() as session:
            for number, mailbox in zip(next_message_ids(len(new)), new, strict=True):
                row = MailboxRow(id=number, account_id=run.lease.account_id, name=mailbox.name, role=mailbox.role)
                session.add(row)
                session.flush()
                rows[mailbox.name] = row
    return [Box(rows[mailbox.name].id, mailbox, state_of(rows[mailbox.name])) for mailbox in chosen]


def _task(run: MailRun, box: Box, statuses: Mapping[str, MailboxStatus], retry: UidSet) -> _Task | None:
    """What a mailbox needs, None when it is quiet; `retry` are messages set aside that may be asked for again."""
    seen = statuses.get(box.name)
    if seen is None:
        run.problems.append(f"{box.name}: the server gives no status of this folder")
        return None
    plan = _plan(run, box, seen)
    return None if plan.quiet and not retry else _Task(box, plan, retry)


def _plan(run: MailRun, box: Box, seen: MailboxStatus) -> MailboxPlan:
    return plan_mailbox(
        box.state,
        seen,
        since=run.settings.since,
        vanished_told=run.source.traits.qresync,
        now=run.app.clock(),
        choice=run.choice,
    )


def _newest_first(run: MailRun, tasks: Sequence[_Task]) -> None:
    """In a first sync, fetch the newest messages of every mailbox before the past of any."""
    fresh = [task for task in tasks if task.plan.reset]
    if len(fresh) < 2:
        return
    for task in fresh:
        try:
            seen = run.source.select(task.box.name)
            if _plan(run, task.box, seen).reset and seen.exists > FIRST_WINDOW:
                _start_over(run, task.box, seen)
                run.phase = f"newest messages of {task.box.name}"
                fill(run, task.box, seen, most=1)
        except MailboxGone:
            continue


def _one_mailbox(run: MailRun, task: _Task) -> None:
    box = task.box
    run.checkpoint()
    try:
        seen = run.source.select(box.name)
    except MailboxGone as error:
        run.problems.append(f"{box.name}: {error}")
        return
    # The numbers may have moved since STATUS; those of the open mailbox count.
    plan = _plan(run, box, seen)
    if plan.reset:
        # A server may flap for a moment: a changed UIDVALIDITY is believed when it is told twice.
        seen = run.source.select(box.name)
        plan = _plan(run, box, seen)
    if plan.refuse:
        _refuse(run, box, plan.refuse)
        return
    if plan.reset:
        _start_over(run, box, seen)
    elif plan.rescope:
        _look_behind(run, box)
    # Saved with the next window: what is looked at from here on is looked at under this choice.
    box.state = replace(box.state, since=run.settings.since)
    run.phase = box.name
    fill(run, box, seen)
    if task.retry:
        _retry(run, box, task.retry)
    finish_messages(run, box)
    follow(run, box, plan, seen)


def _start_over(run: MailRun, box: Box, seen: MailboxStatus) -> None:
    state = begin(box.state, seen, since=run.settings.since, now=run.app.clock(), choice=run.choice)
    with run.step() as session:
        if box.state.uidvalidity:
            run.counts["folders read anew"] += 1
        drop_locations(session, box.id)
        save_state(session, box.id, state)
    box.state = state


def _look_behind(run: MailRun, box: Box) -> None:
    """The since date moved back or other labels are wanted: only what we hold counts as looked at."""
    with run.step() as session:
        held = held_uids(session, box.id)
        state = replace(box.state, done=held, since=run.settings.since, choice=run.choice)
        save_state(session, box.id, state)
    box.state = state


def _refuse(run: MailRun, box: Box, why: str) -> None:
    run.problems.append(f"{box.name}: {why}")
    with run.step() as session:
        save_state(session, box.id, box.state, problem=why)


def _retry(run: MailRun, box: Box, uids: UidSet) -> None:
    run.phase = f"asking again for messages set aside in {box.name}"
    with run.app.db.reading() as session:
        # One may be stored already, when the last run ended between storing and releasing it.
        uids -= held_uids(session, box.id)
    if uids:
        missing = fetch_and_store(run, box, {uids: uids})
        if missing:
            recover(run, box, missing)
    with run.step() as session:
        release_found(session, box.id)


def _forget_deleted(run: MailRun, names: set[str]) -> None:
    """Mailboxes that are gone from the server: their messages stay, gone from there."""
    with run.app.db.reading() as session:
        mine = select(MailboxRow).where(MailboxRow.account_id == run.lease.account_id)
        gone = [row for row in session.scalars(mine) if row.name not in names]
    for row in gone:
        with run.step() as session:
            _forget(session, run, row.id)
            run.counts["folders gone"] += 1


def _forget(session: Session, run: MailRun, mailbox_id: int) -> None:
    shown = list(session.scalars(select(LocationRow.message_id).where(LocationRow.mailbox_id == mailbox_id)))
    drop_locations(session, mailbox_id)
    mark_unplaced(session, shown, run.app.clock())
    session.execute(delete(MailboxRow).where(MailboxRow.id == mailbox_id))


def _erase_gone(run: MailRun) -> None:
    """Erase what left the mailbox, if the setting says so. A message on its way between two folders is in neither
    for a moment, so only what has been gone for a while counts."""
    gone = (
        select(MessageRow.id)
        .where(MessageRow.account_id == run.lease.account_id)
        .where(MessageRow.unplaced_at <= run.app.clock() - GRACE)
        .limit(BATCH)
    )
    while True:
        with run.step() as session:
            ids = list(session.scalars(gone))
            packs = packs_of(session, ids)
            erase_messages(session, ids)
            scrub_packs(session, packs)
            run.counts["erased"] += len(ids)
        if len(ids) < BATCH:
            return
