"""Where an activity stands with each calendar of its workspace, and why; what was done to it is `models.deed_records`.
Who may be told is left to the caller, by `models.activity_records.shown`."""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from core.calendar_settings import CalendarSettings, day_begins, mark_in, mark_of
from core.event_parts import guest_version
from models.accounts import AccountRow
from models.activities import ActivityRow, ParticipationRow
from models.columns import Record
from models.link_queries import CALENDAR, ON_ITS_WAY, accounts_with, in_utc, refused, standing
from models.links import LinkRow, SentRow
from models.syncing import ChannelRow

_ELSEWHERE = "left out", "This calendar does not show it, or its own sync has not seen it yet."


def explain_activity(session: Session, activity: ActivityRow, *, account: str = "", viewer: str = "") -> list[Record]:
    """Per account of the workspace with a calendar channel: whether an activity is in step with it, and why (not), with
    the last deed as the user of the id `viewer` may see it."""
    found = []
    for one, channel in accounts_with(session, activity.workspace_id, CALENDAR, account):
        link = session.get(LinkRow, (one.id, CALENDAR, activity.id))
        told = _standing(session, activity, one, channel, link)
        found.append(standing(session, one, activity.id, link, told, viewer=viewer))
    return found


def _standing(
    session: Session, activity: ActivityRow, account: AccountRow, channel: ChannelRow, link: LinkRow | None
) -> tuple[str, str]:
    """In a word, and in a sentence."""
    linked = link is not None and link.active
    if activity.main_account not in ("", account.id):
        return _as_guest(session, activity, link) if link is not None and linked else _ELSEWHERE
    if not activity.main_account and activity.owner_id != account.user_id:
        return _ELSEWHERE
    settings = CalendarSettings.read(channel.settings)
    if link is not None and mark_in(link.remote_id) not in {mark_of(one.id) for one in settings.calendars}:
        return "left out", "It is in a calendar that is not followed any more; both stay as they are."
    if out := _left_out(activity, settings.since):
        return "left out", out
    if no := refused(session, account.id, CALENDAR, activity.id):
        return "set aside", no
    if session.get(SentRow, (account.id, CALENDAR, activity.id)) is not None:
        return ON_ITS_WAY
    if link is None or not linked:
        if activity.stand_in:
            return "left out", "Somebody else organizes it, and it left this calendar."
        return "due", "It is to be shown in the calendar; the next run puts it there."
    if link.local_version != str(activity.version):
        return "due", "It was changed in the CRM; the next run takes that to the provider."
    if link.extra.get("writable") is False:
        return "in step", "It is organized elsewhere: only the own answer and reminders are written to this calendar."
    return "in step", "It is in this calendar, which decides its text."


def _as_guest(session: Session, activity: ActivityRow, link: LinkRow) -> tuple[str, str]:
    if no := refused(session, link.account_id, CALENDAR, activity.id):
        return "set aside", no
    own = session.get(ParticipationRow, (activity.id, link.account_id))
    if link.local_version != guest_version(own.version if own else 0):
        return "due", "The own answer or reminders were changed in the CRM; the next run takes them to this calendar."
    main = session.get(AccountRow, activity.main_account)
    where = main.address if main else "an account that was removed"
    return "in step", f"This calendar shows it too; {where} decides its text."


def _left_out(activity: ActivityRow, since: date | None) -> str:
    """Why an activity takes no part, "" if it does."""
    if activity.deleted_at is not None:
        return f"It was deleted in the CRM on {in_utc(activity.deleted_at)}."
    if activity.cancelled_at is not None:
        return f"It was cancelled on {in_utc(activity.cancelled_at)}."
    if not activity.show_in_calendar:
        return "It is not to be shown in a calendar."
    if since and activity.ends_at is not None and activity.ends_at < day_begins(since):
        return f"It ends before {since}, from which day on the calendar is synced."
    return ""
