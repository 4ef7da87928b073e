"""Takes a person's decision on an ambiguous match: which record this is, or that it is somebody new.
Where decisions are asked for is `core.match`; the next run acts on them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import BadInput, Conflict, NotFound
from core.match import NEW
from core.types import Channel
from models.columns import Record
from models.links import DecisionRow
from models.syncing import ChannelRow
from sync.app import App

WORD_FOR_NEW = "new"


def decide(app: App, workspace: str, record: str, choice: str) -> Record:
    """Decide what a record is: `choice` is the id of one of its candidates, or `new`. `record` is an id, its beginning,
    or the name. The account's next run is due at once. Raises NotFound, Conflict, BadInput."""
    with app.db.transaction() as session:
        row = _find(session, workspace, record)
        ids = [one["id"] for one in row.candidates]
        fits = [one for one in ids if one == choice or (len(choice) >= 4 and one.startswith(choice))]
        if choice != WORD_FOR_NEW and len(fits) != 1:
            raise BadInput(
                f"{choice[:100]!r} is not one of the candidates", advice=f"Give one of {', '.join(ids)}, or `new`."
            )
        row.choice = NEW if choice == WORD_FOR_NEW else fits[0]
        row.decided_at = app.clock()
        channel = session.get_one(ChannelRow, (row.account_id, row.channel))
        channel.next_run_at = app.clock()
        return decision_record(row)


def _find(session: Session, workspace: str, text: str) -> DecisionRow:
    query = (
        select(DecisionRow)
        .join(ChannelRow, ChannelRow.account_id == DecisionRow.account_id)
        .where(ChannelRow.channel == Channel.CONTACTS.value, ChannelRow.workspace_id == workspace)
        .where(DecisionRow.channel == Channel.CONTACTS.value)
    )
    rows = list(session.scalars(query))
    found = [row for row in rows if row.record_id == text]
    found = found or [row for row in rows if len(text) >= 4 and row.record_id.startswith(text)]
    found = found or [row for row in rows if row.label.casefold() == text.casefold()]
    if not found:
        raise NotFound(f"nothing is to be decided about {text[:100]!r}", advice="See `twinbox contacts decisions`.")
    if len(found) > 1:
        raise Conflict(f"several records fit {text[:100]!r}", advice="Give the id: see `twinbox contacts decisions`.")
    return found[0]


def list_decisions(session: Session, workspace: str) -> list[Record]:
    """What is to be decided in a workspace, and what was decided and not carried out yet."""
    query = (
        select(DecisionRow)
        .join(ChannelRow, ChannelRow.account_id == DecisionRow.account_id)
        .where(ChannelRow.workspace_id == workspace, ChannelRow.channel == DecisionRow.channel)
        .order_by(DecisionRow.label, DecisionRow.record_id)
    )
    return [decision_record(row) for row in session.scalars(query)]


def decision_record(row: DecisionRow) -> Record:
    """A decision as plain data; `choice` is None while it is open, "" for somebody new."""
    return {
        "account": row.account_id,
        "side": row.side,
        "record": row.record_id,
        "name": row.label,
        "candidates": row.candidates,
        "choice": row.choice,
        "asked_at": row.made_at,
        "decided_at": row.decided_at,
    }
