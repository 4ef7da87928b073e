"""What people do in the CRM in a history of calendars. Each step takes two numbers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from core.errors import Conflict
from core.event import Attendee, Event, Moment, canonical, read_instant, write_instant
from core.occurrences import Occurrence, Window, occurrences
from sync.activity_book import (
    ActivityChange,
    add_activity,
    cancel_activity,
    change_activity,
    delete_activity,
    restore_activity,
)
from tests.support.calendar_oracle import FIRST, LAST, Known
from tests.support.calendar_scene import CYD
from tests.support.calendar_telling import DAYS, GUESTS, RULES, ZONES, Telling, is_private
from tests.support.calendar_world import ANN, BOB


class CrmSteps(Telling):
    """The steps of people in the CRM."""

    # ---- what people do in the CRM ----

    def _mine(self, pick: int, wanted: Callable[[Known], bool] = lambda one: one.living) -> Known | None:
        found = [one for one in self.reading.rows() if wanted(one)]
        return found[pick % len(found)] if found else None

    def crm_add(self, a: int, b: int) -> None:
        tag, who, day = self._tag(), (ANN, BOB, ANN, CYD)[a % 4], DAYS[(a // 2 + b) % 8]
        guests = tuple(Attendee(one) for one in GUESTS[b % 8] if one != who)
        start, end = _span(day, ZONES[b // 4 % 2]) if a % 4 != 2 else _days(day, 1 + b % 3)
        rule = RULES[b % 4] if a % 3 == 1 and start.at else ()
        event = Event(title=tag, start=start, end=end, attendees=guests, recurrence=rule)
        if b % 5 == 4:
            self.private.add(tag)
            self.hushed[f"hush{self.made}x"] = tag
            event = replace(event, title=f"{tag} hush{self.made}x", visibility="private")
        self._crm_add(event, who)
        self._tick(a)

    def _crm_add(self, event: Event, who: str) -> None:
        person = self.scene.people[who]
        with self._told("crm"):
            add_activity(self.scene.app, person.workspace_id, person.user_id, event)

    def crm_edit(self, a: int, b: int) -> None:
        if one := self._mine(a):
            self._crm_edit(one, b)
            self._tick(a + b)

    def _crm_edit(self, one: Known, kind: int) -> None:
        with self._told("crm"), suppress(Conflict):
            change = ActivityChange(self._crm_change(one, kind))
            change_activity(self.scene.app, self._workspace, one.place, change)

    @property
    def _workspace(self) -> str:
        return self.scene.people[ANN].workspace_id

    def _crm_change(self, one: Known, kind: int) -> Event:
        body = one.body
        match kind % 12:
            case 0 | 1:
                return replace(body, title=f"{one.tag} {self._word(one)}")
            case 2:
                return replace(body, location=f"Room {self._word(one)}")
            case 3:
                return replace(body, description=f"{self._word(one)} <b> & co\nline")
            case 4:
                return replace(body, start=_later(body.start, 2), end=_later(body.end, 2))
            case 5:
                return replace(body, end=_later(body.end, 1))
            case 6:
                return replace(body, transparent=not body.transparent)
            case 7 if not body.original:
                return replace(body, visibility="default" if body.is_private else "private")
            case 8 | 9:
                by = 24 * 14 * (1 if kind % 12 == 9 else -1)
                return replace(body, start=_later(body.start, by), end=_later(body.end, by))
            case 10:
                self.made += 1
                new = (ANN, BOB, CYD, f"g{self.made}@elsewhere.example")[self.made % 4]
                kept = tuple(guest for guest in body.attendees if guest.email != new)
                more = () if len(kept) < len(body.attendees) or new == one.main else (Attendee(new),)
                return replace(body, attendees=(*kept, *more))
            case _ if body.recurrence:
                shown = occurrences(body, Window(FIRST, LAST)).occurrences
                return replace(body, recurrence=(*body.recurrence, _without(shown[-1]))) if shown else body
            case _:
                return replace(body, location="" if body.location else f"Hall {self._word(one)}")

    def crm_rude(self, a: int, b: int) -> None:
        """An activity that somebody else organizes is changed all the same."""
        one = self._mine(a, lambda one: one.living and one.whose not in self.scene.accounts)
        if one is not None:
            with self._told("crm"):
                body = canonical(self._crm_change(one, b % 4))
                self.scene.edit(one.place, title=body.title, location=body.location, description=body.description)
            # The organizer's text counts as the later one, whenever it was written.
            self.ledger.texts["provider", one.key].append(self.scene.clock.now + timedelta(seconds=1))
            self._tick(a + b)

    def crm_this(self, a: int, b: int) -> None:
        """One occurrence of a series is changed, moved or cancelled in the CRM."""
        one = self._mine(a, lambda one: one.living and bool(one.body.recurrence) and bool(one.uid))
        if one is None or one.main not in self.scene.accounts or one.whose != one.main:
            return
        shown = occurrences(one.body, Window(FIRST, LAST), self._replaced(one)).occurrences
        if not shown:
            return
        picked = shown[(a // 2 + b // 4) % len(shown)]
        event = replace(one.body, original=picked.original, start=picked.start, end=picked.end, recurrence=())
        known = Known(
            f"{one.tag}|{picked.original}", one.facts, True, "", one.whose, one.uid, picked.original, body=event
        )
        event = replace(event, status="cancelled") if b % 4 == 3 else self._crm_change(known, b)
        with suppress(Conflict):
            self._crm_add(replace(event, visibility=one.body.visibility), one.main)
        self._tick(a + b)

    def _replaced(self, one: Known) -> set[str]:
        return {other.original for other in self.reading.rows() if other.uid == one.uid and other.original}

    def crm_following(self, a: int, b: int) -> None:
        """This and following in the CRM: the series gets an end, and a new one begins."""
        one = self._mine(a, lambda one: one.living and one.body.recurrence[:1] == RULES[0])
        if one is None or one.main not in self.scene.accounts or one.whose != one.main:
            return
        shown = occurrences(one.body, Window(FIRST, LAST)).occurrences
        if len(shown) < 2:
            return
        picked, tag = shown[1 + b % (len(shown) - 1)], self._tag()
        ends = read_instant(picked.start.at) - timedelta(seconds=1)
        word = self._word(None, private=is_private(one))
        if is_private(one):
            self.private.add(tag)
            self.hushed[word] = tag
        with self._told("crm"):
            body = replace(one.body, recurrence=(f"{RULES[0][0]};UNTIL={ends:%Y%m%dT%H%M%SZ}",))
            change_activity(self.scene.app, self._workspace, one.place, ActivityChange(body))
        fresh = replace(one.body, uid="", title=f"{tag} {word}", start=picked.start, end=picked.end, conference="")
        self._crm_add(fresh, one.main)
        self._tick(a)

    def _crm_mark(self, act: Callable[..., Any], one: Known | None, number: int) -> None:
        if one is not None:
            with self._told("crm"), suppress(Conflict):
                act(self.scene.app, self._workspace, one.place)
            self._tick(number)

    def crm_delete(self, a: int, b: int) -> None:
        self._crm_mark(delete_activity, self._mine(a, lambda one: one.living and not one.original), a + b)

    def crm_cancel(self, a: int, b: int) -> None:
        self._crm_mark(cancel_activity, self._mine(a, lambda one: one.living and not one.original), a + b)

    def crm_restore(self, a: int, b: int) -> None:
        self._crm_mark(restore_activity, self._mine(a, lambda one: not one.living and not one.original), a + b)

    def crm_hide(self, a: int, b: int) -> None:
        """No longer to be shown in a calendar, or again."""
        one = self._mine(a, lambda one: not one.original)
        if one is not None:
            with self._told("crm"), suppress(Conflict):
                change = ActivityChange(show_in_calendar=not self.scene.row(one.place).show_in_calendar)
                change_activity(self.scene.app, self._workspace, one.place, change)
            self._tick(a + b)


def _span(day: date, zone: str) -> tuple[Moment, Moment]:
    return Moment(at=f"{day}T09:00:00Z", zone=zone), Moment(at=f"{day}T10:00:00Z", zone=zone)


def _days(day: date, count: int) -> tuple[Moment, Moment]:
    return Moment(date=str(day)), Moment(date=str(day + timedelta(days=count)))


def _later(moment: Moment, hours: int) -> Moment:
    if moment.date:
        days = hours // 24 if abs(hours) >= 24 else hours
        return Moment(date=str(date.fromisoformat(moment.date) + timedelta(days=days)))
    return replace(moment, at=write_instant(read_instant(moment.at) + timedelta(hours=hours)))


def _without(one: Occurrence) -> str:
    if one.start.date:
        return f"EXDATE;VALUE=DATE:{one.start.date.replace('-', '')}"
    return f"EXDATE:{one.original.replace('-', '').replace(':', '')}"
