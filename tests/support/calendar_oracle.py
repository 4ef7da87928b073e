"""What the CRM and the calendars must look like after a history: the rules a user was promised, by the ledger of what
people did. Written apart from the engine, of which it imports the form of an event and the expansion for display."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from core.event import Event
from core.occurrences import Window, occurrences
from tests.support.calendar_scene import SINCE
from tests.support.ledger import Edit, Facts, Flat, Record, check_fact

# Two days behind the first that is synced: whose day it is differs by zone at the very edge.
FIRST = datetime(SINCE.year, SINCE.month, SINCE.day, tzinfo=UTC) + timedelta(days=2)
LAST = FIRST + timedelta(days=50)
OF_SERIES = ("title", "location", "description", "visibility", "transparent", "attendee", "end")
_OTHER = {"crm": "provider", "provider": "crm"}
_BREAK = re.compile(r"<br\s*/?>")


def key_of(tag: str, original: str) -> str:
    """What a meeting, or one occurrence of a series, is called here: `m3`, `m3|2026-03-10T09:00:00Z`."""
    return f"{tag}|{original}" if original else tag


def read_google(raw: Mapping[str, Any]) -> Flat:
    """An event at Google as single facts."""
    found = _facts(raw.get("summary"), raw.get("location"), _plain(raw.get("description", "")))
    found["start", ""], found["end", ""] = (_google_time(raw.get(name, {})) for name in ("start", "end"))
    found["recurrence", ""] = tuple(sorted(raw.get("recurrence", ())))
    found["status", ""] = "cancelled" if raw.get("status") == "cancelled" and raw.get("recurringEventId") else ""
    found["visibility", ""] = raw.get("visibility", "")
    found["transparent", ""] = raw.get("transparency") == "transparent"
    for one in raw.get("attendees", ()):
        found["attendee", one["email"]] = (one.get("responseStatus", "needsAction"), one.get("optional", False))
    return {name: value for name, value in found.items() if value}


def read_crm(body: Event) -> Flat:
    """An activity as single facts."""
    found = _facts(body.title, body.location, body.description)
    found["start", ""], found["end", ""] = (
        f"{moment.date or moment.at} {moment.zone}".strip() for moment in (body.start, body.end)
    )
    found["recurrence", ""] = tuple(sorted(body.recurrence))
    found["status", ""] = "cancelled" if body.status == "cancelled" else ""
    found["visibility", ""] = "" if body.visibility == "default" else body.visibility
    found["transparent", ""] = body.transparent
    for one in body.attendees:
        found["attendee", one.email] = (one.response, one.optional)
    return {name: value for name, value in found.items() if value}


def _facts(title: Any, location: Any, description: Any) -> Flat:
    return {("title", ""): title, ("location", ""): location, ("description", ""): description}


def _plain(description: str) -> str:
    return html.unescape(_BREAK.sub("\n", description))


def _google_time(raw: Mapping[str, Any]) -> str:
    if "date" in raw:
        return str(raw["date"])
    at = datetime.fromisoformat(raw["dateTime"]).astimezone(UTC) if "dateTime" in raw else None
    return f"{at:%Y-%m-%dT%H:%M:%SZ} {raw.get('timeZone', '')}".strip() if at else ""


def lost_facts(lost: Mapping[str, Any]) -> set[tuple[str, str, Any]]:
    """A line of the history about something that gave way, as facts."""
    name, value, kept = lost["field"], lost["value"], lost["kept"]
    if name == "attendees":  # one of them, or all where the whole text was not ours to change
        given, instead = (one if isinstance(one, list) else [one] if one else [] for one in (value, kept))
        said = {one["email"]: (one.get("response", "needsAction"), one.get("optional", False)) for one in given}
        return {("attendee", one["email"], said.get(one["email"])) for one in [*given, *instead]}
    if name in ("start", "end") and value is not None:
        value = f"{value['date'] or value['at']} {value['zone']}".strip()
    if name == "recurrence" and value is not None:
        value = tuple(value)
    return {(name, "", value if value not in ("default", "confirmed") else None)}


@dataclass(frozen=True, slots=True)
class Known:
    """One record of a side. `place` is its id there, `whose` the address of the organizer or of the owner; `main` the
    address whose account decides it. A cancelled occurrence is not living. `removed`: by somebody in the CRM."""

    key: str
    facts: Flat
    living: bool
    place: str
    whose: str
    uid: str = ""
    original: str = ""
    at: str = ""  # version or time, to see whether it was written
    body: Event = field(default_factory=Event)
    main: str = ""
    removed: bool = False

    @property
    def tag(self) -> str:
        return self.key.partition("|")[0]


@dataclass(frozen=True, slots=True)
class Shown:
    """One occurrence as somebody's calendar shows it."""

    uid: str
    original: str
    title: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class End:
    """How it ended. `google` are the organizers' events, `copies` everybody's own by address and id, `pages` what each
    calendar shows from FIRST to LAST; `links` are the pairs that take part: address -> activity -> event.
    `lost` are the facts the history keeps, by activity. `aside` are activities
    that could not be written."""

    crm: Mapping[str, Known]
    rows: tuple[Known, ...]
    google: Mapping[str, Known]
    copies: Mapping[str, Mapping[str, Known]]
    pages: Mapping[str, tuple[Shown, ...]]
    links: Mapping[str, Mapping[str, str]]
    lost: Mapping[str, frozenset[tuple[str, str, Any]]]
    aside: frozenset[str]


