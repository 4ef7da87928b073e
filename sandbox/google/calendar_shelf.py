"""PRETENDS a person's calendars as a whole: making and dropping them, sharing, hiding; and finding events in them.
What happens to events is left to `calendar_book`, which stands on this."""

from __future__ import annotations

from sandbox.google.calendar_records import Copy, Role, at_least
from sandbox.google.calendar_store import Agenda, World
from sandbox.google.calendar_times import zone_named


class Shelf:
    """The calendars of one person."""

    def __init__(self, world: World, home: Agenda) -> None:
        self._world = world
        self.email = home.owner

    # -- calendars, by hand

    def make_calendar(self, title: str, zone: str = "UTC") -> str:
        """A further calendar; returns its id."""
        with self._world.acting():
            if zone_named(zone) is None:
                raise ValueError(f"no such zone: {zone}")
            return self._world.new_agenda(self.email, title, zone).id

    def drop_calendar(self, calendar: str) -> None:
        """Delete a further calendar with all that is on it."""
        with self._world.acting():
            agenda = self._own(calendar)
            if agenda.primary:
                raise ValueError("the main calendar stays")
            agenda.deleted = True
            for email in (agenda.owner, *agenda.access):
                self._world.lists.put(email, agenda.id, deleted=True)

    def set_zone(self, zone: str, calendar: str = "primary") -> None:
        """The zone a calendar is kept in: where its days begin and how its times are sent."""
        with self._world.acting():
            if zone_named(zone) is None:
                raise ValueError(f"no such zone: {zone}")
            agenda = self._own(calendar)
            agenda.zone = zone
            for email in (agenda.owner, *agenda.access):
                self._world.lists.put(email, agenda.id)

    def rename_calendar(self, calendar: str, title: str) -> None:
        """Another title for a calendar."""
        with self._world.acting():
            agenda = self._own(calendar)
            agenda.summary = title
            for email in (agenda.owner, *agenda.access):
                self._world.lists.put(email, agenda.id)

    def hide_calendar(self, calendar: str, *, hidden: bool = True) -> None:
        """Take a calendar out of sight in the own list, or bring it back."""
        with self._world.acting():
            self._world.lists.put(self.email, self._agenda(calendar).id, hidden=hidden)

    def share(self, email: str, role: Role, calendar: str = "primary") -> None:
        """Give another user rights on a calendar, or other rights (`none`: take them back).

        It appears in their list. Every sync token of the calendar is good for nothing afterwards.
        """
        with self._world.acting():
            agenda = self._own(calendar)
            user = self._world.store.users[email]
            if user.email == self.email:
                raise ValueError("that is the owner")
            agenda.access[user.email] = role
            agenda.access_changes += 1
            self._world.lists.put(user.email, agenda.id, deleted=role == "none")

    def calendars(self) -> dict[str, str]:
        """The living calendars this person owns: id -> title."""
        with self._world.acting():
            return {one.id: one.summary for one in self._mine()}

    # -- finding

    def _mine(self) -> list[Agenda]:
        return [one for one in self._world.agendas.values() if one.owner == self.email and not one.deleted]

    def _own(self, calendar: str) -> Agenda:
        agenda = self._agenda(calendar)
        if agenda.owner != self.email:
            raise ValueError("that is somebody else's calendar")
        return agenda

    def _agenda(self, calendar: str) -> Agenda:
        ident = self.email if calendar == "primary" else calendar
        agenda = self._world.agendas.get(ident)
        if agenda is None or agenda.deleted or not at_least(agenda.role(self.email), "writer"):
            raise KeyError(f"no such calendar: {calendar}")
        return agenda

    def _find(self, event: str) -> Copy:
        """The event or occurrence of that id on a calendar of this person, else on one they may write to."""
        shared = [one for one in self._world.agendas.values() if at_least(one.role(self.email), "writer")]
        for agenda in (*self._mine(), *(one for one in shared if not one.deleted)):
            found = self._world.find(agenda, event)
            if found is not None:
                return found
        raise KeyError(f"no such event: {event}")

    def _series(self, copy: Copy) -> Copy:
        return copy if not copy.key else self._world.agendas[copy.calendar].events[copy.master]
