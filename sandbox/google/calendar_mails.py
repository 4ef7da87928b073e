"""PRETENDS the letters Google sends to guests and organizers: nobody gets one, they are only written down.
Who asked for them is told by the caller; a sync that never asks leaves the log empty."""

from __future__ import annotations

from sandbox.google.calendar_input import changed
from sandbox.google.calendar_meetings import guest_entry, guests
from sandbox.google.calendar_records import Copy, Mail, MailKind, Notify
from sandbox.google.calendar_store import World


def tell(world: World, before: Copy | None, after: Copy, notify: Notify, actor: str, cause: str) -> None:
    """Write down who is told of a change: guests what the organizer did, the organizer what a guest answered."""
    if notify == "none" or after.alone:
        return
    letters = _to_guests(before, after) if after.organized_here else _to_organizer(before, after)
    for email, kind in letters.items():
        here = world.store.users.find(email) is not None
        if email not in (actor, after.calendar) and not (notify == "externalOnly" and here):
            summary = str(after.shared.get("summary", ""))
            world.mails.append(Mail(email, kind, after.id, after.calendar, summary, cause))


def _to_guests(before: Copy | None, after: Copy) -> dict[str, MailKind]:
    old = set() if before is None or before.cancelled else set(guests(before))
    new = set() if after.cancelled else set(guests(after))
    letters: dict[str, MailKind] = dict.fromkeys(sorted(new - old), "invitation")
    letters |= dict.fromkeys(sorted(old - new), "cancellation")
    if before is not None and (changed(before.shared, after.shared) or before.calendar != after.calendar):
        letters |= dict.fromkeys(sorted(old & new), "update")
    return letters


def _to_organizer(before: Copy | None, after: Copy) -> dict[str, MailKind]:
    if before is None:
        return {}
    joined = set(guests(after)) - set(guests(before))
    letters: dict[str, MailKind] = dict.fromkeys(sorted(joined), "invitation")
    old, new = guest_entry(before, after.calendar), guest_entry(after, after.calendar)
    if old != new:
        letters[after.organizer] = "response"
    return letters
