"""Google's events and ours: golden pairs of files, descriptions, times, and what an edit sends and leaves alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ItemRejected
from core.event import Attendee, Event, Moment, Reminder, canonical, from_json, to_json
from core.plan import is_stale
from core.replica import LONG_AGO, Stamp
from core.text import paragraphs
from providers.google.event_edits import new_event, patch_for
from providers.google.event_items import View, event_id, mark_of, read_item
from providers.google.event_mapping import KEPT, kept_of, read_event
from providers.google.event_text import as_description, plain_text
from providers.google.event_times import instance_stamp, reaches
from tests.support.app_factory import START
from tests.support.google_calendar import ORIGIN, resource

GOLDEN = Path(__file__).parent.parent / "golden" / "google-calendar"
NAMES = sorted({path.name.partition(".")[0] for path in GOLDEN.iterdir()})
VIEW = View(None, True)
ONLY_READ: dict[str, Any] = {"uid": "", "original": "", "organizer": "", "conference": ""}
UNWRITABLE = {"occurrence-cancelled", "occurrence-cancelled-with-text", "malformed-values"}
Json = dict[str, Any]


def golden(name: str, kind: str) -> Json:
    found: Json = json.loads((GOLDEN / f"{name}.{kind}.json").read_text(encoding="utf-8"))
    return found


def extra_of(event: Json, **rights: Any) -> Mapping[str, Any]:
    return {**read_item(event, VIEW).extra, **rights}


def patched(event: Json, patch: Json) -> Json:
    """The resource after Google merged a patch: objects by member, null takes away, lists as a whole."""
    merged = {**event, **patch}
    for name, value in patch.items():
        if isinstance(value, dict):
            both = {**event.get(name, {}), **value}
            merged[name] = {key: one for key, one in both.items() if one is not None}
    return merged


# ---- golden pairs ----------------------------------------------------------------------------------------


def test_golden_files_come_in_pairs() -> None:
    assert len(NAMES) >= 20
    expected = {f"{name}.{kind}.json" for name in NAMES for kind in ("google", "event")}
    assert {path.name for path in GOLDEN.iterdir()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_what_google_sends_is_read_as_its_event(name: str) -> None:
    assert to_json(read_event(golden(name, "google"))) == golden(name, "event")


@pytest.mark.parametrize("name", sorted(set(NAMES) - UNWRITABLE))
def test_an_event_is_written_so_that_it_reads_the_same(name: str) -> None:
    event = replace(from_json(golden(name, "event")), **ONLY_READ)
    body = new_event(event)
    assert read_event(body) == event
    assert set(body) <= set(KEPT)
    assert "conferenceData" not in body


@pytest.mark.parametrize("name", NAMES)
def test_an_event_that_did_not_change_sends_nothing(name: str) -> None:
    event = golden(name, "google")
    assert patch_for(extra_of(event), read_event(event)) == {}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_an_event_reads_the_same(name: str) -> None:
    event = golden(name, "google")
    extra = read_item(event, VIEW).extra
    assert json.loads(json.dumps(extra)) == extra
    assert read_event(kept_of(event)) == read_event(event)
    assert read_event(extra["event"]) == canonical(read_event(event))


# ---- descriptions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a<br>b", "a\nb"),
        ("a<br>\n<br>b", "a\n\n\nb"),
        ("<p>a</p><p>b</p>", "a\nb"),
        ("<div>a</div>b", "a\nb"),
        ("<ol><li>a<li>b</ol>", "- a\n- b"),
        ("<b>a</b> <i>b</i>", "a b"),
        ('see <a href="https://x.example/">https://x.example</a>', "see https://x.example"),
        ('<a href="mailto:a@x.example">a@x.example</a>', "a@x.example"),
        ("<a href='https://x.example'>here</a>", "here (https://x.example)"),
        ('<a href="https://x.example"></a>', "https://x.example"),
        ('<a href="javascript:alert(1)">here</a>', "here"),
        ("<a href=x>here</a>", "here"),
        ("a &amp; b &lt;c&gt; &#228;&#xe4;&nbsp;d", "a & b <c> ää d"),
        ("https://x.example/?a=1&copy=2", "https://x.example/?a=1&copy=2"),
        ("<!-- no -->yes<img src='x'>", "yes"),
        ("if a <b and c> d", "if a  d"),  # to Google's page this is a tag as well
        ("a < b, <ann@example.com> <https://x.example> <br", "a < b, <ann@example.com> <https://x.example> <br"),
    ],
)
def test_a_description_is_read_as_what_it_says(html: str, text: str) -> None:
    assert plain_text(html) == text


@given(st.text(alphabet=st.sampled_from("ab <>&;#/\"'=\n-br p li nbsp amp"), max_size=60) | st.text(max_size=60))
def test_a_plain_text_written_and_read_is_the_same(text: str) -> None:
    text = paragraphs(text)
    written = as_description(text)
    assert plain_text(written) == text
    assert as_description(plain_text(written)) == written


def test_what_google_makes_of_a_plain_text_is_no_change() -> None:
    event = resource(description="Agenda:\n- a & b\n\nhttps://x.example")
    body = read_event(event)
    google = 'Agenda:<br>- a &amp; b<br><br><a href="https://x.example">https://x.example</a>'
    rewritten = {**event, "description": google, "etag": '"2"'}
    assert read_event(rewritten) == body
    assert patch_for(extra_of(rewritten), replace(body, title="Dinner")) == {"summary": "Dinner"}


@pytest.mark.parametrize("evil", ["<a" * 50_000, '<a "' * 25_000, "<a href='" * 11_000, "<!--" * 25_000, "&a" * 50_000])
def test_a_hostile_description_takes_no_time(evil: str) -> None:
    plain_text(evil)


# ---- times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "sent"),
    [
        (Moment(date="2026-03-02"), Moment(date="2026-03-03"), {"date": "2026-03-03"}),
        (
            Moment(date="2026-03-02"),
            Moment(at="2026-03-02T11:00:00Z", zone="Asia/Tokyo"),
            {"dateTime": "2026-03-02T11:00:00Z", "timeZone": "Asia/Tokyo", "date": None},
        ),
        (
            Moment(at="2026-03-02T11:00:00Z", zone="Asia/Tokyo"),
            Moment(date="2026-03-02"),
            {"date": "2026-03-02", "dateTime": None, "timeZone": None},
        ),
        (
            Moment(at="2026-03-02T11:00:00Z", zone="Asia/Tokyo"),
            Moment(at="2026-03-02T11:00:00Z", zone="UTC"),
            {"dateTime": "2026-03-02T11:00:00Z", "timeZone": "UTC"},
        ),
    ],
)
def test_a_start_is_sent_with_the_key_of_the_other_kind_taken_away(old: Moment, new: Moment, sent: Json) -> None:
    body = replace(read_event(resource()), start=old, end=old)
    event = resource(**{name: value for name, value in new_event(body).items() if name in ("start", "end")})
    patch = patch_for(extra_of(event), replace(body, start=new))
    assert patch["start"] == sent
    assert read_event(patched(event, patch)).start == new


def test_a_zone_the_crm_does_not_know_is_no_change() -> None:
    body = read_event(resource())
    assert patch_for(extra_of(resource()), replace(body, start=replace(body.start, zone=""))) == {}


@pytest.mark.parametrize(
    ("original", "stamp"), [("2026-03-09T11:00:00Z", "20260309T110000Z"), ("2026-03-09", "20260309")]
)
def test_an_occurrence_is_named_by_its_original_start(original: str, stamp: str) -> None:
    assert instance_stamp(original) == stamp


TIMED: dict[str, Any] = {
    "start": Moment(at="2026-03-01T22:00:00Z", zone="UTC"),
    "end": Moment(at="2026-03-01T23:59:59Z", zone="UTC"),
}


def series(*lines: str) -> Event:
    start, end = (Moment(at=f"2020-01-06T{hour}:00:00Z", zone="UTC") for hour in ("10", "11"))
    return Event(start=start, end=end, recurrence=lines)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event(**TIMED), False),
        (Event(start=TIMED["start"], end=Moment(at="2026-03-02T00:00:00Z")), True),
        (Event(start=Moment(date="2026-02-28"), end=Moment(date="2026-03-01")), False),
        (Event(start=Moment(date="2026-03-01"), end=Moment(date="2026-03-02")), True),
        (Event(start=Moment(date="2026-02-01"), end=Moment(date="2026-04-01")), True),
        (Event(original="2026-03-01T10:00:00Z", status="cancelled"), False),
        (Event(original="2026-03-02", status="cancelled"), True),
        (series("RRULE:FREQ=WEEKLY"), True),
        (series("RRULE:FREQ=WEEKLY;UNTIL=20260201T000000Z"), False),
        (series("RRULE:FREQ=WEEKLY;UNTIL=20260301"), True),
        (series("RRULE:FREQ=DAILY;COUNT=30"), False),
        (series("RRULE:FREQ=DAILY;INTERVAL=100;COUNT=30"), True),
        (series("RRULE:FREQ=WEEKLY;COUNT=30;BYDAY=MO,WE"), False),
        (series("RRULE:FREQ=MONTHLY;COUNT=3"), True),
        (series("RRULE:FREQ=DAILY;COUNT=3;BYMONTH=1"), True),
        (series("RRULE:FREQ=DAILY;COUNT=99999999999999"), True),
        (series("RDATE:20200203T100000Z,20200204T100000Z"), False),
        (series("RDATE:20200203T100000Z,20260302T100000Z"), True),
        (series("RRULE:FREQ=WEEKLY;UNTIL=20200201", "RDATE:20260302T100000Z"), True),
        (series("RRULE:FREQ=WEEKLY;UNTIL=99999999"), True),
        (series("EXDATE:20260302T100000Z", "RRULE:FREQ=DAILY;COUNT=3"), False),
        (series("nonsense"), True),
        (Event(recurrence=("RRULE:FREQ=DAILY;COUNT=1",)), True),
    ],
)
def test_what_ended_before_the_first_day_is_left_out_and_in_doubt_stays(event: Event, expected: bool) -> None:
    assert reaches(event, date(2026, 3, 2)) is expected
    assert reaches(event, None)


# ---- edits -----------------------------------------------------------------------------------------------

FULL = resource(
    description="Old",
    location="Here",
    recurrence=["RRULE:FREQ=DAILY"],
    visibility="private",
    transparency="transparent",
)


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        ({"title": "New"}, {"summary": "New"}),
        ({"title": ""}, {"summary": ""}),
        ({"description": "a <b> c"}, {"description": "a &lt;b&gt; c"}),
        ({"location": ""}, {"location": ""}),
        ({"recurrence": ()}, {"recurrence": []}),
        (
            {"recurrence": ("RRULE:FREQ=WEEKLY", "EXDATE:20260303T110000Z")},
            {"recurrence": ["EXDATE:20260303T110000Z", "RRULE:FREQ=WEEKLY"]},
        ),
        ({"status": "tentative"}, {"status": "tentative"}),
        ({"visibility": "default"}, {"visibility": "default"}),
        ({"transparent": False}, {"transparency": "opaque"}),
        ({"uid": "x", "original": "2026-01-01", "organizer": "x@example.com", "conference": "https://x.example"}, {}),
    ],
)
def test_only_what_changed_is_sent(change: Json, sent: Json) -> None:
    assert patch_for(extra_of(FULL), replace(read_event(FULL), **change)) == sent


BOB = {"email": "bob@example.org", "displayName": "Bob", "responseStatus": "accepted", "comment": "cake"}
SELF = {"email": "ann@example.com", "self": True, "responseStatus": "needsAction"}
HIDDEN = {"id": "77", "displayName": "Somebody"}


def guests(*attendees: Json, **more: Any) -> Json:
    return resource(attendees=list(attendees), **more)


def sent_guests(event: Json, *wanted: Attendee) -> Any:
    return patch_for(extra_of(event), replace(read_event(event), attendees=wanted)).get("attendees")


def test_a_guest_who_is_added_leaves_the_others_as_they_are() -> None:
    event = guests(BOB, HIDDEN)
    wanted = (*read_event(event).attendees, Attendee("Cleo@example.org", "Cleo", optional=True))
    added = {"email": "Cleo@example.org", "displayName": "Cleo", "optional": True}
    assert sent_guests(event, *wanted) == [BOB, HIDDEN, added]


def test_a_guest_who_is_taken_out_leaves_the_others_as_they_are() -> None:
    assert sent_guests(guests(BOB, HIDDEN, SELF), Attendee("ann@example.com")) == [HIDDEN, SELF]


def test_an_answer_is_never_reset() -> None:
    assert sent_guests(guests(BOB), Attendee("BOB@example.org", "Bob")) is None
    assert sent_guests(guests(BOB), Attendee("BOB@example.org", "Bob", optional=True)) == [{**BOB, "optional": True}]


def test_only_the_own_answer_is_ever_sent() -> None:
    assert sent_guests(guests(BOB), Attendee("bob@example.org", "Bob", "declined")) is None
    both = (Attendee("ann@example.com", response="tentative"), Attendee("bob@example.org", "Bob", "declined"))
    assert sent_guests(guests(BOB, SELF), *both) == [BOB, {**SELF, "responseStatus": "tentative"}]


def test_reminders_are_read_and_sent_as_a_whole() -> None:
    ten = {"method": "popup", "minutes": 10}
    event = resource(reminders={"useDefault": False, "overrides": [ten, {"method": "sms", "minutes": 5}]})
    assert read_event(event).reminders == (Reminder("popup", 10),)
    assert read_event(resource(reminders={"useDefault": True})).reminders is None
    assert read_event(resource(reminders={"useDefault": False})).reminders == ()
    for wanted, sent in (
        (None, {"useDefault": True, "overrides": []}),
        ((), {"useDefault": False, "overrides": [{"method": "sms", "minutes": 5}]}),
        (
            (Reminder("email", 60),),
            {"useDefault": False, "overrides": [{"method": "email", "minutes": 60}, {"method": "sms", "minutes": 5}]},
        ),
    ):
        patch = patch_for(extra_of(event), replace(read_event(event), reminders=wanted))
        assert patch == {"reminders": sent}


FOREIGN: Json = {"organizer": {"email": "boss@example.org"}, "creator": {"email": "boss@example.org"}}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (FOREIGN, "foreign"),
        ({"locked": True}, "locked"),
        ({"privateCopy": True}, "private_copy"),
        ({"eventType": "focusTime"}, "kind"),
        ({"eventType": "something new"}, "kind"),
    ],
)
def test_what_we_may_not_write_says_why(more: Json, reason: str) -> None:
    event = resource(**more)
    item = read_item(event, VIEW)
    assert (item.extra["writable"], item.extra["reason"]) == (False, reason)
    assert item.extra["owned"] is (reason != "foreign")
    assert item.selected is (reason != "kind")
    with pytest.raises(ItemRejected, match="not changed at Google") as caught:
        patch_for(item.extra, replace(item.body, title="x"))
    assert caught.value.advice


def test_an_event_whose_guests_may_change_it_is_writable_and_still_not_ours() -> None:
    item = read_item(resource(**FOREIGN, guestsCanModify=True), VIEW)
    assert (item.extra["writable"], item.extra["owned"]) == (True, False)


def test_an_own_answer_to_somebody_elses_event_is_sent_alone() -> None:
    event = guests(BOB, SELF, **FOREIGN)
    answered = tuple(
        replace(one, response="accepted") if one.email == "ann@example.com" else one
        for one in read_event(event).attendees
    )
    patch = patch_for(extra_of(event), replace(read_event(event), attendees=answered))
    assert patch == {"attendeesOmitted": True, "attendees": [{**SELF, "responseStatus": "accepted"}]}
    with pytest.raises(ItemRejected):
        patch_for(extra_of(event), replace(read_event(event), attendees=answered, title="x"))
    reminded = replace(read_event(event), attendees=answered, reminders=(Reminder("popup", 5),))
    overrides = [{"method": "popup", "minutes": 5}]
    assert patch_for(extra_of(event), reminded) == {**patch, "reminders": {"useDefault": False, "overrides": overrides}}


def test_of_a_copy_that_only_takes_part_nothing_else_is_compared() -> None:
    event = guests(BOB, SELF, **FOREIGN)
    own = Event(attendees=(Attendee("ann@example.com", response="declined"),))
    patch = patch_for({**extra_of(event), "own_only": True}, own)
    assert patch == {"attendeesOmitted": True, "attendees": [{**SELF, "responseStatus": "declined"}]}
    assert patch_for({**extra_of(event), "own_only": True}, Event()) == {}


@pytest.mark.parametrize("more", [{"eventType": "focusTime"}])
def test_of_what_cannot_be_touched_not_even_reminders_are_sent(more: Json) -> None:
    item = read_item(guests(SELF, **more), VIEW)
    with pytest.raises(ItemRejected):
        patch_for(item.extra, replace(item.body, reminders=(Reminder("popup", 5),)))


def test_guests_google_does_not_list_are_never_written_back() -> None:
    event = guests(BOB, attendeesOmitted=True)
    body = read_event(event)
    assert patch_for(extra_of(event), replace(body, title="x")) == {"summary": "x"}
    with pytest.raises(ItemRejected, match="more guests"):
        patch_for(extra_of(event), replace(body, attendees=()))


def test_of_a_cancelled_occurrence_only_that_travels() -> None:
    event = golden("occurrence-moved", "google")
    cancelled = replace(read_event(event), status="cancelled", title="x", attendees=(Attendee("a@example.org"),))
    assert patch_for(extra_of(event), cancelled) == {"status": "cancelled"}
    assert patch_for(extra_of(golden("occurrence-cancelled", "google")), cancelled) == {}


def test_an_occurrence_that_takes_place_again_is_sent_whole() -> None:
    patch = patch_for(
        extra_of(golden("occurrence-cancelled", "google")), from_json(golden("occurrence-moved", "event"))
    )
    assert patch["status"] == "confirmed"
    assert patch["summary"] == "Team lunch, late"
    assert {"start", "end"} < set(patch)


def test_a_cancelled_event_is_not_made() -> None:
    with pytest.raises(ItemRejected):
        new_event(Event(status="cancelled"))


# ---- versions and origin ---------------------------------------------------------------------------------


def test_an_item_has_googles_version_and_time() -> None:
    item = read_item(resource(), VIEW)
    assert item.stamp.version == '"1"'
    assert item.stamp.modified_at.isoformat() == "2026-03-02T09:30:12.345000+00:00"


@pytest.mark.parametrize("updated", [None, "soon", 5])
def test_it_is_not_known_when_a_change_without_a_time_happened(updated: Any) -> None:
    stamp = read_item(resource(updated=updated), VIEW).stamp
    assert stamp == ('"1"', LONG_AGO)
    assert not is_stale(read_item(resource(updated=updated), VIEW), Stamp("older", START))


def test_our_names_for_events_are_what_google_takes() -> None:
    names = {event_id(origin, generation) for origin in (ORIGIN, "local-7", "ü") for generation in range(32)}
    assert len(names) == 96
    assert all(5 <= len(name) <= 1024 and set(name) <= set("0123456789abcdefghijklmnopqrstuv") for name in names)


def marked(one: str, mark: str, **more: Any) -> Json:
    return resource(one, extendedProperties={"private": {"twinbox": mark, "other": "x"}}, **more)


def test_an_event_we_made_is_known_by_its_mark() -> None:
    item = read_item(marked(event_id(ORIGIN, 3), ORIGIN), VIEW)
    assert item.origin == ORIGIN
    assert item.extra["generation"] == 3


OCCURRENCE: Json = {"recurringEventId": "m", "originalStartTime": {"date": "2026-03-09"}}


@pytest.mark.parametrize(
    "copy",
    [
        marked("copied", ORIGIN),
        marked(f"{event_id(ORIGIN, 0)}_R20260309", ORIGIN),
        marked(event_id(ORIGIN, 0), mark_of(ORIGIN, "2026-03-09")),
        marked(f"{event_id(ORIGIN, 0)}_20260309", ORIGIN, **OCCURRENCE),
        marked("m_20260309", mark_of(ORIGIN, "2026-03-16"), **OCCURRENCE),
        marked("", ORIGIN),
        resource(event_id(ORIGIN, 0)),
    ],
)
def test_a_copy_of_our_event_and_an_occurrence_of_our_series_are_not_taken_for_it(copy: Json) -> None:
    assert read_item(copy, VIEW).origin == ""


def test_an_occurrence_we_changed_is_known_by_its_mark() -> None:
    event = marked("m_20260309", mark_of(ORIGIN, "2026-03-09"), **OCCURRENCE)
    assert read_item(event, VIEW).origin == ORIGIN
