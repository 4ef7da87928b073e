"""Carries out the writes of one call, one event after the other: texts, events that come and go, then new ones.
What is sent for a text is `event_edits`; new events are `calendar_creating`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.errors import ItemRejected, RecordGone, TwinboxError, VersionConflict
from core.event import Event
from core.replica import Done, Failed, Item, Write
from providers.google.calendar_creating import Outcome, create
from providers.google.calendar_desk import Desk, changed, gone
from providers.google.errors import Refusal
from providers.google.event_edits import patch_for
from providers.google.event_items import UNTOUCHABLE, is_gone, read_item, read_only
from providers.google.event_mapping import as_object


def outcomes(desk: Desk, writes: Sequence[Write[Event]]) -> Iterator[Outcome]:
    """One outcome for each write; see `GoogleCalendar.write`. A series is made before the occurrences that differ, and
    deleted before them: an occurrence deleted alone would stay behind as a cancelled one. But texts are changed after
    theirs: an answer to a whole series would be one to each occurrence that is not answered yet."""
    known = [write for write in writes if write.id]
    for write in sorted(known, key=lambda write: bool(_series_of(write)) is not (write.selected is None)):
        result = _left(desk, write) if write.selected is False else _written(desk, write)
        yield Done(write.key, result) if isinstance(result, Item) else Failed(write.key, result)
    new = [write for write in writes if not write.id]
    for write in sorted(new, key=lambda write: bool(write.body and write.body.original)):
        yield create(desk, write)


def _written(desk: Desk, write: Write[Event]) -> Item[Event] | TwinboxError:
    item = _current(desk, write)
    if isinstance(item, TwinboxError):
        return item
    revive = is_gone(item.extra["event"])
    try:
        patch = patch_for(_as_decided(item, write), write.body) if write.body is not None else {}
    except ItemRejected as refused:
        return refused
    if revive:
        patch = {**patch, "status": patch.get("status", "confirmed")}
    if not patch:
        return item
    answer = desk.patch(item.id, item.stamp.version, patch)
    if isinstance(answer, Refusal):
        error = answer.error()
        return gone() if revive and not isinstance(error, VersionConflict) else error
    written = desk.read(answer)
    # What Google says yes to without bringing it back is gone all the same.
    return gone() if written is None or is_gone(written.extra["event"]) else written


def _as_decided(item: Item[Event], write: Write[Event]) -> Mapping[str, Any]:
    """What is known of the event, and whether no more than the own answer and reminders are to be written."""
    return {**item.extra, "own_only": True} if write.extra.get("own_only") else item.extra


def _current(desk: Desk, write: Write[Event]) -> Item[Event] | TwinboxError:
    """The event that is to be changed: as it was read, or, where that is not known or it may have been deleted, as it
    is now."""
    kept = as_object(write.extra.get("event"))
    if write.selected is None and kept.get("etag") and kept.get("etag") == write.expect:
        return read_item({**kept, "id": write.id}, desk.view)
    raw = desk.get(write.id)
    item = desk.read(raw) if raw is not None else None
    if raw is None or item is None:
        return gone()
    if is_gone(raw):
        return item if write.selected else gone()
    stale = write.body is not None and item.stamp.version != write.expect
    return changed() if stale else item


def _left(desk: Desk, write: Write[Event]) -> Item[Event] | TwinboxError:
    """Take an event out of the calendar. Its text does not matter any more and is not sent."""
    if write.extra.get("reason") in UNTOUCHABLE:
        refused = read_only(write.extra)
        assert refused is not None
        return refused
    kept = as_object(write.extra.get("event"))
    item = read_item({**kept, "id": write.id}, desk.view)
    if write.extra.get("shared") and not item.origin:
        return ItemRejected("others made it, in a calendar of others", advice="Remove it at Google.")
    if not desk.series.is_gone(_series_of(write)):
        answer = desk.delete(write.id)
        error = answer.error() if isinstance(answer, Refusal) else None
        if error is not None and not isinstance(error, RecordGone):
            return error
        if not _series_of(write):
            desk.series.learn({"id": write.id, "status": "cancelled"})
    return replace(item, selected=False)


def _series_of(write: Write[Event]) -> str:
    series = as_object(write.extra.get("event")).get("recurringEventId")
    return series if isinstance(series, str) else ""
