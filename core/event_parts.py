"""What of an event is one person's own, whoever organizes it: their answer and their reminders. Everything else is the
organizer's. Whether a text may be changed at all is told by the provider; merging is `core.merge`."""

from __future__ import annotations

from dataclasses import replace

from core.addresses import address_key
from core.event import Attendee, Event, attendee_key

GUEST = "guest"  # versions of own parts begin with this, so that none is taken for one of a whole text


def guest_version(version: int) -> str:
    """The version of an own part, 0 for one that is not stored, as a stamp has it."""
    return f"{GUEST}{version}"


def next_version(stamp: str) -> int:
    """The version of an own part that follows the one of a stamp."""
    return int(stamp.removeprefix(GUEST)) + 1


def entry_of(event: Event, address: str) -> Attendee | None:
    """How an address is listed among the guests; None if it is not."""
    key = address_key(address)
    return next((one for one in event.attendees if attendee_key(one) == key), None) if key else None


def own_part(event: Event, address: str) -> Event:
    """Which meeting it is, with the answer of that address and the reminders of this copy: nothing else of it."""
    entry = entry_of(event, address)
    mine = () if entry is None else (Attendee(entry.email, response=entry.response),)
    return Event(uid=event.uid, original=event.original, attendees=mine, reminders=event.reminders)


def with_own_part(event: Event, own: Event, address: str) -> Event:
    """An event with the answer of that address, if both list it, and the reminders of another text of it."""
    entry = entry_of(own, address)
    if entry is not None:
        event = answered(event, address, entry.response)
    return replace(event, reminders=own.reminders)


def answered(event: Event, address: str, response: str) -> Event:
    """An event with the answer of one guest changed; the same event if that address is not invited."""
    key = address_key(address)
    people = tuple(
        replace(one, response=response) if key and attendee_key(one) == key else one for one in event.attendees
    )
    return replace(event, attendees=people)


def without_answers(event: Event) -> Event:
    """The text without what each person decides alone."""
    return replace(
        event, attendees=tuple(replace(one, response="needsAction") for one in event.attendees), reminders=None
    )
