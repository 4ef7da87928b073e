"""Reads and changes what the owner of an account chose for a channel: scope, period, switch.
What the choices mean is in `core.mail_settings`; the next run acts on them."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import Conflict
from core.mail_settings import MailSettings
from core.types import Channel
from models.syncing import ChannelRow
from sync.account_rows import channel_of, own_account
from sync.app import App

SHORTEST_PERIOD = 30
LONGEST_PERIOD = 30 * 86_400


@dataclass(frozen=True, slots=True)
class ChannelChange:
    """What to change; None leaves a value as it is. `period_s` in seconds."""

    mail: MailSettings | None = None
    period_s: int | None = None
    auto: bool | None = None


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    """The choices in force."""

    mail: MailSettings
    period_s: int
    auto: bool


def mail_choice(app: App, workspace: str, account_id: str) -> ChannelChoice:
    """The choices of an account's mail channel. Raises NotFound."""
    with app.db.reading() as session:
        own_account(session, workspace, account_id)
        row = channel_of(session, account_id, Channel.MAIL)
        return ChannelChoice(MailSettings.read(row.settings), row.period_s, row.auto)


def change_mail(app: App, workspace: str, account_id: str, change: ChannelChange) -> ChannelChoice:
    """Change the choices; the channel is due at once. Raises NotFound, Conflict for a period out of range."""
    if change.period_s is not None and not SHORTEST_PERIOD <= change.period_s <= LONGEST_PERIOD:
        size = "short" if change.period_s < SHORTEST_PERIOD else "long"
        raise Conflict(
            f"a period of {change.period_s} seconds is too {size}",
            advice=f"Give {SHORTEST_PERIOD} to {LONGEST_PERIOD} seconds, or --no-auto to run only when asked.",
        )
    mail_choice(app, workspace, account_id)
    with app.db.transaction() as session:
        row = session.get_one(ChannelRow, (account_id, Channel.MAIL.value))
        if change.mail is not None:
            row.settings = change.mail.to_json()
        if change.period_s is not None:
            row.period_s = change.period_s
        if change.auto is not None:
            row.auto = change.auto
        row.next_run_at = app.clock() if row.auto else None
    return mail_choice(app, workspace, account_id)
