"""Decides what of an event's changes can be taken back: only what still is as it was written, may be changed by the
account, and makes sense again. Nobody else's answer is ever restored. Pure; storing is `sync.undo_activities`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.actions import LATER
from core.event import RESPONSES, Attendee, Event, attendee_key, canonical, from_json, problem_of, to_json
from core.event_parts import answered, entry_of

NOT_OURS = "it is organized elsewhere: only the own answer and reminders can be changed"
GIVEN = "only the provider sets it"
THEIRS = "everybody answers for themselves"
ASKED = "an answer cannot be made not to have been given"
NONSENSE = "the event would make no sense with it"

_IDENTITY = ("uid", "original", "organizer", "conference")
_NO_ANSWER = RESPONSES[0]


@dataclass(slots=True)
class Restored:
    """The event with what could be taken back, and why the other fields stay."""

    event: Event
    kept: dict[str, str] = field(default_factory=dict)

    def changes(self, before: Event) -> dict[str, list[Any]]:
        """What differs from the event as it was, as the history has it."""
        old, new = to_json(before), to_json(self.event)
        names = sorted(old.keys() | new.keys())
        return {name: [old.get(name), new.get(name)] for name in names if old.get(name) != new.get(name)}


def taken_back(event: Event, changes: Mapping[str, list[Any]], *, own: str, writable: bool) -> Restored:
    """An event with fields as they were before `changes` ([before, after] by field, as `to_json` has them).

    `own` is the address under which the account takes part, "" for none; `writable` whether the text may be changed,
    or only what is personal.
    """
    done = Restored(event)
    for name, (before, after) in changes.items():
        if name == "attendees":
            _take_back_guests(done, _people(before), _people(after), own, writable=writable)
        elif name in _IDENTITY:
            done.kept[name] = GIVEN
        elif name != "reminders" and not writable:
            done.kept[name] = NOT_OURS
        elif to_json(event).get(name) != after:
            done.kept[name] = LATER
        else:
            done.event = _with(done.event, name, before)
    if writable and done.event != event and done.event.status != "cancelled" and problem_of(done.event):
        return Restored(event, dict.fromkeys(changes, NONSENSE))
    return done


def _with(event: Event, name: str, value: Any) -> Event:
    values = {**to_json(event), name: value}
    return canonical(from_json({one: value for one, value in values.items() if value is not None}))


def _people(stored: Any) -> tuple[Attendee, ...]:
    return from_json({"attendees": stored or ()}).attendees


def _take_back_guests(
    done: Restored, before: tuple[Attendee, ...], after: tuple[Attendee, ...], own: str, *, writable: bool
) -> None:
    """Who is invited, and the own answer; answers of others stay as they are now."""
    was, wrote = _invited(before), _invited(after)
    reasons = list(_answer_back(done, before, after, own))
    if was != wrote and not writable:
        reasons.append(NOT_OURS)
    elif was != wrote and _invited(done.event.attendees) != wrote:
        reasons.append(LATER)
    elif was != wrote:
        now = {attendee_key(one): one.response for one in done.event.attendees}
        people = tuple(replace(one, response=now.get(attendee_key(one), _NO_ANSWER)) for one in before)
        done.event = canonical(replace(done.event, attendees=people))
    elif not reasons and done.event.attendees == after:
        reasons.append(THEIRS)
    if reasons:
        done.kept["attendees"] = reasons[0]


def _answer_back(done: Restored, before: tuple[Attendee, ...], after: tuple[Attendee, ...], own: str) -> Iterator[str]:
    was, wrote = (entry_of(Event(attendees=people), own) for people in (before, after))
    now = entry_of(done.event, own)
    if was is None or wrote is None or was.response == wrote.response:
        return
    if now is None or now.response != wrote.response:
        yield LATER
    elif was.response == _NO_ANSWER:
        yield ASKED
    else:
        done.event = answered(done.event, own, was.response)


def _invited(people: tuple[Attendee, ...]) -> dict[str, Attendee]:
    """Who is invited, whatever they answered."""
    return {attendee_key(one): replace(one, response=_NO_ANSWER) for one in people}
