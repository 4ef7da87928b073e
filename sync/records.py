"""Runs a channel of records once: read both sides, plan, ask for leave, apply, note where the next run goes on.
The lease and the outcome around it are `sync.run`; which records, and whose, is `sync.record_channels`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.actions import Decide
from core.errors import Held
from core.plan import guard
from core.replica import Side
from models.links import DecisionRow, SetAsideRow
from models.syncing import ChannelRow
from sync.record_apply import apply
from sync.record_plan import Plan, make_plan, undecided
from sync.record_preview import preview
from sync.record_run import RecordRun

T = TypeVar("T")

MAX_SHOWN = 1_000  # of what a person is asked to confirm, so many lines are kept


def run_records(run: RecordRun[T]) -> None:
    """The whole run. Raises Held when a person must decide first; then nothing was written on either side."""
    run.phase = "reading"
    with run.step():
        pass
    plan = make_plan(run)
    try:
        guard(plan.actions, plan.active, run.policy, run.approved)
    except Held as error:
        error.lines = _lines(run, error, plan)
        raise
    _make_scope(run, plan)
    apply(run, plan)
    _finish(run, plan)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do, a line per action, and why it would be held, "" if it would not."""

    lines: list[dict[str, Any]]
    held: str = ""


def plan_records(run: RecordRun[T]) -> Preview:
    """What a run would do now; writes nothing on either side. Raises as the replica does."""
    try:
        plan = make_plan(run)
    except Held as error:
        return Preview([], str(error))
    try:
        guard(plan.actions, plan.active, run.policy, run.approved)
    except Held as error:
        return Preview(preview(plan, run.policy), str(error))
    return Preview(preview(plan, run.policy))


def _lines(run: RecordRun[T], error: Held, plan: Plan[T]) -> list[dict[str, str]]:
    """What a person is asked to confirm, in words."""
    keys = set(error.keys)
    kept = ("key", "action", "name", "contact", "why")
    lines = [{name: line[name] for name in kept} for line in preview(plan, run.policy) if line["key"] in keys]
    return lines[:MAX_SHOWN]


def _set_channel(session: Session, run: RecordRun[T], **values: Any) -> None:
    session.execute(
        update(ChannelRow)
        .where(ChannelRow.account_id == run.account_id, ChannelRow.channel == run.channel)
        .values(**values)
    )


def _make_scope(run: RecordRun[T], plan: Plan[T]) -> None:
    """From the first run on there is a group; its resource name is what counts, a rename is followed."""
    scope = plan.listing.scope or run.replica.make_scope(run.scope.name)
    if scope != run.scope:
        run.scope = scope
        with run.step() as session:
            run.keep_scope(session, scope)


def _finish(run: RecordRun[T], plan: Plan[T]) -> None:
    """Everything reported was dealt with or is noted down: now the next run may go on behind it."""
    run.phase = ""
    waiting = {(one.side, one.record_id) for one in run.asides}
    reread = {(Side.REMOTE, one) for one in plan.reread}
    with run.step() as session:
        store, listing = run.store, plan.listing
        store.clear_aside(session, (run.handled | reread) - waiting)
        store.set_aside(session, run.asides, run.now)
        old = [one for one, sent in store.sent(session).items() if sent.made_at <= run.settled_at]
        store.answered(session, old)
        _ask(run, session, plan)
        store.remember_remote(session, listing.items, listing.gone, everything=listing.complete)
        _set_channel(session, run, cursor=listing.cursor, held=None)


def _ask(run: RecordRun[T], session: Session, plan: Plan[T]) -> None:
    """Write down what a person must decide; what needs no decision any more goes, unless the provider did not tell of a
    record it is about."""
    asked = {(action.side.value, action.item.id): action for action in plan.actions if isinstance(action, Decide)}
    known = {(row.side, row.record_id): row for row in run.store.decisions(session)}
    for key in known.keys() - asked.keys():
        if undecided([known[key]]).isdisjoint(plan.untold):
            session.delete(known[key])
    session.flush()
    run.counts["needs a decision"] += len(asked)
    for (side, record_id), action in asked.items():
        names = {one: plan.names.get((action.side.other, one), "") for one in action.candidates}
        row = known.get((side, record_id))
        if row is None:
            row = DecisionRow(account_id=run.account_id, channel=run.channel, side=side, record_id=record_id)
            row.made_at = run.now
            session.add(row)
        row.label, row.run_id = run.policy.name(action.item.body), run.run_id
        row.candidates = [{"id": one, "name": name} for one, name in names.items()]
    session.flush()


def any_refused(session: Session, account_id: str, channel: str) -> bool:
    """Whether a record of the channel was refused and is set aside."""
    query = select(SetAsideRow.record_id).where(
        SetAsideRow.account_id == account_id, SetAsideRow.channel == channel, SetAsideRow.attempts > 0
    )
    return session.scalar(query.limit(1)) is not None
