"""PRETENDS a person at Google's own calendar pages: makes, edits, moves, cancels, invites, answers, shares.
Calls of the API reach the same calendars through `calendar_writes`; both let `calendar_meetings` tell the others."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Literal, TypeVar

from sandbox.google import calendar_mails as mails
from sandbox.google import calendar_meetings as meetings
from sandbox.google.api_wire import Json
from sandbox.google.calendar_errors import CalendarError
from sandbox.google.calendar_guests import check_guest_list
from sandbox.google.calendar_input import Draft, read_event, wire_body
from sandbox.google.calendar_records import Copy
from sandbox.google.calendar_render import EventView, render
from sandbox.google.calendar_schema import EVENT, fits, merged, without_null
from sandbox.google.calendar_select import Wanted, Window, by_start, full
from sandbox.google.calendar_shelf import Shelf
from sandbox.google.calendar_split import begun, ended, following_id
from sandbox.google.calendar_store import Agenda
from sandbox.google.calendar_times import instant, key_of, later, length

Which = Literal["this", "following", "all"]
Answer = Literal["accepted", "declined", "tentative", "needsAction"]
When = date | datetime | Json
MOST = 1000  # occurrences in one read-out
_HTML = re.compile(r"<(?:br|p|b|i|u|a|ul|ol|li|div|span)\b", re.IGNORECASE)
R = TypeVar("R")


class CalendarBook(Shelf):
    """One person's calendars, as they see and edit them. Safe to use from any thread.

    Events are named by id; an occurrence by its id (`occurrence`, or from a read-out). Fields are those of a
    Calendar API Event; `start` and `end` may be dates (all-day, end exclusive) or datetimes, naive ones on the
    clock of `zone` or the calendar. Guests get letters (see `CalendarApi.mails`) only with `notify`. Methods raise
    KeyError for an event that does not exist and ValueError for what Google's pages would not let happen.
    """

    # -- making

    def create(
        self,
        summary: str,
        start: When,
        end: When,
        *,
        zone: str = "",
        repeat: str | Iterable[str] = (),
        guests: Iterable[str] = (),
        calendar: str = "primary",
        ident: str = "",
        notify: bool = False,
        **fields: Any,
    ) -> str:
        """A new event; `repeat` is its recurrence (one line or several). Returns the id. Any event type goes."""
        with self._world.acting():
            agenda = self._agenda(calendar)
            invited = tuple(guests)
            lines = [one for one in ([repeat] if isinstance(repeat, str) else repeat) if one]
            body = {
                **fields,
                "summary": summary,
                "start": _when(start, zone or agenda.zone),
                "end": _when(end, zone or agenda.zone),
                "attendees": [*self._host(agenda, invited), *({"email": one} for one in invited)],
                "recurrence": lines,
            }
            draft = self._draft(body)
            if (ident, "") in ((one.id, one.key) for one in agenda.events.values()):
                raise ValueError(f"this id is taken: {ident}")
            made = meetings.create(self._world, agenda, draft, "hand", creator=self.email, ident=ident)
            mails.tell(self._world, None, made, "all" if notify else "none", self.email, "hand")
            return made.id

    def _host(self, agenda: Agenda, guests: tuple[str, ...]) -> list[Json]:
        # Google's pages list the organizer among the guests; the API does so only when told.
        listed = agenda.primary and bool(guests)
        return [{"email": agenda.id, "responseStatus": "accepted"}] if listed else []

    # -- changing

    def edit(self, event: str, which: Which = "all", *, notify: bool = False, zone: str = "", **fields: Any) -> str:
        """Change fields (None clears one) of `this` occurrence, it and all `following`, or `all`. Returns the id now.

        Extended properties, reminders and the like are merged as in a PATCH; lists are replaced.
        """
        with self._world.acting():
            copy = self._find(event)
            for name in {"start", "end"} & fields.keys():
                fields[name] = _when(fields[name], zone or _zone(copy) or self._world.agendas[copy.calendar].zone)
            if which == "this" or not (copy.key or copy.is_series):
                return self._rewritten(copy, fields, notify=notify).id
            master = self._series(copy)
            if which == "following" and copy.key and copy.key != key_of(master.shared["start"]):
                return self._split(master, copy, fields, notify=notify).id
            if copy.key:
                fields = _shifted(master, copy, fields)
            return self._rewritten(master, fields, notify=notify).id

    def move_occurrence(self, event: str, start: When, end: When, *, notify: bool = False) -> str:
        """Put one occurrence elsewhere; its original start still names it."""
        return self.edit(event, "this", start=start, end=end, notify=notify)

    def touch(self, event: str) -> None:
        """The spurious change: etag and `updated` move and nothing else does."""
        with self._world.acting():
            self._world.put(self._find(event), "hand")

    def _rewritten(self, copy: Copy, fields: Json, *, notify: bool) -> Copy:
        if not (copy.organized_here or copy.alone or copy.shared.get("guestsCanModify")):
            raise ValueError("only the organizer can change this event")
        lead = copy if copy.organized_here or copy.alone else meetings.leading(self._world, copy)
        if lead is None:
            raise ValueError("the organizer is not here")
        whole = merged(wire_body(lead.shared, lead.own, lead.status), _cleared(fields))
        draft = self._draft(whole, occurrence=bool(lead.key))
        locked = {"locked": True} if lead.shared.get("locked") else {}
        made = meetings.rewrite(self._world, lead, replace(draft, shared={**draft.shared, **locked}), "hand")
        mails.tell(self._world, lead, made, "all" if notify else "none", self.email, "hand")
        return made

    def _split(self, master: Copy, copy: Copy, fields: Json, *, notify: bool) -> Copy:
        if not master.organized_here:
            raise ValueError("only the organizer can change this event")
        assert copy.original is not None
        rest = begun(master.shared, copy.original)
        body = merged(wire_body(rest, master.own, master.status), _cleared(fields))
        agenda, ident = self._world.agendas[master.calendar], following_id(master, copy.original)
        if ident in agenda.events:
            raise ValueError("this series was cut here before")
        draft = self._draft(body)
        self._cut(master, copy.original, notify=notify)
        made = meetings.create(self._world, agenda, draft, "hand", creator=self.email, ident=ident)
        mails.tell(self._world, None, made, "all" if notify else "none", self.email, "hand")
        return made

    def _cut(self, master: Copy, original: Json, *, notify: bool) -> None:
        draft = Draft(ended(master.shared, original), master.own, master.status)
        made = meetings.rewrite(self._world, master, draft, "hand")
        mails.tell(self._world, master, made, "all" if notify else "none", self.email, "hand")

    def _draft(self, body: Json, *, occurrence: bool = False) -> Draft:
        if self._world.knobs.ui_rewrites_html and body.get("description"):
            body = {**body, "description": _as_html(body["description"])}
        return _allowed(lambda: _read(body, occurrence=occurrence))

    # -- guests

    def invite(self, event: str, *emails: str, notify: bool = False) -> None:
        """Add guests; a guest may do so too, where the organizer lets them."""
        with self._world.acting():
            copy = self._find(event)
            held = copy.shared.get("attendees", [])
            self._guests(copy, [*held, *({"email": one} for one in emails)], notify=notify)

    def uninvite(self, event: str, *emails: str, notify: bool = False) -> None:
        """Take guests off the list."""
        with self._world.acting():
            copy = self._find(event)
            left = [one for one in copy.shared.get("attendees", []) if one["email"] not in emails]
            self._guests(copy, left, notify=notify)

    def _guests(self, copy: Copy, attendees: list[Json], *, notify: bool) -> None:
        if copy.organized_here or copy.alone:
            self._rewritten(copy, {"attendees": attendees}, notify=notify)
            return
        draft = self._draft(
            {**wire_body(copy.shared, {}, copy.status), "attendees": attendees}, occurrence=bool(copy.key)
        )
        attendees = draft.shared["attendees"]
        _allowed(lambda: check_guest_list(copy, copy.calendar, attendees))
        self._told(copy, attendees, notify=notify)

    def answer(self, event: str, answer: Answer, *, comment: str = "", notify: bool = False) -> None:
        """Answer an invitation, for the whole series or one occurrence. Raises ValueError for one who is no guest."""
        with self._world.acting():
            copy = self._find(event)
            if meetings.guest_entry(copy, copy.calendar) is None:
                raise ValueError("not a guest of this event")
            told = {"responseStatus": answer, **({"comment": comment} if comment else {})}
            self._told(copy, meetings.answered(copy, copy.calendar, **told), notify=notify)

    def _told(self, copy: Copy, attendees: list[Json], *, notify: bool) -> None:
        if copy.organized_here:
            self._rewritten(copy, {"attendees": attendees}, notify=notify)
            return
        made = meetings.change_guests(self._world, copy, attendees, "hand")
        mails.tell(self._world, copy, made, "all" if notify else "none", self.email, "hand")

    def remind(self, event: str, *minutes: int) -> None:
        """Own reminders for this event; none at all without minutes. `updated` does not move."""
        overrides = [{"method": "popup", "minutes": one} for one in minutes]
        self._keep(event, reminders={"useDefault": False, **({"overrides": overrides} if overrides else {})})

    def colour(self, event: str, colour: str) -> None:
        """An own colour for this event."""
        self._keep(event, colorId=colour)

    def _keep(self, event: str, **own: Any) -> None:
        with self._world.acting():
            copy = self._find(event)
            meetings.keep_own(self._world, copy, {**copy.own, **own}, "hand")

    def lock(self, event: str) -> None:
        """Make it a locked copy, whose main fields nobody can change (discovery document, Event.locked)."""
        with self._world.acting():
            copy = self._find(event)
            self._world.put(copy, "hand", shared={**copy.shared, "locked": True})

    # -- the end, and back

    def delete(self, event: str, which: Which = "all", *, notify: bool = False) -> None:
        """Delete: of the organizer for all, of a guest off the own calendar, which declines."""
        with self._world.acting():
            copy = self._find(event)
            if which != "this" and copy.key:
                master = self._series(copy)
                if which == "following" and copy.key != key_of(master.shared["start"]):
                    if not master.organized_here or copy.original is None:
                        raise ValueError("only the organizer can cut a series")
                    self._cut(master, copy.original, notify=notify)
                    return
                copy = master
            if copy.cancelled:
                raise ValueError("it is deleted already")
            end = meetings.cancel if copy.organized_here or copy.alone else meetings.leave
            made = end(self._world, copy, "hand")
            mails.tell(self._world, copy, made, "all" if notify else "none", self.email, "hand")

    def cancel_occurrence(self, event: str, *, notify: bool = False) -> None:
        """Delete one occurrence of a series."""
        self.delete(event, "this", notify=notify)

    def restore(self, event: str, *, notify: bool = False) -> None:
        """Put back what was deleted: the organizer for all, a guest what they took off themself."""
        with self._world.acting():
            copy = self._find(event)
            if not copy.cancelled or copy.orphan or not (copy.organized_here or copy.removed or copy.alone):
                raise ValueError("it cannot be put back from here")
            if copy.removed:
                meetings.come_back(self._world, copy, "hand")
            else:
                self._rewritten(copy, {"status": "confirmed"}, notify=notify)

    def change_calendar(self, event: str, calendar: str, *, notify: bool = False) -> None:
        """Move an event to another calendar, under the same id."""
        with self._world.acting():
            copy, target = self._find(event), self._agenda(calendar)
            if not copy.organized_here or copy.master or copy.cancelled or target.id == copy.calendar:
                raise ValueError("this event cannot be moved there")
            made = meetings.move(self._world, copy, target, "hand")
            mails.tell(self._world, copy, made, "all" if notify else "none", self.email, "hand")

    # -- read-outs for tests

    def events(self, calendar: str = "primary", *, deleted: bool = False) -> dict[str, Json]:
        """Every event with a record of its own by id, as its owner gets it; a copy."""
        with self._world.acting():
            agenda = self._agenda(calendar)
            view = EventView(agenda, "owner", self.email)
            return {
                one.id: _copied(render(one, view)) for one in agenda.events.values() if deleted or not one.cancelled
            }

    def event(self, event: str) -> Json:
        """One event or occurrence, deleted or not; a copy."""
        with self._world.acting():
            copy = self._find(event)
            return _copied(render(copy, EventView(self._world.agendas[copy.calendar], "owner", self.email)))

    def expanded(self, start: datetime, end: datetime, calendar: str = "primary") -> list[Json]:
        """What takes place between two moments, series by occurrence, in order. Raises ValueError from 1,000 on."""
        with self._world.acting():
            agenda = self._agenda(calendar)
            wanted = Wanted(Window(start, end), deleted=False, single=True, types=frozenset())
            rows = by_start(full(self._world, agenda, agenda.events.values(), wanted), agenda.zone)
            if len(rows) >= MOST:  # a series alone is cut off there
                raise ValueError(f"{MOST} occurrences or more")
            view = EventView(agenda, "owner", self.email)
            return [_copied(render(one, view)) for one in rows]

    def occurrence(self, event: str, start: date | datetime) -> str:
        """The id of the occurrence that originally starts then."""
        with self._world.acting():
            master = self._find(event)
            when = _when(start, _zone(master) or "UTC")
            day = bool(when.get("date"))
            key = key_of(when if day else {"dateTime": instant_text(when)})
            return self._find(f"{master.id}_{key}").id


def instant_text(when: Json) -> str:
    """The dateTime of a when, in UTC."""
    draft = _allowed(lambda: _read({"start": when, "end": when}, occurrence=False))
    return str(draft.shared["start"]["dateTime"])


def _read(body: Json, *, occurrence: bool) -> Draft:
    fits(EVENT, body, "event")
    return read_event(without_null(body), occurrence=occurrence)


def _allowed(act: Callable[[], R]) -> R:
    try:
        return act()
    except CalendarError as error:
        raise ValueError(error.message) from error


def _when(value: When, zone: str) -> Json:
    if isinstance(value, dict):
        return value
    if not isinstance(value, datetime):
        return {"date": value.isoformat(), "dateTime": None}
    named = str(getattr(value.tzinfo, "key", "")) or zone
    return {"dateTime": value.isoformat(), "timeZone": named, "date": None}


def _zone(copy: Copy) -> str:
    return str(copy.shared["start"].get("timeZone", ""))


def _cleared(fields: Json) -> Json:
    return {name: ([] if name == "attendees" else None) if value is None else value for name, value in fields.items()}


def _shifted(master: Copy, copy: Copy, fields: Json) -> Json:
    """New times of one occurrence as new times of its whole series."""
    if not {"start", "end"} & fields.keys():
        return fields
    assert copy.original is not None
    whole = merged(wire_body(copy.shared, {}, copy.status), {k: fields[k] for k in ("start", "end") if k in fields})
    draft = _allowed(lambda: _read(without_null(whole), occurrence=True))
    start, end = draft.shared["start"], draft.shared["end"]
    if ("date" in start) != ("date" in master.shared["start"]):
        return {**fields, "start": start, "end": end}
    by = instant(start, "UTC") - instant(copy.original, "UTC")
    begin = {**start, **later(master.shared["start"], by)}
    return {**fields, "start": begin, "end": {**end, **later(begin, length(start, end))}}


def _as_html(text: str) -> str:
    return text if _HTML.search(text) else html.escape(text, quote=False).replace("\n", "<br>")


def _copied(event: Json) -> Json:
    found: Json = json.loads(json.dumps(event))
    return found
