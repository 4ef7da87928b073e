"""Random edits of events, from our side and from another program's: what Google knows beyond us is never lost."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.event import METHODS, RESPONSES, VISIBILITIES, Attendee, Event, Moment, Reminder, canonical
from providers.google.event_edits import new_event, patch_for
from providers.google.event_items import View, read_item
from providers.google.event_mapping import read_event
from tests.support.app_factory import START
from tests.support.google_calendar import Json, resource

VIEW = View(None, True)
PEOPLE = ("ann@example.com", "bob@example.org", "Cleo@Example.org", "room@resource.calendar.google.com")

texts = st.text(alphabet="ab <&>;\n#;xé🎂", max_size=12)
days = st.dates(min_value=START.date().replace(year=2025), max_value=START.date().replace(year=2028))
zones = st.sampled_from(("Europe/Berlin", "Pacific/Honolulu", "Pacific/Auckland", "UTC"))


@st.composite
def spans(draw: st.DrawFn) -> dict[str, Any]:
    first, last = sorted((draw(days), draw(days)))
    if draw(st.booleans()):
        return {"start": Moment(date=str(first)), "end": Moment(date=str(last.replace(year=last.year + 1)))}
    zone = draw(zones)
    return {
        "start": Moment(at=f"{first}T{draw(st.integers(0, 23)):02}:30:00Z", zone=zone),
        "end": Moment(at=f"{last}T23:59:59Z", zone=zone),
    }


@st.composite
def attendees(draw: st.DrawFn) -> tuple[Attendee, ...]:
    chosen = draw(st.lists(st.sampled_from(PEOPLE), unique=True, max_size=4))
    return tuple(
        Attendee(one, draw(st.sampled_from(("", "Bob", "Ünal"))), draw(st.sampled_from(RESPONSES)), draw(st.booleans()))
        for one in chosen
    )


reminders = st.builds(Reminder, st.sampled_from(METHODS), st.integers(0, 40_320))


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """Some fields with new values."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "title": texts,
        "description": texts,
        "location": texts,
        "status": st.sampled_from(("confirmed", "tentative")),
        "visibility": st.sampled_from(VISIBILITIES),
        "transparent": st.booleans(),
        "attendees": attendees(),
        "reminders": st.none() | st.lists(reminders, max_size=5).map(tuple),
        "recurrence": st.sampled_from(((), ("RRULE:FREQ=WEEKLY",), ("EXDATE:20260303T110000Z", "RRULE:FREQ=DAILY"))),
    }
    names = draw(st.lists(st.sampled_from((*fields, "span")), unique=True, max_size=5))
    made: dict[str, Any] = {}
    for name in names:
        made |= draw(spans()) if name == "span" else {name: draw(fields[name])}
    return made


UNKNOWN: Json = {
    "conferenceData": {"conferenceId": "abc", "entryPoints": [{"entryPointType": "video", "uri": "https://m.example"}]},
    "attachments": [{"fileUrl": "https://f.example"}],
    "colorId": "5",
    "source": {"url": "https://s.example"},
    "extendedProperties": {"private": {"other": "x"}, "shared": {"y": "z"}},
    "somethingNew": {"a": [1]},
}
HIDDEN: Json = {"id": "77", "displayName": "Somebody", "responseStatus": "accepted"}


def merged(event: Json, patch: Json) -> Json:
    """What Google makes of a patch: objects member by member, null takes away, lists as a whole."""
    result = copy.deepcopy(event)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merged(result.get(name, {}), value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def comments(event: Json) -> dict[str, Any]:
    """What Google knows of each guest beyond us, by address."""
    return {one.get("email", "").lower(): one.get("comment") for one in event["attendees"]}


def kept_answers(wanted: tuple[Attendee, ...], known: tuple[Attendee, ...]) -> tuple[Attendee, ...]:
    """As wanted, but for the answers of others, which are theirs to give, and what a room is."""
    before = {one.email.lower(): one for one in known}
    found = []
    for one in wanted:
        old = before.get(one.email.lower(), one)
        found.append(replace(one, email=old.email, response=old.response, resource=old.resource))
    return tuple(found)


def start_event() -> Json:
    event = resource(**copy.deepcopy(UNKNOWN))
    guests = [
        {"email": one, "comment": f"says {one}", "additionalGuests": 1, "responseStatus": "accepted"} for one in PEOPLE
    ]
    return {**event, "attendees": [*guests, HIDDEN]}


@given(st.lists(changes(), min_size=1, max_size=6))
def test_edits_arrive_and_what_we_do_not_know_stays(edits: list[dict[str, Any]]) -> None:
    event = start_event()
    for edit in edits:
        item = read_item(event, VIEW)
        before = comments(event)
        wanted = canonical(replace(item.body, **edit))
        event = merged(event, patch_for(item.extra, wanted))
        answered = kept_answers(wanted.attendees, item.body.attendees)
        assert read_event(event) == canonical(replace(wanted, attendees=answered))
        assert patch_for(read_item(event, VIEW).extra, read_event(event)) == {}
        assert {name: event[name] for name in UNKNOWN} == UNKNOWN
        assert HIDDEN in event["attendees"]
        assert all(after == before[one] for one, after in comments(event).items() if one in before)


@given(changes(), spans())
def test_a_new_event_reads_as_it_was_made(edit: dict[str, Any], span: dict[str, Any]) -> None:
    event = canonical(replace(Event(**span), **edit))
    assert read_event(merged({}, new_event(event))) == event