# ---- both sides agree --------------------------------------------------------------------------------------------


def check_agreement(end: End) -> None:
    """Everybody who linked a calendar finds in the CRM what it shows, with the same text, and nothing else."""
    for address in end.links:
        _check_texts(end, address)
        _check_pages(end, address)
    for row in end.rows:
        linked = any(row.place in links for links in end.links.values())
        if row.whose not in end.links:
            continue  # what was deleted and restored here does not come back into the calendar of a guest
        if row.living and row.main in end.links and not row.original and in_range(row.body):
            assert linked, f"{row.key} of {row.main} is in no calendar"


def _check_texts(end: End, address: str) -> None:
    rows = {row.place: row for row in end.rows}
    for place, remote in end.links[address].items():
        row, copy = rows[place], end.copies[address].get(remote)
        if row.main != address:
            continue
        assert copy is not None, f"{row.key} is paired with {remote}, which does not exist"
        if not row.original and not in_range(row.body):
            continue  # out of range: the pair rests
        assert row.living == copy.living, f"{row.key}: here {row.living}, at Google {copy.living}"
        if row.living:
            differ = {
                name for name in row.facts.keys() | copy.facts.keys() if row.facts.get(name) != copy.facts.get(name)
            }
            pairs = {name: (row.facts.get(name), copy.facts.get(name)) for name in sorted(differ)}
            assert not differ, f"{row.key}: in the CRM and at Google of {address}: {pairs}"


def _check_pages(end: End, address: str) -> None:
    """What takes place from FIRST to LAST: by Google's own expansion, and by ours."""
    linked = end.links[address]
    mains = {row.uid: row.main for row in end.rows if row.place in linked and not row.original and row.living}
    theirs, ours = set(end.pages[address]), set(_expanded(end, linked))
    for one in theirs - ours:
        if any(_is_nobodys(end, row, address) for row in end.rows if row.uid == one.uid and not row.original):
            continue
        stand_in = mains.get(one.uid, address)
        hidden = stand_in != address and _names(end.pages[stand_in]).isdisjoint({(one.uid, one.original)})
        assert hidden, f"{address} has at Google what the CRM has not: {one}\nCRM: {_of(ours, one)}"
    for one in ours - theirs:
        if mains.get(one.uid) == address:
            raise AssertionError(f"{address} has in the CRM what Google has not: {one}\nGoogle: {_of(theirs, one)}")
        if not one.original:
            assert (one.uid, "") in _names(theirs), f"{address} takes part in what Google does not show: {one}"


def _is_nobodys(end: End, row: Known, address: str) -> bool:
    """Whether somebody's calendar shows for itself what was taken out in the CRM, or was brought back there by a guest
    whose calendar has it no more."""
    foreign = row.whose not in end.links
    return (row.removed and row.main != address) or (foreign and row.place not in end.links.get(row.main, {}))


def _names(shown: Any) -> set[tuple[str, str]]:
    return {(one.uid, one.original) for one in shown}


def _of(shown: set[Shown], one: Shown) -> list[Shown]:
    return [other for other in shown if other.uid == one.uid]


def _expanded(end: End, linked: Mapping[str, str]) -> list[Shown]:
    window = Window(FIRST, LAST)
    living = {row.uid for row in end.rows if row.living and not row.original}
    shown = {row.uid for row in end.rows if row.place in linked and row.living and not row.original}
    replaced: dict[str, set[str]] = {}
    for row in end.rows:
        if row.original:
            replaced.setdefault(row.uid, set()).add(row.original)
    found = []
    for row in end.rows:
        if not row.living or row.uid not in living or row.place in end.aside:
            continue  # set aside: it could not be written, and the run says so
        if row.place not in linked and not (row.original and row.uid in shown):
            continue
        skip = replaced.get(row.uid, set()) if row.body.recurrence else set()
        for one in occurrences(row.body, window, skip).occurrences:
            original = row.original or (one.original if row.body.recurrence else "")
            start, until = (moment.date or moment.at for moment in (one.start, one.end))
            found.append(Shown(row.uid, original, row.body.title, start, until))
    return found


def in_range(body: Event) -> bool:
    """Whether it takes place in the time that is compared."""
    return bool(occurrences(body, Window(FIRST, LAST + timedelta(days=400))).occurrences)


# ---- no twins ----------------------------------------------------------------------------------------------------


def check_twins(end: End) -> None:
    """One meeting, one activity; and one event in each calendar."""
    sides = [("the CRM", [row.key for row in end.rows if row.living])]
    sides += [(address, [one.key for one in copies.values() if one.living]) for address, copies in end.copies.items()]
    for where, keys in sides:
        twice = sorted({key for key in keys if keys.count(key) > 1})
        assert not twice, f"more than once in {where}: {twice}"


