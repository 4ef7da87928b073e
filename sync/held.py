"""Takes a person's word on what a run was held for: do it, or leave it. The next run acts on it (`sync.records`)."""

from __future__ import annotations

from typing import Any

from core.errors import Conflict
from core.types import Channel
from models.syncing import ChannelRow
from sync.app import App
from sync.record_settings import own_channel


def confirm_held(app: App, workspace: str, account_id: str, channel: Channel = Channel.CONTACTS) -> dict[str, Any]:
    """A person says yes: the next run, due now, may do exactly what was listed. Raises NotFound, Conflict."""
    with app.db.transaction() as session:
        row = own_channel(session, workspace, account_id, channel)
        held = _held(row)
        if not held["keys"]:
            raise Conflict(held["text"], advice="There is nothing to confirm: choose the tag or group anew.")
        row.held = {**held, "approved": True, "discarded": False}
        row.next_run_at = app.clock()
        return dict(row.held)


def discard_held(app: App, workspace: str, account_id: str, channel: Channel = Channel.CONTACTS) -> dict[str, Any]:
    """A person says no: nothing of it is done, and the channel does not run by itself until it is started by hand.
    Raises NotFound, Conflict."""
    with app.db.transaction() as session:
        row = own_channel(session, workspace, account_id, channel)
        held = _held(row)
        row.held = {**held, "approved": False, "discarded": True}
        row.next_run_at = None
        return dict(row.held)


def _held(row: ChannelRow) -> dict[str, Any]:
    if row.held is None:
        raise Conflict("nothing is held", advice="`twinbox status` shows which channels wait for somebody.")
    return row.held
