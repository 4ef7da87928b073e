"""Takes back what a run did, or one field of one record. An undo is an edit of the CRM side, guarded by what the run
left behind; the next run carries it to the provider like any edit. Nothing that a person made is deleted there."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import Conflict, NotFound
from core.types import Channel
from models.links import HistoryRow
from models.syncing import ChannelRow, RunRow
from sync.app import App
from sync.undo_activities import TOGETHER, ActivityUndo
from sync.undo_contacts import ContactUndo
from sync.undo_journal import Journal, Undone


class Side(Protocol):
    """The CRM side of a channel, as far as an undo changes it; what it did and did not goes into its journal."""

    def take_back(self, row: HistoryRow) -> None:
        """Reverse one deed of the run."""

    def restore(self, row: HistoryRow, changes: dict[str, list[Any]]) -> None:
        """Give fields the values they had before this deed, where they still have what it wrote."""


def undo_run(app: App, workspace: str, run_id: str) -> Undone:
    """Take back what a run did, newest deed first; what was changed again since is left and listed.

    Run a sync before, so that later edits at the provider are known, and one after. Raises NotFound, Conflict.
    """
    with app.db.transaction() as session:
        run = session.get(RunRow, run_id)
        if run is None or run.workspace_id != workspace:
            raise NotFound("no such run in this workspace", advice="See `twinbox runs list`.")
        query = select(HistoryRow).where(HistoryRow.run_id == run_id, HistoryRow.workspace_id == workspace)
        rows = session.scalars(query.order_by(HistoryRow.id.desc())).all()
        if not rows:
            raise Conflict("this run changed nothing", advice="There is nothing to undo.")
        if all(row.undone_at is not None for row in rows):
            raise Conflict("this run was undone already", advice="See `twinbox runs list`.")
        journal, side = _begin(app, session, run)
        for row in rows:
            if row.undone_at is None:
                side.take_back(row)
        return journal.finish()


def undo_field(app: App, workspace: str, record_id: str, name: str) -> Undone:
    """Give a contact or activity back the value a field had before a run changed it last; what only makes sense
    together goes back together. Raises NotFound, Conflict."""
    with app.db.transaction() as session:
        query = select(HistoryRow).where(
            HistoryRow.workspace_id == workspace, HistoryRow.local_id == record_id, HistoryRow.undone_at.is_(None)
        )
        rows = [row for row in session.scalars(query.order_by(HistoryRow.id.desc())) if name in row.changes]
        if not rows:
            raise NotFound(f"no run has changed {name!r} of this record", advice="`twinbox why` shows what runs did.")
        row = rows[0]
        run = session.get(RunRow, row.run_id)
        if run is None:
            raise NotFound("the run that changed it is gone", advice="Edit the record instead.")
        journal, side = _begin(app, session, run)
        wanted = TOGETHER if row.channel == Channel.CALENDAR and name in TOGETHER else (name,)
        side.restore(row, {one: row.changes[one] for one in wanted if one in row.changes})
        if journal.done.skipped:
            raise Conflict(
                f"{name!r} stays as it is: {journal.done.skipped[0].why}",
                advice=f"`twinbox {_COMMANDS[Channel(row.channel)]} edit` sets it to what it should be.",
            )
        return journal.finish()


_COMMANDS = {Channel.CONTACTS: "contacts", Channel.CALENDAR: "activities"}


def _begin(app: App, session: Session, run: RunRow) -> tuple[Journal, Side]:
    channel = session.get(ChannelRow, (run.account_id, run.channel))
    if channel is None:
        raise Conflict("the account of this run was removed", advice="Edit the records instead.")
    journal = Journal(app, session, run, channel)
    return journal, ActivityUndo(journal) if run.channel == Channel.CALENDAR else ContactUndo(journal)
