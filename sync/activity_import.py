"""Stores what a file of events gave: a meeting that is known is updated when the file is newer, others are added.
Reading the file is `sync.icalendar_read`, what an activity may be `sync.activity_book`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from core.contact_file import FileFault
from core.errors import BadInput
from core.event import Event, from_json
from models.accounts import UserRow
from models.activities import ActivityRow
from models.db import parts
from sync.activity_book import checked, elsewhere
from sync.activity_rows import EventText, NewActivity, insert_activities, owners, rewrite_activities, set_activities
from sync.app import App
from sync.icalendar_read import FileEvent, FileRecord

BATCH = 500
_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """`owner` is the id of the user who gets what no other user of the workspace organizes. `dry_run`: nothing is
    written."""

    owner: str
    show_in_calendar: bool = True
    dry_run: bool = False


@dataclass(slots=True)
class ImportReport:
    """What became of the events of a file; the counts add up to their number. `skipped`: what is known here is newer,
    or deleted here, or it is cancelled and was never here."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: int = 0
    rejected: list[FileFault] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """How many events were understood."""
        return self.added + self.changed + self.unchanged + self.skipped


@dataclass(slots=True)
class _Work:
    """What is to be written for a batch."""

    new: list[NewActivity] = field(default_factory=list)
    texts: list[EventText] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)


def import_activities(app: App, workspace: str, records: Iterable[FileRecord], options: ImportOptions) -> ImportReport:
    """Store the events of a file, 500 in a transaction; what was stored stays when a later batch fails. An event is
    known by its UID and the start its occurrence had (RFC 5545 3.8.4.4), our own also by its id or external id."""
    job = _Import(app, workspace, options)
    events = job.latest(records)
    for some in (events[start : start + BATCH] for start in range(0, len(events), BATCH)):
        if options.dry_run:
            with app.db.reading() as session:
                job.decide(session, some)
        else:
            with app.db.transaction() as session:
                job.write(session, job.decide(session, some))
    job.report.rejected.sort(key=lambda fault: fault.line)
    return job.report


class _Import:
    """One import and its report."""

    def __init__(self, app: App, workspace: str, options: ImportOptions) -> None:
        self.report = ImportReport()
        self._workspace, self._options, self._now = workspace, options, app.clock()

    def latest(self, records: Iterable[FileRecord]) -> list[FileEvent]:
        """The events that can be taken; of several texts of one the latest (RFC 5546 2.1.4), in the file's order."""
        found: dict[tuple[str, str], FileEvent] = {}
        for one in records:
            if isinstance(one, FileFault):
                self.report.rejected.append(one)
                continue
            try:
                one = replace(one, event=checked(one.event))
            except BadInput as error:
                self.report.rejected.append(FileFault(one.line, str(error)))
                continue
            key = (one.event.uid, one.event.original)
            known = found.setdefault(key, one)
            if known is not one:
                self.report.skipped += 1
                found[key] = max(known, one, key=lambda one: (one.sequence, one.revised or _NEVER))
        return list(found.values())

    def decide(self, session: Session, events: Sequence[FileEvent]) -> _Work:
        """What is to be done with these events."""
        work = _Work()
        known = self._known(session, [one.event.uid for one in events])
        users = owners(session, self._workspace, {one.event.organizer for one in events})
        for one in events:
            row = known.get((one.event.uid, one.event.original))
            if row is not None:
                self._join(session, work, row, one)
            elif one.cancelled:
                self.report.skipped += 1
            else:
                self.report.added += 1
                work.new.append(self._new(one, users))
        return work

    def write(self, session: Session, work: _Work) -> None:
        """Write it."""
        insert_activities(session, self._workspace, work.new, self._now)
        rewrite_activities(session, work.texts)
        set_activities(session, work.cancelled, cancelled_at=self._now)
        set_activities(session, work.restored, cancelled_at=None)

    def _known(self, session: Session, uids: Sequence[str]) -> dict[tuple[str, str], ActivityRow]:
        if not self._options.dry_run:
            # Two imports at a time would both add what neither finds.
            user = select(UserRow.id).where(UserRow.id == self._options.owner)
            session.execute(user.with_for_update(key_share=True))
        found: dict[tuple[str, str], ActivityRow] = {}
        for some in parts(sorted(set(uids))):
            named = or_(ActivityRow.uid.in_(some), ActivityRow.id.in_(some), ActivityRow.external_id.in_(some))
            query = select(ActivityRow).where(ActivityRow.workspace_id == self._workspace, named)
            query = query.order_by(ActivityRow.deleted_at.is_not(None), ActivityRow.id)
            for row in session.scalars(query if self._options.dry_run else query.with_for_update()):
                for name in (row.uid, row.id, row.external_id or ""):
                    found.setdefault((name, row.original), row)
        return found

    def _new(self, one: FileEvent, users: dict[str, str]) -> NewActivity:
        organizer = one.event.organizer
        return NewActivity(
            one.event,
            users.get(organizer, self._options.owner),
            min(one.revised or self._now, self._now),
            stand_in=bool(organizer) and organizer not in users,
            show_in_calendar=self._options.show_in_calendar,
        )

    def _join(self, session: Session, work: _Work, row: ActivityRow, one: FileEvent) -> None:
        now = from_json(row.body)
        body = _as_known(one.event, now)
        alike = body == now and one.cancelled == (row.cancelled_at is not None)
        if row.deleted_at is not None or not (alike or _is_newer(one, row)):
            self.report.skipped += 1
        elif alike:
            self.report.unchanged += 1
        elif elsewhere(session, row):
            self.report.rejected.append(FileFault(one.line, "it is organized elsewhere and read only here"))
        else:
            self.report.changed += 1
            if one.cancelled:
                work.cancelled.append(row.id)
                return
            work.restored += [row.id] if row.cancelled_at else []
            if body != now:
                at = min(one.revised or self._now, self._now)
                work.texts.append(EventText(row.id, body, row.version + 1, at))


def _as_known(body: Event, now: Event) -> Event:
    """An event that was found by our own name for it keeps its own. A file without alarms says nothing of reminders."""
    reminders = now.reminders if body.reminders is None else body.reminders
    return replace(body, uid=now.uid, organizer=body.organizer or now.organizer, reminders=reminders)


def _is_newer(one: FileEvent, row: ActivityRow) -> bool:
    if one.revised is not None:
        return one.revised > row.modified_at.replace(microsecond=0)
    return one.sequence >= row.version  # our own files count versions
