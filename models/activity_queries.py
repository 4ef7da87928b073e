"""Finds activities: in a window of time, by text, one by its name; series laid out as occurrences on request.
Every query is scoped by workspace. What is shown of an activity to whom is `models.activity_records`."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import ColumnElement, Select, Text, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from core.errors import BadInput, Conflict, NotFound
from core.event import Event, from_json
from core.occurrences import Expansion, Window, instant, occurrences
from models.activities import ActivityRow
from models.activity_records import activity_records
from models.columns import Record
from models.db import BATCH, parts

LONGEST_AGENDA = timedelta(days=800)
_SHOWN = 5  # how many candidates an error names
_ID_PREFIX = re.compile(r"[0-9a-f]{4,31}")
_AFTER_HEX = "g"  # sorts behind every digit of an id, in every collation
_PLAIN_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # stands in JSON as it is


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which activities, as the user of the id `viewer` may see them ("" nobody in particular).

    `owner` is the id of a user. All words of `search` must occur in title, place, description or participants; hidden
    text never matches. `cancelled` and `deleted` ask for those instead of the living ones.
    """

    viewer: str = ""
    window: Window | None = None
    owner: str = ""
    search: str = ""
    cancelled: bool = False
    deleted: bool = False


def list_activities(
    session: Session, workspace: str, wanted: Wanted, *, limit: int = 50, after: str = ""
) -> list[Record]:
    """Activities by start; a series is one, if any of its occurrences lies in the window. `after` is the id of the last
    one of the page before. `problem` says why a series could not be laid out. Raises NotFound for an unknown `after`.
    """
    last = _place_of(session, workspace, after) if after else None
    return [record for record, _ in islice(_matching(session, workspace, wanted, last), limit)]


def iterate_activities(session: Session, workspace: str, wanted: Wanted) -> Iterator[tuple[Record, Expansion]]:
    """As `list_activities`, all of them, each with what of it lies in the window if there is one."""
    return _matching(session, workspace, wanted, None)


def agenda(session: Session, workspace: str, wanted: Wanted, window: Window, *, limit: int = 50) -> list[Record]:
    """What takes place in a window, occurrence by occurrence, by start. What cannot be laid out comes as the series
    with a `problem`. Raises BadInput for a window without end."""
    if window.end - window.start > LONGEST_AGENDA:
        raise BadInput(
            f"more than {LONGEST_AGENDA.days} days cannot be laid out at once", advice="Ask for a shorter time."
        )
    found = _matching(session, workspace, replace(wanted, window=window), None)
    single = (one for record, expansion in found for one in _laid_out(record, expansion))
    return heapq.nsmallest(limit, single, key=lambda record: (record["starts_at"], record["id"]))


def _laid_out(record: Record, expansion: Expansion) -> Iterator[Record]:
    if not expansion.occurrences:
        yield record
    for one in expansion.occurrences:
        times = {"start": one.start, "end": one.end, "starts_at": instant(one.start)}
        # Where a moved occurrence stood is no business of those who see "busy".
        yield record | times | {"original": record["original"] or ("" if record["busy"] else one.original)}


def _matching(
    session: Session, workspace: str, wanted: Wanted, last: tuple[datetime, str] | None
) -> Iterator[tuple[Record, Expansion]]:
    while True:
        query = _chosen(workspace, wanted).order_by(ActivityRow.starts_at, ActivityRow.id).limit(BATCH)
        rows = session.scalars(query.where(_later(*last)) if last else query).all()
        placed = _in_window(session, workspace, wanted, rows)
        records = activity_records(session, [row for row, _ in placed], wanted.viewer)
        for (_, expansion), record in zip(placed, records, strict=True):
            if _has_words(record, wanted.search):
                yield record | {"problem": expansion.problem}, expansion
        if len(rows) < BATCH:
            return
        last = (rows[-1].starts_at, rows[-1].id)
        session.expunge_all()  # a big calendar is not held in memory


def _chosen(workspace: str, wanted: Wanted) -> Select[ActivityRow]:
    query = select(ActivityRow).where(ActivityRow.workspace_id == workspace)
    if wanted.deleted:
        query = query.where(ActivityRow.deleted_at.is_not(None))
    else:
        query = query.where(ActivityRow.deleted_at.is_(None))
        if wanted.cancelled:  # an occurrence says it in its text
            query = query.where(or_(ActivityRow.cancelled_at.is_not(None), ActivityRow.original != ""))
        else:
            query = query.where(ActivityRow.cancelled_at.is_(None))
    if wanted.owner:
        query = query.where(ActivityRow.owner_id == wanted.owner)
    if wanted.window:
        ended = ActivityRow.ends_at < wanted.window.start
        query = query.where(ActivityRow.starts_at < wanted.window.end, or_(ActivityRow.ends_at.is_(None), ~ended))
    for word in wanted.search.split():
        if _PLAIN_WORD.fullmatch(word):  # a first sieve; `_has_words` decides
            text = func.lower(cast(ActivityRow.body, Text))
            query = query.where(text.contains(word.lower(), autoescape=True))
    return query


def _later(starts_at: datetime, activity_id: str) -> ColumnElement[bool]:
    same = and_(ActivityRow.starts_at == starts_at, ActivityRow.id > activity_id)
    return or_(ActivityRow.starts_at > starts_at, same)


def _place_of(session: Session, workspace: str, activity_id: str) -> tuple[datetime, str]:
    query = select(ActivityRow.starts_at).where(ActivityRow.workspace_id == workspace, ActivityRow.id == activity_id)
    starts_at = session.scalar(query)
    if starts_at is None:
        raise NotFound(
            f"no activity {activity_id!r} to go on after", advice="Give the full id of the last one you saw."
        )
    return starts_at, activity_id


