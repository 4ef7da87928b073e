"""Runs the contacts channel once: read both sides, plan, ask for leave, apply, note where the next run goes on.
The lease and the outcome around it are `sync.run`; the same plan, shown and not applied, is the preview."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.actions import Decide
from core.contact_settings import ContactSettings
from core.errors import Held, NotFound
from core.plan import guard
from core.replica import Scope, Side
from core.types import Channel
from models.accounts import AccountRow
from models.links import DecisionRow, SetAsideRow
from models.syncing import ChannelRow
from sync.app import App
from sync.channel_tag import own_tag
from sync.lease import Lease
from sync.phones import contact_rules
from sync.record_apply import apply
from sync.record_plan import Plan, make_plan
from sync.record_preview import preview
from sync.record_run import RecordRun, Watch
from sync.sources import open_contacts

MAX_SHOWN = 1_000  # of what a person is asked to confirm, so many lines are kept


def run_records(run: RecordRun) -> None:
    """The whole run. Raises Held when a person must decide first; then nothing was written on either side."""
    run.phase = "reading"
    with run.step():
        pass
    plan = make_plan(run)
    try:
        guard(plan.actions, plan.active, run.policy, run.approved)
    except Held as error:
        error.lines = _lines(error, plan)
        raise
    _make_group(run, plan)
    apply(run, plan)
    _finish(run, plan)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do, a line per action, and why it would be held, "" if it would not."""

    lines: list[dict[str, Any]]
    held: str = ""


def plan_contacts(app: App, account_id: str) -> Preview:
    """What a run would do now; writes nothing on either side. Raises as `opened_run` and the replica do."""
    with opened_run(app, account_id) as run:
        try:
            plan = make_plan(run)
        except Held as error:
            return Preview([], str(error))
        try:
            guard(plan.actions, plan.active, run.policy, run.approved)
        except Held as error:
            return Preview(preview(plan), str(error))
        return Preview(preview(plan))


@contextmanager
def opened_run(
    app: App, account_id: str, *, lease: Lease | None = None, watch: Watch = lambda _: None
) -> Iterator[RecordRun]:
    """A run of an account's contacts, with the provider's side open. Without a lease it can only plan.

    Raises NotFound, Misconfigured, NeedsRelink, Refused, Transient, and Held when the channel's tag is gone.
    """
    with app.db.reading() as session:
        account = session.get(AccountRow, account_id)
        row = session.get(ChannelRow, (account_id, Channel.CONTACTS.value))
        if account is None or row is None:
            raise NotFound("this account has no contacts channel", advice="Link it again with --channels contacts.")
        settings, cursor, held = ContactSettings.read(row.settings), row.cursor, row.held or {}
    tag = own_tag(app, account, settings, make=lease is not None)
    opener = app.open_contacts or open_contacts
    replica = opener(app, account_id, Scope(settings.group_id, settings.group))
    try:
        yield RecordRun(
            app,
            account_id,
            account.workspace_id,
            replica,
            contact_rules(app.settings.phone_region),
            ContactSettings(tag, settings.group, settings.group_id),
            cursor,
            frozenset(held.get("keys", ()) if held.get("approved") else ()),
            lease,
            watch,
        )
    finally:
        replica.close()


def _lines(error: Held, plan: Plan) -> list[dict[str, str]]:
    """What a person is asked to confirm, in words."""
    keys = set(error.keys)
    kept = ("key", "action", "name", "contact", "why")
    lines = [{name: line[name] for name in kept} for line in preview(plan) if line["key"] in keys]
    return lines[:MAX_SHOWN]


def _set_channel(session: Session, run: RecordRun, **values: Any) -> None:
    session.execute(
        update(ChannelRow)
        .where(ChannelRow.account_id == run.account_id, ChannelRow.channel == run.channel)
        .values(**values)
    )


def _make_group(run: RecordRun, plan: Plan) -> None:
    """From the first run on there is a group; its resource name is what counts, a rename is followed."""
    scope = plan.listing.scope or run.replica.make_scope(run.settings.group)
    chosen = ContactSettings(run.settings.tag, scope.name, scope.id)
    run.settings = chosen
    with run.step() as session:
        _set_channel(session, run, settings=chosen.to_json())


def _finish(run: RecordRun, plan: Plan) -> None:
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


def _ask(run: RecordRun, session: Session, plan: Plan) -> None:
    """Write down what a person must decide; what needs no decision any more goes."""
    asked = {(action.side.value, action.item.id): action for action in plan.actions if isinstance(action, Decide)}
    known = {(row.side, row.record_id): row for row in run.store.decisions(session)}
    for key in known.keys() - asked.keys():
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
        row.label, row.run_id = action.item.body.name, run.run_id
        row.candidates = [{"id": one, "name": name} for one, name in names.items()]
    session.flush()


def any_refused(session: Session, account_id: str) -> bool:
    """Whether a record of the channel was refused and is set aside."""
    query = select(SetAsideRow.record_id).where(SetAsideRow.account_id == account_id, SetAsideRow.attempts > 0)
    return session.scalar(query.limit(1)) is not None
