"""Takes back what runs did to activities: an edit of the CRM side, guarded by what the run left behind and by what the
account may write. What of a text can be restored is `core.event_undo`; which deeds, `sync.undo`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from core.actions import LATER, Reason
from core.event import Event, from_json
from core.event_undo import NOT_OURS, taken_back
from core.types import Channel
from models.accounts import AccountRow
from models.activities import ActivityRow
from models.activity_records import private_activities
from models.links import HistoryRow, LinkRow
from sync.activity_answers import own_address
from sync.activity_book import elsewhere
from sync.activity_rows import EventText, rewrite_activities, set_activities
from sync.activity_series import put_back
from sync.participations import OwnPart, own_parts, save_own_parts
from sync.undo_journal import Journal

TOGETHER = ("start", "end")  # one without the other may make no sense

_STANDS = "it stands in the calendar at the provider: delete it there, or by `twinbox activities delete`"
GONE = "the own copy was taken out of the calendar at the provider: it can be put back there only"
_NOTED = "it only noted what the own copy said"
_JOINING = (Reason.SAME_MEETING, Reason.DECIDED, Reason.MADE_BY_US)


class ActivityUndo:
    """`sync.undo.Side` for activities."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._session = journal, journal.session

    def take_back(self, row: HistoryRow) -> None:
        """Reverse one deed of the run."""
        if row.action == "update":
            self.restore(row, row.changes)
            return
        activity = self._activity(row)
        if activity is None:
            return
        by_us = row.side == "remote" or row.reason == Reason.UNDONE
        if row.action in ("create", "select"):
            if by_us:
                self._take_out(row, activity)
            else:
                self._skip(row, activity, "cancel", _STANDS)
        else:
            self._put_back(row, activity, by_us=by_us)

    def restore(self, row: HistoryRow, changes: dict[str, list[Any]]) -> None:
        """Give the fields of an activity, or of an account's own part of it, the values they had before, where they
        still have what the run wrote."""
        activity = self._activity(row)
        if activity is None:
            return
        if activity.deleted_at is not None or activity.cancelled_at is not None:
            self._skip(row, activity, ", ".join(changes), LATER)
        elif activity.main_account == row.account_id:
            self._restore_text(row, activity, changes)
        else:
            self._restore_own(row, activity, changes)

    def _restore_text(self, row: HistoryRow, activity: ActivityRow, changes: dict[str, list[Any]]) -> None:
        body = from_json(activity.body)
        user = self._session.get_one(AccountRow, row.account_id).user_id
        own = own_address(self._session, activity, user)
        done = taken_back(body, changes, own=own, writable=self._may_write(row, activity))
        self._tell_kept(row, activity, done.kept)
        if done.event == body:
            return
        version, at = activity.version + 1, max(self._journal.now, activity.modified_at)
        rewrite_activities(self._session, [EventText(activity.id, done.event, version, at)])
        self._session.expire(activity)
        self._journal.note(row, "update", done.changes(body), version, "restored")

    def _restore_own(self, row: HistoryRow, activity: ActivityRow, changes: dict[str, list[Any]]) -> None:
        known = own_parts(self._session, row.account_id, [activity.id]).get(activity.id)
        if row.reason in _JOINING:
            self._skip(row, activity, ", ".join(changes), _NOTED)
            return
        body = known.body if known else Event()
        own = next((one.email for one in body.attendees), "")
        done = taken_back(body, changes, own=own, writable=False)
        self._tell_kept(row, activity, done.kept)
        if done.event == body:
            return
        version, at = (known.version if known else 0) + 1, self._journal.now
        part = OwnPart(activity.id, done.event, version, max(at, known.modified_at) if known else at)
        save_own_parts(self._session, activity.workspace_id, row.account_id, [part])
        self._journal.note(row, "update", done.changes(body), 0, "restored")

    def _take_out(self, row: HistoryRow, activity: ActivityRow) -> None:
        """Take out of the calendar what a run of ours put there; the activity stays in the CRM."""
        if not self._may_write(row, activity):
            self._skip(row, activity, "take out", NOT_OURS)
        elif not _takes_part(activity) or self._touched_since(row, activity):
            self._skip(row, activity, "take out", LATER)
        else:
            set_activities(self._session, [activity.id], show_in_calendar=False)
            self._session.expire(activity)
            self._journal.note(row, "deselect", {}, activity.version, "taken out of the calendar")

    def _put_back(self, row: HistoryRow, activity: ActivityRow, *, by_us: bool) -> None:
        """Bring back what was deleted on one side and thereupon taken out on the other; it is made anew if need be."""
        deleted_since = activity.deleted_at is not None and row.reason not in (Reason.DELETED_IN_CRM, Reason.UNDONE)
        if activity.main_account != row.account_id:
            self._skip(row, activity, "put back", GONE)
        elif not by_us and not self._may_write(row, activity):
            self._skip(row, activity, "put back", NOT_OURS)
        elif _takes_part(activity) or deleted_since:
            self._skip(row, activity, "put back", LATER)
        else:
            put_back(self._session, activity.workspace_id, [activity.id])
            set_activities(self._session, [activity.id], show_in_calendar=True)
            self._session.expire(activity)
            self._journal.note(row, "select", {}, activity.version, "put back")

    # -- what there is

    def _activity(self, row: HistoryRow) -> ActivityRow | None:
        query = select(ActivityRow).where(ActivityRow.workspace_id == row.workspace_id, ActivityRow.id == row.local_id)
        activity = self._session.scalar(query.with_for_update().execution_options(populate_existing=True))
        if activity is None:
            name = "(private)" if row.private else None
            self._journal.skip(row, row.action, "the activity does not exist any more", name=name)
        return activity

    def _may_write(self, row: HistoryRow, activity: ActivityRow) -> bool:
        """Whether the account of the run decides the text, at the provider too."""
        if activity.main_account != row.account_id or elsewhere(self._session, activity):
            return False
        link = self._session.get(LinkRow, (row.account_id, Channel.CALENDAR.value, activity.id))
        return link is None or link.extra.get("writable") is not False

    def _touched_since(self, row: HistoryRow, activity: ActivityRow) -> bool:
        """Whether a later run, or somebody in the CRM, changed the activity after this deed."""
        later = select(HistoryRow.id).where(
            HistoryRow.workspace_id == row.workspace_id,
            HistoryRow.local_id == row.local_id,
            HistoryRow.account_id == row.account_id,
            HistoryRow.run_id != row.run_id,
            HistoryRow.id > row.id,
            HistoryRow.undone_at.is_(None),
        )
        if self._session.scalar(later.limit(1)) is not None:
            return True
        link = self._session.get(LinkRow, (row.account_id, Channel.CALENDAR.value, activity.id))
        return link is not None and link.local_version != str(activity.version)

    def _tell_kept(self, row: HistoryRow, activity: ActivityRow, kept: dict[str, str]) -> None:
        for name, why in kept.items():
            self._skip(row, activity, name, why)

    def _skip(self, row: HistoryRow, activity: ActivityRow, what: str, why: str) -> None:
        private = row.private or private_activities(self._session, activity.workspace_id, [activity])
        self._journal.skip(row, what, why, name="(private)" if private else activity.title)


def _takes_part(activity: ActivityRow) -> bool:
    return activity.show_in_calendar and activity.deleted_at is None and activity.cancelled_at is None
