"""Follows what happened to known messages: flags, labels, removals; then settles the cursor of the mailbox.
Which of the steps are needed is decided by `core.mailbox`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from sqlalchemy import select

from core.mailbox import RECENT_SWEEP, MailboxPlan, Sweep, settle
from core.types import MailboxStatus, MessageHead
from core.uidset import UidSet
from models.syncing import QuarantineRow
from sync.mail_fill import wanted_here
from sync.mail_run import Box, MailRun
from sync.mail_store import held_uids, mark_lost, remove_locations, save_state, update_flags

FLAG_BATCH = 2_000
SWEEP_WINDOW = 20_000
# A listing that misses more than this share of what we hold is asked for a second time before it is believed.
DOUBTFUL_SHARE = 0.2
DOUBTFUL_COUNT = 10


def follow(run: MailRun, box: Box, plan: MailboxPlan, seen: MailboxStatus) -> None:
    """Do the flag and removal steps of a plan in the selected mailbox and settle its cursor."""
    newest = 0
    gone = UidSet()
    if plan.changes_since:
        changes = run.source.changes(plan.changes_since, known=UidSet.span(1, seen.uidnext - 1))
        newest = _apply(run, box, sorted(changes.heads, key=lambda head: head.modseq))
        gone = changes.vanished or gone
    if plan.sweep is not Sweep.NONE:
        newest = max(newest, _sweep(run, box, plan.sweep))
    if plan.listing or plan.sweep is Sweep.ALL:
        listed = run.source.search()
        gone |= _missing(run, box, listed)
        _look_again(run, box, listed)
    _finish(run, box, plan, seen, gone, newest)


def _apply(run: MailRun, box: Box, heads: Iterable[MessageHead]) -> int:
    newest = 0
    ordered = iter(heads)
    while batch := list(islice(ordered, FLAG_BATCH)):
        newest = max(newest, *(head.modseq for head in batch))
        with run.step() as session:
            run.counts["flags changed"] += update_flags(session, box.id, batch)
        if run.choice:
            _notice_wanted(run, box, batch)
    return newest


def _notice_wanted(run: MailRun, box: Box, heads: Sequence[MessageHead]) -> None:
    """A message that was left out may have got a label that is wanted: the next run looks at it again."""
    wanted = UidSet.of(head.uid for head in heads if wanted_here(run, box, head))
    with run.app.db.reading() as session:
        box.state = replace(box.state, done=box.state.done - (wanted - held_uids(session, box.id)))


def _sweep(run: MailRun, box: Box, sweep: Sweep) -> int:
    with run.app.db.reading() as session:
        held = held_uids(session, box.id)
    if sweep is Sweep.RECENT:
        held = UidSet.of(islice(held.descending(), RECENT_SWEEP))
    newest = 0
    for part in _stretches(held, SWEEP_WINDOW):
        newest = max(newest, _apply(run, box, run.source.heads(part, identity=False)))
    return newest


def _stretches(uids: UidSet, size: int) -> Iterator[UidSet]:
    """Cut a set into spans holding at most `size` of its UIDs; a span names few ranges, so commands stay short."""
    everything: Sequence[int] = list(uids)
    for start in range(0, len(everything), size):
        piece = everything[start : start + size]
        yield UidSet.span(piece[0], piece[-1])


def _missing(run: MailRun, box: Box, listed: UidSet) -> UidSet:
    with run.app.db.reading() as session:
        held = held_uids(session, box.id)
    gone = held - listed
    if len(gone) > max(DOUBTFUL_COUNT, DOUBTFUL_SHARE * len(held)):
        # A server in trouble may answer with a short list; a real mass removal answers the same twice.
        gone -= run.source.search()
    return gone


def _look_again(run: MailRun, box: Box, listed: UidSet) -> None:
    """What the server lists but we neither hold nor set aside was missed: the next run looks at it again."""
    with run.app.db.reading() as session:
        held = held_uids(session, box.id)
        aside = UidSet.of(session.scalars(select(QuarantineRow.uid).where(QuarantineRow.mailbox_id == box.id)))
    scope = listed if run.settings.since is None else run.source.search(since=run.settings.since)
    missed = (scope & listed & box.state.done) - held - aside
    if missed:
        box.state = replace(box.state, done=box.state.done - missed)
        if not run.choice:
            run.counts["missed before"] += len(missed)


def _finish(run: MailRun, box: Box, plan: MailboxPlan, seen: MailboxStatus, gone: UidSet, newest: int) -> None:
    now = run.app.clock()
    state = settle(box.state, seen, plan, newest_modseq=newest, now=now)
    state = replace(state, since=run.settings.since)
    with run.step() as session:
        run.counts["left the folder"] += remove_locations(session, box.id, gone, now)
        # A reset that took several slices is still counted in `resyncs` when its last one ends.
        if plan.reset or box.state.resyncs:
            run.counts["gone from the mailbox"] += mark_lost(session, run.lease.account_id, now)
        save_state(session, box.id, state)
    box.state = state
