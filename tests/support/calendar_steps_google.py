"""What people do at Google in a history of calendars: as organizers, and as guests. Each step takes two numbers."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Any

from sandbox.google import CalendarBook
from tests.support.calendar_oracle import FIRST, LAST, Known
from tests.support.calendar_scene import CYD
from tests.support.calendar_telling import DAYS, GUESTS, RULES, ZONES, Telling, is_private
from tests.support.calendar_world import ANN, BOB, ELSEWHERE

HOSTS = (ANN, BOB, ANN, ELSEWHERE, ANN, CYD, BOB, ANN)


class GoogleSteps(Telling):
    """The steps of organizers and guests."""

    # ---- what people do at Google ----

    def _theirs(self, pick: int, *, living: bool = True, series: bool | None = None) -> Known | None:
        found = [one for one in self.reading.google().values() if one.living == living and not one.original]
        found = [one for one in found if series is None or bool(one.facts.get(("recurrence", ""))) == series]
        return found[pick % len(found)] if found else None

    def _book(self, one: Known) -> CalendarBook:
        return self.scene.book(one.whose)

    def put(self, a: int, b: int) -> None:
        """A person makes an event, perhaps with guests, perhaps a series, perhaps private."""
        tag, who, day = self._tag(), HOSTS[a % 8], DAYS[(a // 2 + b) % 8]
        guests = [one for one in GUESTS[b % 8] if one != who]
        fields: dict[str, Any] = {}
        if a % 3 == 1:
            fields["repeat"] = RULES[b % 4]
        title = tag
        if b % 5 == 4:
            fields["visibility"] = ("private", "confidential")[a % 2]
            self.private.add(tag)
            title = f"{tag} hush{self.made}x"
            self.hushed[f"hush{self.made}x"] = tag
        with self._told("provider"):
            if a % 4 == 2 and "repeat" not in fields:
                self.scene.book(who).create(title, day, day + timedelta(days=1 + b % 3), guests=guests, **fields)
            else:
                start = datetime.fromisoformat(f"{day}T10:00:00")
                zone = ZONES[b // 4 % 2]
                end = start + timedelta(hours=1)
                self.scene.book(who).create(title, start, end, zone=zone, guests=guests, **fields)
        self._tick(a)

    def edit(self, a: int, b: int) -> None:
        if one := self._theirs(a):
            self._edit(one, one.place, "all", b)
            self._tick(a + b)

    def _edit(self, one: Known, event: str, which: Any, kind: int) -> None:
        book = self._book(one)
        with self._told("provider"), suppress(ValueError):
            raw = book.event(event)
            book.edit(event, which, **self._change(one, raw, kind, whole=which == "all"))

    def _change(self, one: Known, raw: dict[str, Any], kind: int, *, whole: bool) -> dict[str, Any]:
        """A change of one thing, to something that was never said before."""
        match kind % 12:
            case 0 | 1:
                return {"summary": f"{one.tag} {self._word(one)}"}
            case 2:
                return {"location": f"Room {self._word(one)}"}
            case 3:
                return {"description": f"{self._word(one)} & co\nline"}
            case 4:
                return _moved(raw, hours=2)
            case 5:
                return _moved(raw, hours=0, longer=1)
            case 6:
                return {"transparency": "opaque" if raw.get("transparency") == "transparent" else "transparent"}
            case 7 if whole:
                return {"visibility": "default" if raw.get("visibility") else "private"}
            case 8:
                return _moved(raw, hours=-24 * 14)
            case 9:
                return _moved(raw, hours=24 * 14)
            case 10:
                return self._invited(one, raw)
            case _ if whole and raw.get("recurrence"):
                return {"recurrence": list(RULES[self.made % 3])}
            case _:
                return {"location": None} if raw.get("location") else {"location": f"Hall {self._word(one)}"}

    def _invited(self, one: Known, raw: dict[str, Any]) -> dict[str, Any]:
        """One guest more, or none but the host."""
        self.made += 1
        people = (ANN, BOB, CYD, f"g{self.made}@elsewhere.example")
        guests = raw.get("attendees", [])
        new = people[self.made % 4]
        if new == one.whose or any(guest["email"] == new for guest in guests):
            return {"attendees": [guest for guest in guests if guest["email"] not in (new, BOB) or new == one.whose]}
        return {"attendees": [*guests, {"email": new}]}

    def _occurrence(self, one: Known, pick: int, who: str = "", *, later: int = 0) -> str | None:
        """The id of one occurrence of a series as it is shown, of whose it is unless told; not of the first `later`."""
        book = self.scene.book(who or one.whose)
        shown = [raw for raw in book.expanded(FIRST, LAST) if raw.get("recurringEventId") and raw["iCalUID"] == one.uid]
        shown = sorted(shown, key=lambda raw: str(raw["id"]))[later:]  # by their place in the series
        return str(shown[pick % len(shown)]["id"]) if shown else None

    def edit_this(self, a: int, b: int) -> None:
        one = self._theirs(a, series=True)
        if one is not None and (event := self._occurrence(one, a // 2 + b // 4)):
            self._edit(one, event, "this", b)
            self._tick(a + b)

    def edit_following(self, a: int, b: int) -> None:
        """This and following: the series ends, and a new one begins."""
        one = self._theirs(a, series=True)
        event = self._occurrence(one, a // 2, later=1) if one is not None else None
        if one is None or event is None:
            return
        tag = self._tag()
        word = self._word(None, private=is_private(one))
        if is_private(one):
            self.private.add(tag)
            self.hushed[word] = tag
        with self._told("provider"), suppress(ValueError):
            fields: dict[str, Any] = {"summary": f"{tag} {word}"} | ({"location": tag} if b % 2 else {})
            self._book(one).edit(event, "following", **fields)
        self._tick(a + b)

    def delete(self, a: int, b: int) -> None:
        if one := self._theirs(a):
            with self._told("provider"):
                self._book(one).delete(one.place)
            self._tick(a + b)

    def delete_this(self, a: int, b: int) -> None:
        one = self._theirs(a, series=True)
        if one is not None and (event := self._occurrence(one, b)):
            with self._told("provider"):
                self._book(one).cancel_occurrence(event)
            self._tick(a + b)

    def delete_following(self, a: int, b: int) -> None:
        one = self._theirs(a, series=True)
        if one is not None and (event := self._occurrence(one, b, later=1)):
            with self._told("provider"), suppress(ValueError):
                self._book(one).delete(event, "following")
            self._tick(a + b)

    def restore(self, a: int, b: int) -> None:
        if one := self._theirs(a, living=False):
            with self._told("provider"), suppress(ValueError):
                self._book(one).restore(one.place)
            self._tick(a + b)

    def restore_this(self, a: int, b: int) -> None:
        found = [one for one in self.reading.google().values() if one.original and not one.living]
        if found:
            one = found[a % len(found)]
            with self._told("provider"), suppress(ValueError):
                self._book(one).restore(one.place)
            self._tick(a + b)

    def touch(self, a: int, b: int) -> None:
        if one := self._theirs(a):
            with self._told("provider"):
                self._book(one).touch(one.place)
            self._tick(a + b)

    # ---- what guests do ----

    def _guest(self, a: int, b: int) -> tuple[str, Known] | None:
        """A guest and their own copy."""
        found = [
            (address, one)
            for address, copies in self.reading.copies().items()
            for one in copies.values()
            if one.living and one.whose != address and not one.original
        ]
        return found[(a + b) % len(found)] if found else None

    def answer(self, a: int, b: int) -> None:
        if found := self._guest(a, b):
            who, one = found
            with self._told("provider"), suppress(ValueError):
                self.scene.book(who).answer(one.place, ("accepted", "declined", "tentative")[b % 3], comment=f"c{a}")
            self._tick(a + b)

    def remind(self, a: int, b: int) -> None:
        if found := self._guest(a, b):
            with self._told("provider"):
                self.scene.book(found[0]).remind(found[1].place, b)
            record, now = ("provider", found[1].key), self.scene.clock.now
            self.ledger.told(record, {}, {("reminders", ""): b}, now)

    def take_off(self, a: int, b: int) -> None:
        """A guest takes an event off the own calendar, or one occurrence."""
        if found := self._guest(a, b):
            who, one = found
            event = self._occurrence(one, b, who) if a % 2 and one.facts.get(("recurrence", "")) else one.place
            if event:
                with self._told("provider"), suppress(ValueError):
                    self.scene.book(who).delete(event, "this")
                self._tick(a + b)

    def put_back(self, a: int, b: int) -> None:
        """A guest puts back what they took off."""
        found = [
            (address, one)
            for address, copies in self.reading.copies().items()
            for one in copies.values()
            if not one.living and one.whose != address
        ]
        if found:
            who, one = found[a % len(found)]
            with self._told("provider"), suppress(ValueError):
                self.scene.book(who).restore(one.place)
                if not one.original:  # others may have had it all the time
                    self.ledger.placed(("provider", one.key), 1)
            self._tick(a + b)


def _moved(raw: dict[str, Any], *, hours: int, longer: int = 0) -> dict[str, Any]:
    """New times for an event at Google, on its own clock."""
    found: dict[str, Any] = {}
    for name, by in (("start", hours), ("end", hours + longer)):
        when = raw[name]
        if "date" in when:
            days = by // 24 if abs(by) >= 24 else by
            found[name] = date.fromisoformat(when["date"]) + timedelta(days=days)
        else:
            moment = datetime.fromisoformat(when["dateTime"]) + timedelta(hours=by)
            found[name] = {"dateTime": moment.isoformat(), "timeZone": when["timeZone"], "date": None}
    return found
