"""Makes events under ids of our choice, so that a creation nobody heard of can be sent again; and occurrences that
differ from their series. Events that exist are left to `calendar_writing`."""

from __future__ import annotations

from core.errors import Conflict, ItemRejected, NoSeries, RecordGone, Transient, TwinboxError, VersionConflict
from core.event import Event
from core.replica import Done, Failed, Item, Write
from providers.google.calendar_desk import Desk
from providers.google.errors import Json, Refusal
from providers.google.event_edits import new_event, patch_for
from providers.google.event_items import GENERATIONS, event_id, is_gone, mark_of
from providers.google.event_mapping import ORIGIN_KEY, origin_mark, private_properties
from providers.google.event_times import instance_stamp

Outcome = Done[Event] | Failed

_ROUNDS = 3


def create(desk: Desk, write: Write[Event]) -> Outcome:
    """The outcome of making an event, a series or an occurrence."""
    event = write.body or Event()
    try:
        item = _occurrence(desk, write, event) if event.original else _made(desk, write, event)
    except ItemRejected as refused:
        return Failed(write.key, refused)
    if isinstance(item, Item) and event.recurrence:
        desk.series.renamed(event.uid, item.id)
    return Done(write.key, item) if isinstance(item, Item) else Failed(write.key, item)


def _made(desk: Desk, write: Write[Event], event: Event) -> Item[Event] | TwinboxError:
    if not desk.writable:
        return ItemRejected("the calendar can only be read", advice="Choose a calendar whose events you may change.")
    body = new_event(event)
    if not write.origin:
        return _read(desk, desk.insert(body))
    body["extendedProperties"] = {"private": {ORIGIN_KEY: mark_of(write.origin, "")}}
    for generation in range(GENERATIONS):
        one = event_id(write.origin, generation)
        answer = desk.insert({**body, "id": one})
        if not isinstance(answer, Refusal) or not isinstance(answer.error(), Conflict):
            return _read(desk, answer)
        # Either our earlier creation, of which no answer came, or one that was deleted: its id is used up for good.
        there = desk.get(one)
        if there is not None and not is_gone(there) and origin_mark(there) in ("", write.origin):
            return _read(desk, there)
    return ItemRejected("the event was made and deleted at Google too often", advice="Copy the activity and use that.")


def _read(desk: Desk, answer: Json | Refusal) -> Item[Event] | TwinboxError:
    if isinstance(answer, Refusal):
        error = answer.error()
        # There is no event yet that could be gone: it is the calendar that is not found.
        return Transient("Google does not find the calendar") if isinstance(error, RecordGone) else error
    item = desk.read(answer)
    if item is None or not item.id:
        raise Transient("Google did not say which event it made")
    return item


def _occurrence(desk: Desk, write: Write[Event], event: Event) -> Item[Event] | TwinboxError:
    """One occurrence is made different by changing it: every series has them all, under ids that tell their start."""
    series = desk.series.id_of(event.uid)
    if not series:
        return NoSeries("the series of this occurrence is not in the calendar")
    for _ in range(_ROUNDS):
        raw = desk.get(f"{series}_{instance_stamp(event.original)}")
        item = desk.read(raw) if raw is not None else None
        if raw is None or item is None:
            return ItemRejected("the series has no occurrence at that time at Google")
        if item.body.status == "cancelled" != event.status and is_gone(desk.get(series) or {"status": "cancelled"}):
            return ItemRejected("the series of this occurrence was deleted at Google")
        patch = patch_for(item.extra, event)
        if not patch:
            return item  # as after a change of which no answer came
        if write.origin:
            marked = {**private_properties(raw), ORIGIN_KEY: mark_of(write.origin, event.original)}
            patch["extendedProperties"] = {"private": marked}
        answer = desk.patch(item.id, item.stamp.version, patch)
        if not isinstance(answer, Refusal):
            return desk.read(answer) or ItemRejected("the series of this occurrence was deleted at Google")
        error = answer.error()
        if not isinstance(error, VersionConflict):
            return error
    return Transient("the occurrence kept changing at Google while it was written")
