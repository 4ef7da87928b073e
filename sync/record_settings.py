"""What changing the choices of a channel of records has in common: its row, its period, and beginning anew.
The choices themselves are `sync.contact_channel` and `sync.calendar_channel`."""

from __future__ import annotations

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.errors import BadInput
from core.types import Channel
from models.links import LinkRow
from models.syncing import ChannelRow
from sync.account_rows import channel_of, own_account

SHORTEST_PERIOD = 60
LONGEST_PERIOD = 30 * 86_400


def own_channel(session: Session, workspace: str, account_id: str, channel: Channel) -> ChannelRow:
    """A channel of an account of this workspace. Raises NotFound."""
    own_account(session, workspace, account_id)
    return channel_of(session, account_id, channel)


def check_period(period_s: int | None) -> None:
    """Raises BadInput for a period that is too short or too long; None is none to check."""
    if period_s is not None and not SHORTEST_PERIOD <= period_s <= LONGEST_PERIOD:
        raise BadInput(
            f"a period of {period_s} seconds is not possible",
            advice=f"Give {SHORTEST_PERIOD} to {LONGEST_PERIOD} seconds, or --no-auto to run only when asked.",
        )


def begin_anew(session: Session, row: ChannelRow) -> None:
    """The next run reads everything; whoever runs the channel right now must not write any more."""
    row.cursor, row.held = "", None
    row.fence, row.lease_until = row.fence + 1, None
    session.flush()


def part_all(session: Session, row: ChannelRow) -> None:
    """Pairs stay known but have to join again, so that nothing can be taken for having left."""
    session.execute(
        update(LinkRow)
        .where(LinkRow.account_id == row.account_id, LinkRow.channel == row.channel)
        .values(active=False)
        .execution_options(synchronize_session=False)
    )
