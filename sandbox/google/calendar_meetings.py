"""PRETENDS how one meeting lives on many calendars: guests' copies follow the organizer's, answers go back to it.
Whether a change is allowed is decided by `calendar_writes` (calls) and `calendar_book` (the hand)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sandbox.google.api_wire import Json
from sandbox.google.calendar_input import Draft, changed
from sandbox.google.calendar_records import Copy, Origin
from sandbox.google.calendar_series import occurs
from sandbox.google.calendar_store import Agenda, World, occurrence

MANY = 200  # beyond that many guests answers are not propagated (discovery document)
_RESCHEDULED = frozenset({"start", "end", "recurrence"})
_REKEYED = frozenset({"start", "recurrence"})


def create(
    world: World,
    agenda: Agenda,
    draft: Draft,
    origin: Origin,
    *,
    creator: str,
    ident: str = "",
    uid: str = "",
    organizer: str = "",
    alone: bool = False,
) -> Copy:
    """A new event; its guests get theirs."""
    now = world.now()
    ident = ident or world.draw(26)
    copy = Copy(
        calendar=agenda.id,
        id=ident,
        number=0,
        meeting=f"{agenda.id} {ident}",
        uid=uid or f"{ident}@google.com",
        organizer=organizer or agenda.id,
        creator=creator,
        shared=draft.shared,
        own=draft.own,
        status=draft.status,
        created=now,
        updated=now,
        alone=alone or bool(draft.shared.get("privateCopy")),
    )
    made = world.put(copy, origin)
    spread(world, made, origin)
    return made


def rewrite(world: World, copy: Copy, draft: Draft, origin: Origin) -> Copy:
    """The copy all others follow as its organizer wants it now; they follow, exceptions too."""
    fields = changed(copy.shared, draft.shared)
    moved = bool(fields & _RESCHEDULED) or draft.status != copy.status
    if not fields and draft.own == copy.own and draft.status == copy.status:
        return copy
    # Only reminders changed: `updated` stays (discovery document, Event.updated).
    touch = bool(fields) or moved or changed(copy.own, draft.own) != {"reminders"}
    made = world.put(
        copy,
        origin,
        touch=touch,
        shared=draft.shared,
        own=draft.own,
        status=draft.status,
        sequence=copy.sequence + moved,
        removed=False,
    )
    carry(world, world.agendas[copy.calendar], copy, made, origin)
    if touch:
        spread(world, made, origin)
    return made


def carry(world: World, agenda: Agenda, old: Copy, new: Copy, origin: Origin) -> None:
    """Let the exceptions of a series follow it: what was as in the series still is, what the rule lost is gone."""
    if not old.is_series:
        return
    fields = changed(old.shared, new.shared)
    for one in world.exceptions(agenda, old):
        assert one.original is not None
        if new.cancelled or not new.is_series:
            lost = True
        elif fields & _REKEYED or old.cancelled:
            lost = not occurs(new.shared, one.original)
        else:
            lost = one.orphan
        shared = one.shared if lost else _inherited(one, old, new, fields - {"recurrence"})
        if lost != one.orphan or (shared != one.shared and not one.cancelled):
            world.put(one, origin, shared=shared, orphan=lost)
        elif shared != one.shared:
            world.remember(one, shared)


def _inherited(one: Copy, old: Copy, new: Copy, fields: set[str]) -> Json:
    before, after = occurrence(old, one.key).shared, occurrence(new, one.key).shared
    shared = dict(one.shared)
    for name in fields:
        if shared.get(name) == before.get(name):
            shared.pop(name, None)
            if name in after:
                shared[name] = after[name]
    return shared


def spread(world: World, copy: Copy, origin: Origin) -> None:
    """Let other calendars follow an organizer's copy, and its exceptions, when their time has come."""
    if copy.alone or not copy.organized_here:
        return

    def follow() -> None:
        agenda = world.agendas[copy.calendar]
        now = agenda.events.get(copy.id)
        # Moved to another calendar in between: that one's copy is followed.
        if now is not None and now.organized_here:
            for one in (now, *world.exceptions(agenda, now)):
                _reconcile(world, one, origin)

    world.later(world.knobs.fan_out_lag, follow)


def _reconcile(world: World, copy: Copy, origin: Origin) -> None:
    invited = set() if copy.cancelled else set(guests(copy))
    audience = invited | {one.id for one in world.holders(copy)}
    master = world.agendas[copy.calendar].events.get(copy.master) if copy.master else None
    if master is not None and not master.cancelled:
        # Who is in the series but not in this occurrence must hear that it is not for them.
        audience |= set(guests(master))
    for email in sorted(audience):
        agenda = world.guest_agenda(email)
        if agenda is not None and agenda.id != copy.calendar:
            _bring(world, agenda, copy, origin, invited=email in invited)


