"""Takes back what a run did, or one field of one contact. An undo is an edit of the CRM side, guarded by what the run
left behind; the next run carries it to the provider like any edit. Nothing is deleted at the provider."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.actions import Reason
from core.contact import Contact, from_json, to_json
from core.contact_settings import ContactSettings
from core.errors import Conflict, NotFound
from core.policy import Policy
from models.bulk import insert_rows
from models.contacts import ContactRow, ContactTagRow
from models.links import HistoryRow
from models.syncing import ChannelRow, RunRow
from sync.app import App
from sync.contact_rows import Rewrite, add_tag, remove_tag, rewrite_contacts, set_deleted
from sync.ids import new_id, next_message_ids
from sync.phones import contact_rules

LATER = "it was changed again later"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A deed that was left as it is, and why."""

    contact: str
    name: str
    what: str
    why: str


@dataclass(slots=True)
class Undone:
    """What an undo did. `run_id` is the id of the undo itself, which can be undone too."""

    run_id: str
    account_id: str
    counts: Counter[str] = field(default_factory=Counter)
    skipped: list[Skipped] = field(default_factory=list)


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
        return _undo(app, session, run, [row for row in rows if row.undone_at is None])


def undo_field(app: App, workspace: str, contact_id: str, name: str) -> Undone:
    """Give a contact back the value a field had before a run changed it last. Raises NotFound, Conflict."""
    with app.db.transaction() as session:
        query = select(HistoryRow).where(
            HistoryRow.workspace_id == workspace, HistoryRow.local_id == contact_id, HistoryRow.undone_at.is_(None)
        )
        rows = [row for row in session.scalars(query.order_by(HistoryRow.id.desc())) if name in row.changes]
        if not rows:
            raise NotFound(f"no run has changed {name!r} of this contact", advice="See `twinbox why CONTACT`.")
        row = rows[0]
        run = session.get(RunRow, row.run_id)
        if run is None:
            raise NotFound("the run that changed it is gone", advice="Edit the contact instead.")
        undo = _Undo(app, session, run)
        undo.restore(row, {name: row.changes[name]})
        if undo.done.skipped:
            raise Conflict(
                f"{name!r} was changed again later", advice="`twinbox contacts edit` sets it to what it should be."
            )
        undo.finish()
        return undo.done


def _undo(app: App, session: Session, run: RunRow, rows: Sequence[HistoryRow]) -> Undone:
    undo = _Undo(app, session, run)
    for row in rows:
        undo.take_back(row)
    undo.finish()
    return undo.done


class _Undo:
    """An undo in progress, in one transaction."""

    def __init__(self, app: App, session: Session, run: RunRow) -> None:
        self._app, self._session, self._run = app, session, run
        channel = session.get(ChannelRow, (run.account_id, run.channel))
        if channel is None:
            raise Conflict("the account of this run was removed", advice="Edit the contacts instead.")
        self._channel = channel
        self._tag = ContactSettings.read(channel.settings).tag
        self._policy: Policy[Contact] = contact_rules(app.settings.phone_region)
        self._now: datetime = app.clock()
        self._rows: list[dict[str, Any]] = []
        self.done = Undone(new_id(), run.account_id)

    def take_back(self, row: HistoryRow) -> None:
        """Reverse one deed of the run."""
        if row.action == "update":
            self.restore(row, row.changes)
            return
        joined = row.action in ("create", "select")
        contact = self._contact(row)
        if contact is None:
            return
        deleted_since = contact.deleted_at is not None and row.reason != Reason.DELETED_IN_CRM
        if self._takes_part(contact) != joined or (not joined and deleted_since):
            self._skip(row, "untag" if joined else "tag", LATER)
        elif joined:
            self._leave(row, contact)
        else:
            set_deleted(self._session, [contact.id], None)
            add_tag(self._session, self._tag, [contact.id])
            self._note(row, "select", {}, contact.version, "tagged again")

    def restore(self, row: HistoryRow, changes: dict[str, list[Any]]) -> None:
        """Give the fields of a contact the values they had before, where they still have what the run wrote."""
        contact = self._contact(row)
        if contact is None:
            return
        body = to_json(from_json(contact.body))
        back = {name: pair for name, pair in changes.items() if body.get(name) == pair[1]}
        for name in changes.keys() - back.keys():
            self._skip(row, name, LATER)
        if not back:
            return
        values = {**body, **{name: pair[0] for name, pair in back.items()}}
        after = self._policy.normal(from_json({name: value for name, value in values.items() if value}))
        version = contact.version + 1
        rewrite_contacts(
            self._session,
            contact.workspace_id,
            self._policy,
            [Rewrite(contact.id, after, version, max(self._now, contact.modified_at))],
        )
        self._session.expire(contact)
        self._note(row, "update", {name: [pair[1], pair[0]] for name, pair in back.items()}, version, "restored")

    def _leave(self, row: HistoryRow, contact: ContactRow) -> None:
        """Untag; a contact that the run made and nobody has touched since goes as well."""
        remove_tag(self._session, self._tag, [contact.id])
        made_here = row.action == "create" and row.side == "local"
        if made_here and contact.version == row.version and contact.external_id is None:
            set_deleted(self._session, [contact.id], self._now)
            self._session.expire(contact)
        self._note(row, "deselect", {}, contact.version, "untagged")

    def _contact(self, row: HistoryRow) -> ContactRow | None:
        contact = self._session.get(ContactRow, row.local_id, populate_existing=True)
        if contact is None or contact.workspace_id != row.workspace_id:
            self._skip(row, row.action, "the contact does not exist any more")
            return None
        return contact

    def _takes_part(self, contact: ContactRow) -> bool:
        tagged = self._session.get(ContactTagRow, (self._tag, contact.id), populate_existing=True) is not None
        return tagged and contact.deleted_at is None

    def _skip(self, row: HistoryRow, what: str, why: str) -> None:
        self.done.skipped.append(Skipped(row.local_id, row.label, what, why))
        self.done.counts["left as it is"] += 1

    def _note(self, row: HistoryRow, action: str, changes: dict[str, list[Any]], version: int, word: str) -> None:
        row.undone_at = self._now
        self.done.counts[word] += 1
        self._rows.append(
            {
                "id": next_message_ids(1)[0],
                "workspace_id": row.workspace_id,
                "account_id": row.account_id,
                "channel": row.channel,
                "run_id": self.done.run_id,
                "local_id": row.local_id,
                "remote_id": row.remote_id,
                "side": "local",
                "action": action,
                "reason": Reason.UNDONE.value,
                "label": row.label,
                "changes": changes,
                "lost": [],
                "version": version,
                "at": self._now,
                "undone_at": None,
            }
        )

    def finish(self) -> None:
        """Record the undo as a run of its own and make the channel due."""
        insert_rows(self._session, HistoryRow, self._rows)
        run, now = self._run, self._now
        self._session.add(
            RunRow(
                id=self.done.run_id,
                workspace_id=run.workspace_id,
                account_id=run.account_id,
                channel=run.channel,
                trigger="undo",
                outcome="partial" if self.done.skipped else "ok",
                counts=dict(self.done.counts),
                started_at=now,
                finished_at=now,
            )
        )
        self._channel.next_run_at = now
