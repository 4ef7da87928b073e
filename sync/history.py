"""Writes the history: what was done to which record on which side, and why. It is the record of a run, the answer to
"why", and what an undo reverses (`sync.undo`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy.orm import Session

from core.replica import Item, Side
from models.bulk import insert_rows
from models.links import HistoryRow
from sync.ids import next_message_ids
from sync.record_jobs import Deed
from sync.record_run import RecordRun

T = TypeVar("T")


def record_deeds(session: Session, run: RecordRun[T], deeds: Sequence[tuple[Deed, Item[T]]]) -> None:
    """Note what a run did; each deed with the record as it is afterwards."""
    rows = [
        {
            "id": one,
            "workspace_id": run.workspace_id,
            "account_id": run.account_id,
            "channel": run.channel,
            "run_id": run.run_id,
            "local_id": deed.local_id,
            "remote_id": deed.remote_id,
            "side": deed.side.value,
            "action": deed.action,
            "reason": deed.reason.value,
            "label": deed.label,
            "changes": deed.changes,
            "lost": deed.lost,
            "private": deed.private,
            "version": int(item.stamp.version) if item.stamp.version.isdigit() and deed.side is Side.LOCAL else 0,
            "at": run.now,
            "undone_at": None,
        }
        for one, (deed, item) in zip(next_message_ids(len(deeds)), deeds, strict=True)
    ]
    insert_rows(session, HistoryRow, rows)