# ---- what people did ---------------------------------------------------------------------------------------------


def check_places(end: End, ledger: Facts) -> None:
    """What was made, cancelled or brought back since both sides agreed, and only that, is or is not there now."""
    if not ledger.agreements:
        return
    since = ledger.agreements[-1]
    edited = {edit.record[1] for edit in ledger.edits[since:]}
    moved = {edit.record[1] for edit in ledger.edits[since:] if edit.fact[0] in ("start", "end", "recurrence")}
    for key in sorted({*end.crm, *end.google, *(key for _, key in ledger.together)}):
        tag = key.partition("|")[0]
        if key != tag and (tag in moved or not _lives(end, tag) or end.google[tag].whose not in end.links):
            continue
        if key != tag and any(record[1] == tag for record, _ in ledger.places[ledger.agreed :]):
            continue  # it went and came with its series
        places = [place for place in ledger.places[ledger.agreed :] if place[0][1] == key]
        signs = {sign for _, sign in places}
        now = _lives(end, key)
        # An occurrence is there without a record of its own.
        before = ("any", key) in ledger.together if key == tag else ("away", key) not in ledger.together
        if len(places) == 1 and signs == {-1} and _is_kept(end, ledger, places[0][0]):
            assert now, f"{key} was edited on one side and cancelled on the other, and is not there"
        if signs == {-1} and key not in edited:
            assert not now, f"{key} was cancelled, and is there"
        elif signs == {1} and not _is_over(end.google.get(key)):
            assert now, f"{key} was made or brought back, and is not there"
        elif not signs and before:
            assert now, f"{key} was there, and nobody cancelled it"
        elif not signs and key not in edited:
            assert not now, f"{key} was not there, and nobody brought it back"


def _is_kept(end: End, ledger: Facts, record: Record) -> bool:
    """Whether what was cancelled had been changed on the other side and no run had seen either."""
    side, key = record
    if "|" in key or ledger.late or end.google[key].whose not in end.links:
        return False
    number = ledger.places.index((record, -1), ledger.agreed)
    begin = max((edits for edits, places in ledger.runs if places <= number), default=0)
    behind = min((edits for edits, places in ledger.runs if places > number), default=len(ledger.edits))
    told = [edit for edit in ledger.edits[begin:behind] if edit.record == (_OTHER[side], key)]
    return any(edit.fact[0] in ("title", "location", "description") for edit in told)


def _is_over(one: Known | None) -> bool:
    """Whether an event ended before the time that is synced, and is no series."""
    ends = "" if one is None or ("recurrence", "") in one.facts else one.facts.get(("end", ""), "")
    return bool(ends) and ends[:10] < FIRST.date().isoformat()


def _lives(end: End, key: str) -> bool:
    return key in end.crm and end.crm[key].living


def check_edits(end: End, ledger: Facts, private: set[str]) -> None:
    """Every fact is what was said last, or the history keeps what was said."""
    told: dict[str, list[Edit]] = {}
    for edit in ledger.edits:
        told.setdefault(edit.record[1], []).append(edit)
    linked = {row.place for row in end.rows if row.place in end.links.get(row.main, {})}
    for row in end.rows:
        if row.living and row.tag not in private:
            _check_record(
                row, ("crm", row.key), row.place in linked, told, end.lost.get(row.place, frozenset()), ledger
            )
    places = {row.key: row.place for row in end.rows}
    for one in end.google.values():
        place = places.get(one.key, "")
        if one.living and one.tag not in private and place in linked:
            _check_record(one, ("provider", one.key), True, told, end.lost.get(place, frozenset()), ledger)


def _check_record(
    one: Known,
    record: Record,
    linked: bool,
    told: Mapping[str, list[Edit]],
    lost: frozenset[tuple[str, str, Any]],
    ledger: Facts,
) -> None:
    own = told.get(one.key, [])
    series = told.get(one.tag, []) if one.original else []
    cluster: set[Record] = {("crm", one.key), ("provider", one.key)}
    for fact in sorted({edit.fact for edit in own} | one.facts.keys()):
        mine, now = [edit for edit in own if edit.fact == fact], one.facts.get(fact)
        if one.original and any(edit.fact == fact for edit in series) and fact[0] in OF_SERIES:
            continue  # what it has from its series changed: whether that or its own counts is Google's business
        if fact[0] == "reminders":
            continue  # everybody's own, and no part of what is compared here
        as_ruled = one.facts.get(("start", ""), "").startswith(one.original)
        if one.original and (not mine or (fact[0] in ("start", "end") and as_ruled)):
            continue  # what nobody said is as the series has it
        if fact[0] == "attendee" and now and now[0] == "declined" and now not in [edit.after for edit in mine]:
            continue  # to take a guest's copy off their calendar is to decline
        check_fact(record, linked, now, mine, lost, ledger, cluster)