def _in_window(
    session: Session, workspace: str, wanted: Wanted, rows: Sequence[ActivityRow]
) -> list[tuple[ActivityRow, Expansion]]:
    """The rows that are wanted for what their text says, with what of them lies in the window."""
    placed: list[tuple[ActivityRow, Expansion]] = []
    series = [row for row in rows if wanted.window and row.ends_at is None]
    replaced = replaced_starts(session, workspace, [row.uid for row in series])
    gone = _ended_series(session, workspace, [row.uid for row in rows if row.original])
    for row in rows:
        body = from_json(row.body)
        cancelled = _is_cancelled(row, body) or (bool(row.original) and row.uid in gone)
        if not wanted.deleted and cancelled != wanted.cancelled:
            continue
        expansion = Expansion(())
        if wanted.window:
            expansion = occurrences(body, wanted.window, replaced.get(row.uid, set()) if body.recurrence else ())
            if not expansion.occurrences and not expansion.problem:
                continue
        placed.append((row, expansion))
    return placed


def _is_cancelled(row: ActivityRow, body: Event) -> bool:
    return row.cancelled_at is not None or body.status == "cancelled"


def _ended_series(session: Session, workspace: str, uids: Sequence[str]) -> set[str]:
    """Which of these series are cancelled or deleted: then their occurrences are, changed ones too."""
    ended: set[str] = set()
    living: set[str] = set()
    for some in parts(sorted({uid for uid in uids if uid})):
        query = select(ActivityRow.uid, ActivityRow.cancelled_at, ActivityRow.deleted_at).where(
            ActivityRow.workspace_id == workspace, ActivityRow.uid.in_(some), ActivityRow.original == ""
        )
        for uid, cancelled_at, deleted_at in session.execute(query):
            (ended if cancelled_at or deleted_at else living).add(uid)
    return ended - living


def replaced_starts(session: Session, workspace: str, uids: Sequence[str]) -> dict[str, set[str]]:
    """By uid of a series, the original starts that have a record of their own: a deleted one took its place too."""
    found: dict[str, set[str]] = {}
    for some in parts(sorted({uid for uid in uids if uid})):
        query = select(ActivityRow.uid, ActivityRow.original).where(
            ActivityRow.workspace_id == workspace, ActivityRow.uid.in_(some), ActivityRow.original != ""
        )
        for uid, original in session.execute(query):
            found.setdefault(uid, set()).add(original)
    return found


def _has_words(record: Record, search: str) -> bool:
    words = search.lower().split()
    if not words:
        return True
    if record["busy"]:
        return False
    people = [text for one in record["participants"] for text in (one["email"], one["name"])]
    texts = [record["title"], record["location"], record["description"], record["organizer"], *people]
    whole = "\n".join(texts).lower()
    return all(word in whole for word in words)


# ---- one activity ----------------------------------------------------------------------------------------


def find_activity(session: Session, workspace: str, text: str) -> ActivityRow:
    """The activity with this id, external id or beginning of an id (4 digits or more), whatever its state.

    Raises NotFound, or Conflict naming the candidates: by their times, for a title may be private.
    """
    text = text.strip()
    own = select(ActivityRow).where(ActivityRow.workspace_id == workspace)
    exact = session.scalar(own.where(ActivityRow.id == text)) or session.scalar(
        own.where(ActivityRow.external_id == text)
    )
    if exact is not None:
        return exact
    rows: Sequence[ActivityRow] = ()
    if _ID_PREFIX.fullmatch(text):
        between = and_(ActivityRow.id >= text, ActivityRow.id < text + _AFTER_HEX)
        rows = session.scalars(own.where(between).order_by(ActivityRow.id).limit(_SHOWN + 1)).all()
    if not rows:
        raise NotFound(f"no activity {text[:100]!r} in this workspace", advice="`twinbox activities list` shows all.")
    if len(rows) > 1:
        names = ", ".join(f"{row.id[:12]} ({row.starts_at:%Y-%m-%d %H:%M})" for row in rows[:_SHOWN])
        raise Conflict(
            f"{text[:100]!r} fits several activities: {names}", advice="Write more of the id, or the external id."
        )
    return rows[0]


def activity_record(session: Session, row: ActivityRow, viewer: str) -> Record:
    """Everything about one activity, as the user of that id may see it."""
    return activity_records(session, [row], viewer)[0]


def overrides_of(session: Session, row: ActivityRow, viewer: str) -> list[Record]:
    """The records of occurrences that differ from their series, by original start; of a hidden series none."""
    if not row.uid or row.original or activity_record(session, row, viewer)["busy"]:
        return []
    query = select(ActivityRow).where(
        ActivityRow.workspace_id == row.workspace_id, ActivityRow.uid == row.uid, ActivityRow.original != ""
    )
    rows = session.scalars(query.order_by(ActivityRow.original, ActivityRow.id).limit(BATCH)).all()
    return activity_records(session, rows, viewer)


def series_clocks(session: Session, workspace: str, uids: Sequence[str]) -> dict[str, str]:
    """By uid of a living series, the zone whose clock it keeps ("" for one of days)."""
    found: dict[str, str] = {}
    for some in parts(sorted({uid for uid in uids if uid})):
        query = select(ActivityRow.uid, ActivityRow.body).where(
            ActivityRow.workspace_id == workspace,
            ActivityRow.uid.in_(some),
            ActivityRow.original == "",
            ActivityRow.deleted_at.is_(None),
            ActivityRow.cancelled_at.is_(None),
        )
        found.update((uid, from_json(body).start.zone) for uid, body in session.execute(query))
    return found