def _bring(world: World, agenda: Agenda, copy: Copy, origin: Origin, *, invited: bool) -> None:
    known = world.sibling(agenda, copy)
    if known is not None and known.removed:
        return
    status = copy.status if invited else "cancelled"
    if known is None:
        ident = _free_id(world, agenda, copy)
        base = replace(
            copy,
            calendar=agenda.id,
            id=ident,
            own={},
            status=status,
            visible_from=None,
            master=_master_id(agenda, copy),
        )
        world.put(base, origin, created=world.now() if not copy.master else copy.created)
        return
    same = known.shared == copy.shared and known.status == status and known.organizer == copy.organizer
    if same and known.orphan == copy.orphan:
        return
    if known.cancelled and known.orphan == copy.orphan and status == "cancelled":
        world.remember(known, copy.shared)
        return
    made = world.put(
        known,
        origin,
        shared=copy.shared,
        status=status,
        sequence=copy.sequence,
        organizer=copy.organizer,
        orphan=copy.orphan,
    )
    carry(world, agenda, known, made, origin)


def _master_id(agenda: Agenda, copy: Copy) -> str:
    return agenda.meetings.get((copy.meeting, ""), copy.master) if copy.master else ""


def _free_id(world: World, agenda: Agenda, copy: Copy) -> str:
    if copy.master:
        return f"{_master_id(agenda, copy)}_{copy.key}"
    return copy.id if copy.id not in agenda.events else world.draw(26)


def guests(copy: Copy) -> Iterable[str]:
    """The addresses invited, rooms left out."""
    return [one["email"] for one in copy.shared.get("attendees", ()) if not one.get("resource")]


def guest_entry(copy: Copy, email: str) -> Json | None:
    """How an address is listed among the guests."""
    return next((one for one in copy.shared.get("attendees", ()) if one["email"] == email), None)


# -- what a guest does


def leading(world: World, copy: Copy) -> Copy | None:
    """The organizer's copy of what a guest holds, made up for an occurrence without a record; None if not here."""
    agenda = world.agendas.get(copy.organizer)
    if agenda is None or copy.alone:
        return None
    known = world.sibling(agenda, copy)
    if known is None and copy.key:
        ident = agenda.meetings.get((copy.meeting, ""))
        return None if ident is None else world.find(agenda, f"{ident}_{copy.key}")
    return known


def keep_own(world: World, copy: Copy, own: Json, origin: Origin) -> Copy:
    """A guest's own things, on their copy only."""
    if own == copy.own:
        return copy
    return world.put(copy, origin, touch=changed(copy.own, own) != {"reminders"}, own=own)


def change_guests(world: World, copy: Copy, attendees: list[Json], origin: Origin) -> Copy:
    """A guest's answer, or guests a guest invited: told to the organizer's copy, from where all learn of it."""
    shared = {**copy.shared, "attendees": attendees}
    if shared == copy.shared:
        return copy
    lead = leading(world, copy)
    made = world.put(copy, origin, shared=shared)
    carry(world, world.agendas[copy.calendar], copy, made, origin)
    if lead is None or len(attendees) > MANY:
        return made
    led = world.put(lead, origin, shared={**lead.shared, "attendees": attendees})
    carry(world, world.agendas[lead.calendar], lead, led, origin)
    spread(world, led, origin)
    return world.agendas[copy.calendar].events[made.id]


def answered(copy: Copy, email: str, **answer: object) -> list[Json]:
    """The guest list with one guest's answer."""
    return [{**one, **answer} if one["email"] == email else one for one in copy.shared.get("attendees", [])]


# -- the end


def cancel(world: World, copy: Copy, origin: Origin) -> Copy:
    """The organizer's deletion: cancelled everywhere."""
    made = world.put(copy, origin, status="cancelled", sequence=copy.sequence + 1)
    carry(world, world.agendas[copy.calendar], copy, made, origin)
    spread(world, made, origin)
    return made


def leave(world: World, copy: Copy, origin: Origin) -> Copy:
    """A guest's deletion: off the own calendar only, and a decline for all others."""
    agenda = world.agendas[copy.calendar]
    if not copy.alone and guest_entry(copy, agenda.id) is not None:
        copy = change_guests(world, copy, answered(copy, agenda.id, responseStatus="declined"), origin)
    made = world.put(copy, origin, status="cancelled", removed=True)
    carry(world, agenda, copy, made, origin)
    return made


def come_back(world: World, copy: Copy, origin: Origin) -> Copy:
    """A guest puts back what they took off: as the organizer has it now."""
    lead = leading(world, copy)
    shared, status = (copy.shared, "confirmed") if lead is None else (lead.shared, lead.status)
    made = world.put(copy, origin, shared=shared, status=status, removed=False)
    carry(world, world.agendas[copy.calendar], copy, made, origin)
    return made


def move(world: World, copy: Copy, target: Agenda, origin: Origin) -> Copy:
    """Another calendar organizes from now on: there under the same id, cancelled here (google.md, C.3)."""
    source = world.agendas[copy.calendar]
    exceptions = world.exceptions(source, copy)
    own = copy.own
    held = world.sibling(target, copy)
    ident = held.id if held is not None else _free_id(world, target, copy)
    made = world.put(replace(copy, calendar=target.id, id=ident, organizer=target.id, own=own), origin)
    for one in exceptions:
        moved = replace(one, calendar=target.id, id=f"{ident}_{one.key}", master=ident, organizer=target.id)
        world.put(moved, origin)
    for one in (copy, *exceptions):
        guest = source.id in guests(one)
        status = one.status if guest else "cancelled"
        world.put(one, origin, organizer=target.id, status=status, orphan=one.orphan or bool(one.master and not guest))
    spread(world, made, origin)
    return made
