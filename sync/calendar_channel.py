"""Reads and changes what the owner of an account chose for its calendar: since when, how often, whether by itself.
What the choices mean to a run is `sync.records`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from core.calendar_settings import CalendarSettings, same_calendars
from core.errors import BadInput
from core.replica import Scope
from core.types import Channel
from sync.app import App
from sync.record_settings import begin_anew, check_period, own_channel
from sync.watches import end_watches


@dataclass(frozen=True, slots=True)
class CalendarChange:
    """What to change; None leaves a value as it is. `period_s` in seconds, `calendars` as `sync.calendar_choice` gives
    them."""

    since: date | None = None
    period_s: int | None = None
    auto: bool | None = None
    calendars: tuple[Scope, ...] | None = None


@dataclass(frozen=True, slots=True)
class CalendarChoice:
    """The choices in force. `since` is None before the first run."""

    since: date | None
    calendars: tuple[Scope, ...]
    period_s: int
    auto: bool


def calendar_choice(app: App, workspace: str, account_id: str) -> CalendarChoice:
    """The choices of an account's calendar channel. Raises NotFound."""
    with app.db.reading() as session:
        row = own_channel(session, workspace, account_id, Channel.CALENDAR)
        settings = CalendarSettings.read(row.settings)
        return CalendarChoice(settings.since, settings.calendars, row.period_s, row.auto)


def change_calendar(app: App, workspace: str, account_id: str, change: CalendarChange) -> CalendarChoice:
    """Change the choices; the channel is due at once.

    With another day, or other calendars, everything is read anew: what lies within enters, what lies without is left as
    it is on both sides. Raises NotFound, and BadInput for a day that is still to come or a period out of range.
    """
    check_period(change.period_s)
    if change.since is not None:
        check_since(app, change.since)
    with app.db.transaction() as session:
        row = own_channel(session, workspace, account_id, Channel.CALENDAR)
        before = CalendarSettings.read(row.settings)
        after = replace(before, since=change.since or before.since, calendars=change.calendars or before.calendars)
        if after.since != before.since or not same_calendars(after.calendars, before.calendars):
            row.settings = after.to_json()
            begin_anew(session, row)
        if change.period_s is not None:
            row.period_s = change.period_s
        if change.auto is not None:
            row.auto = change.auto
        row.next_run_at = app.clock() if row.auto and row.granted else None
    if change.auto is False:
        end_watches(app, account_id)
    return calendar_choice(app, workspace, account_id)


def check_since(app: App, since: date) -> None:
    """Raises BadInput for a day that is still to come."""
    if since > app.clock().date():
        raise BadInput(f"{since} is still to come", advice="Give a day from which on events are to be synced.")
