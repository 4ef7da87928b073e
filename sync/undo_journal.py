"""Keeps the account of an undo: what was taken back, what was left as it is and why, and the run that the undo is.
What may be taken back is decided by `sync.undo_contacts` and `sync.undo_activities`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from core.actions import Reason
from models.bulk import insert_rows
from models.links import HistoryRow
from models.syncing import ChannelRow, RunRow
from sync.app import App
from sync.ids import new_id, next_message_ids


@dataclass(frozen=True, slots=True)
class Skipped:
    """A deed that was left as it is, and why. `record` is the id of the contact or activity."""

    record: str
    name: str
    what: str
    why: str


@dataclass(slots=True)
class Undone:
    """What an undo did. `run_id` is the id of the undo itself, which can be undone too."""

    run_id: str
    account_id: str
    channel: str
    counts: Counter[str] = field(default_factory=Counter)
    skipped: list[Skipped] = field(default_factory=list)


class Journal:
    """An undo in progress, in one transaction."""

    def __init__(self, app: App, session: Session, run: RunRow, channel: ChannelRow) -> None:
        self.app, self.session, self.channel = app, session, channel
        self.now = app.clock()
        self.done = Undone(new_id(), run.account_id, run.channel)
        self._run = run
        self._rows: list[dict[str, Any]] = []

    def skip(self, row: HistoryRow, what: str, why: str, *, name: str | None = None) -> None:
        """Leave a deed, or a field of it, as it is."""
        self.done.skipped.append(Skipped(row.local_id, row.label if name is None else name, what, why))
        self.done.counts["left as it is"] += 1

    def note(self, row: HistoryRow, action: str, changes: Mapping[str, list[Any]], version: int, word: str) -> None:
        """A deed was taken back, by this action on the CRM's side."""
        row.undone_at = self.now
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
                "changes": dict(changes),
                "lost": [],
                "private": row.private,
                "version": version,
                "at": self.now,
                "undone_at": None,
            }
        )

    def finish(self) -> Undone:
        """Record the undo as a run of its own and make the channel due."""
        insert_rows(self.session, HistoryRow, self._rows)
        self.session.add(
            RunRow(
                id=self.done.run_id,
                workspace_id=self._run.workspace_id,
                account_id=self._run.account_id,
                channel=self._run.channel,
                trigger="undo",
                outcome="partial" if self.done.skipped else "ok",
                counts=dict(self.done.counts),
                started_at=self.now,
                finished_at=self.now,
            )
        )
        self.channel.next_run_at = self.now
        return self.done
