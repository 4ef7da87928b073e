"""iCalendar files of other programs in, and our own out and in again."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from icalendar import Calendar

from core.contact_file import FileFault
from core.event import Attendee, Event, Moment, Reminder, canonical, to_json
from sync.icalendar_alarms import alarm_lines
from sync.icalendar_lines import MAX_COMPONENTS, MAX_PROPERTIES, MAX_VALUE
from sync.icalendar_read import FileEvent, FileRecord, read_icalendar
from sync.icalendar_write import Written, write_calendar, write_event

GOLDEN = Path(__file__).parent.parent / "golden" / "icalendar"
REVISED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BERLIN = "Europe/Berlin"

TALK = canonical(
    Event(
        uid="talk@example.org",
        title="Talk, or; chat",
        description="one\n\ntwo \\ three " + "ä" * 100,
        location='Room "1"',
        start=Moment(at="2026-03-02T08:30:00Z", zone=BERLIN),
        end=Moment(at="2026-03-02T09:30:00Z", zone=BERLIN),
        visibility="private",
        transparent=True,
        status="tentative",
        attendees=(
            Attendee("ann@example.org", 'Ann "A"; B:C, D', "accepted"),
            Attendee("bob@example.org", "", "declined", optional=True),
            Attendee("room@example.org", "Room 1", "tentative", resource=True),
        ),
        organizer="ann@example.org",
        conference="https://meet.example/a,b;c",
    )
)
SERIES = canonical(
    Event(
        uid="series@example.org",
        title="Weekly",
        start=Moment(at="2026-03-16T08:00:00Z", zone=BERLIN),
        end=Moment(at="2026-03-16T09:00:00Z", zone=BERLIN),
        recurrence=("RRULE:FREQ=WEEKLY;COUNT=5", f"EXDATE;TZID={BERLIN}:20260323T090000"),
    )
)
MOVED = replace(
    SERIES,
    original="2026-03-30T07:00:00Z",
    title="Weekly, later",
    start=Moment(at="2026-03-30T10:00:00Z", zone=BERLIN),
    end=Moment(at="2026-03-30T11:00:00Z", zone=BERLIN),
    recurrence=(),
)
OFF = replace(MOVED, original="2026-04-06T07:00:00Z", start=MOVED.start, status="cancelled")
DAYS = canonical(
    Event(
        uid="days@example.org",
        title="Fair",
        start=Moment(date="2026-05-01"),
        end=Moment(date="2026-05-04"),
        recurrence=("RRULE:FREQ=YEARLY", "EXDATE;VALUE=DATE:20270501"),
        visibility="public",
    )
)
ALL = (TALK, SERIES, MOVED, OFF, DAYS, replace(DAYS, original="2028-05-01", recurrence=(), title="Fair 2028"))


def write(*events: Event) -> str:
    zones = {SERIES.uid: BERLIN}
    pieces = (Written(one, one.uid, REVISED, number, zones.get(one.uid, "")) for number, one in enumerate(events))
    return "".join(write_calendar(pieces))


def read(text: str | bytes, zone: str = "UTC") -> list[FileRecord]:
    return list(read_icalendar(text.encode() if isinstance(text, str) else text, zone))


def events(*lines: str, head: tuple[str, ...] = (), zone: str = "UTC") -> list[FileRecord]:
    return read("\r\n".join(["BEGIN:VCALENDAR", *head, "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR"]), zone)


def one(*lines: str, head: tuple[str, ...] = (), zone: str = "UTC", start: str = "DTSTART:20260302T083000Z") -> Event:
    found = events("UID:u", *([start] if start else []), *lines, head=head, zone=zone)
    assert isinstance(found[0], FileEvent), found
    return found[0].event


def fault(*lines: str) -> str:
    found = events(*lines)
    assert isinstance(found[0], FileFault), found
    assert found[0].line == 2
    return found[0].reason


def as_json(record: FileRecord) -> dict[str, Any]:
    if isinstance(record, FileFault):
        return {"line": record.line, "reason": record.reason}
    about = {"line": record.line, "sequence": record.sequence, "cancelled": record.cancelled}
    return about | {"revised": record.revised and record.revised.isoformat(), "event": to_json(record.event)}


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.ics")), ids=lambda path: path.stem)
def test_a_file_of_another_program_is_read_as_written_down(path: Path) -> None:
    assert [as_json(one) for one in read(path.read_bytes())] == orjson.loads(path.with_suffix(".json").read_bytes())


def test_what_is_written_is_as_it_was_agreed_on() -> None:
    assert write(*ALL).encode() == (GOLDEN / "written.txt").read_bytes()


def test_what_is_written_is_read_back_equal() -> None:
    assert [one.event for one in read(write(*ALL)) if isinstance(one, FileEvent)] == list(ALL)


def test_what_is_written_is_read_by_another_program_too() -> None:
    calendar = Calendar.from_ical(write(*ALL))
    found: list[Any] = [one for one in calendar.walk("VEVENT") if not one.errors]
    assert [str(one["SUMMARY"]) for one in found] == [event.title for event in ALL]
    assert str(found[0]["DESCRIPTION"]) == TALK.description
    assert next(one.params["CN"] for one in found[0]["ATTENDEE"] if "CN" in one.params).startswith("Ann")
    assert found[1].decoded("DTSTART").isoformat() == "2026-03-16T09:00:00+01:00"
    assert found[2].decoded("RECURRENCE-ID").isoformat() == "2026-03-30T09:00:00+02:00"


def test_lines_are_folded_at_75_octets() -> None:
    assert max(len(line) for line in write(*ALL).encode().split(b"\r\n")) <= 75


def test_the_second_of_two_equal_hours_keeps_its_instant() -> None:
    event = replace(SERIES, start=Moment(at="2026-10-25T01:30:00Z", zone=BERLIN), recurrence=("RRULE:FREQ=DAILY",))
    event = replace(event, end=event.start)
    assert [one.event for one in read(write(event)) if isinstance(one, FileEvent)] == [event]


@pytest.mark.parametrize(
    ("line", "head", "expected"),
    [
        ("DTSTART:20260302T093000Z", (), ("2026-03-02T09:30:00Z", "")),
        ("DTSTART;TZID=Europe/Berlin:20260302T093000", (), ("2026-03-02T08:30:00Z", BERLIN)),
        ('DTSTART;TZID="W. Europe Standard Time":20260302T093000', (), ("2026-03-02T08:30:00Z", BERLIN)),
        ("DTSTART;TZID=/vendor.example/x/Europe/Berlin:20260302T093000", (), ("2026-03-02T08:30:00Z", BERLIN)),
        ("DTSTART:20260302T093000", (), ("2026-03-02T14:30:00Z", "America/New_York")),
        ("DTSTART:20260302T093000", ("X-WR-TIMEZONE:Europe/Berlin",), ("2026-03-02T08:30:00Z", BERLIN)),
        (
            "DTSTART;TZID=Mine:20260302T093000",
            ("BEGIN:VTIMEZONE", "TZID:Mine", "X-LIC-LOCATION:Europe/Berlin", "END:VTIMEZONE"),
            ("2026-03-02T08:30:00Z", BERLIN),
        ),
    ],
)
def test_a_time_is_read_on_the_clock_it_names(line: str, head: tuple[str, ...], expected: tuple[str, str]) -> None:
    start = one(head=head, zone="America/New_York", start=line).start
    assert (start.at, start.zone) == expected


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (("DTSTART;VALUE=DATE:20260302",), "2026-03-03"),
        (("DTSTART;VALUE=DATE:20260302", "DTEND;VALUE=DATE:20260302"), "2026-03-03"),
        (("DTSTART;VALUE=DATE:20260302", "DTEND;VALUE=DATE:20260305"), "2026-03-05"),
        (("DTSTART;VALUE=DATE:20260302", "DURATION:P1W"), "2026-03-09"),
        (("DTSTART:20260302T093000Z",), "2026-03-02T09:30:00Z"),
        (("DTSTART:20260302T093000Z", "DURATION:P1DT2H3M4S"), "2026-03-03T11:33:04Z"),
    ],
)
def test_an_event_ends_as_the_standard_says(lines: tuple[str, ...], end: str) -> None:
    event = one(*lines, start="")
    assert (event.end.date or event.end.at) == end


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("CLASS:PUBLIC", "visibility", "public"),
        ("CLASS:CONFIDENTIAL", "visibility", "confidential"),
        ("CLASS:X-SECRET", "visibility", "private"),
        ("STATUS:TENTATIVE", "status", "tentative"),
        ("TRANSP:TRANSPARENT", "transparent", True),
        ("X-GOOGLE-CONFERENCE:https://meet.example/x", "conference", "https://meet.example/x"),
        ("CONFERENCE;VALUE=URI:tel:+49-1", "conference", ""),
        ("CONFERENCE;VALUE=URI:javascript:alert(1)", "conference", ""),
        ("ORGANIZER;CN=Ann:MAILTO:Ann@X.org", "organizer", "ann@x.org"),
        ("ORGANIZER;EMAIL=ann@x.org:urn:uuid:1", "organizer", "ann@x.org"),
        ("ORGANIZER:urn:uuid:1", "organizer", ""),
        ("SUMMARY:a\\nb\\, c", "title", "a b, c"),
        ("DESCRIPTION;ALTREP=\"cid:a;b\":x\\ny", "description", "x\ny"),
        ("ATTENDEE;CN=\"A;B\";PARTSTAT=X:mailto:a@x", "attendees", (Attendee("a@x", "A;B"),)),
        ("ATTENDEE;CN=it^'s ^^:mailto:a@x", "attendees", (Attendee("a@x", 'it"s ^'),)),
        ("ATTENDEE:nobody", "attendees", ()),
    ],
)  # fmt: skip
def test_a_property_means_what_it_means_elsewhere(line: str, name: str, value: object) -> None:
    assert getattr(one(line), name) == value


def test_a_rule_travels_as_it_is_with_the_zone_by_its_common_name() -> None:
    event = one("RRULE:FREQ=DAILY;X=1", "EXDATE;TZID=W. Europe Standard Time:20260302T093000,20260303T093000")
    assert event.recurrence == (
        "EXDATE;TZID=Europe/Berlin:20260302T093000,20260303T093000",
        "RRULE:FREQ=DAILY;X=1",
    )
    assert event.start.zone == "UTC"


def test_an_alarm_inside_an_event_is_none_of_its_properties() -> None:
    event = one("SUMMARY:Talk", "BEGIN:VALARM", "DESCRIPTION:ring", "DURATION:P5D", "END:VALARM", "LOCATION:Here")
    assert (event.title, event.description, event.location, event.end.at) == ("Talk", "", "Here", event.start.at)


def alarm(*lines: str) -> tuple[Reminder, ...] | None:
    return one("DTEND:20260302T093000Z", "BEGIN:VALARM", *lines, "END:VALARM").reminders


@pytest.mark.parametrize(
    ("lines", "reminder"),
    [
        (("ACTION:DISPLAY", "TRIGGER:-PT15M"), Reminder("popup", 15)),
        (("ACTION:AUDIO", "TRIGGER;RELATED=START:-P1DT2H"), Reminder("popup", 1_560)),
        (("ACTION:EMAIL", "TRIGGER:-P4W"), Reminder("email", 40_320)),
        (("ACTION:DISPLAY", "TRIGGER:PT0S"), Reminder("popup", 0)),
        (("ACTION:DISPLAY", "TRIGGER:-PT90S"), Reminder("popup", 2)),
        (("ACTION:DISPLAY", "TRIGGER;RELATED=END:-PT75M"), Reminder("popup", 15)),
        (("ACTION:DISPLAY", "TRIGGER;VALUE=DATE-TIME:20260302T080000Z"), Reminder("popup", 30)),
        (("ACTION:DISPLAY", "TRIGGER:PT5M"), None),
        (("ACTION:DISPLAY", "TRIGGER:-P5W"), None),
        (("ACTION:DISPLAY", "TRIGGER:soon"), None),
        (("ACTION:DISPLAY",), None),
        (("ACTION:PROCEDURE", "TRIGGER:-PT15M"), None),
        (("ACTION:DISPLAY", "nonsense", "TRIGGER:-PT15M"), None),
    ],
)
def test_an_alarm_is_a_reminder_if_a_calendar_can_remind_so(lines: tuple[str, ...], reminder: Reminder | None) -> None:
    assert alarm(*lines) == (reminder and (reminder,))


def test_of_many_alarms_the_nearest_count() -> None:
    many = [text for minutes in range(9, 0, -1) for text in alarm_lines([Reminder("popup", minutes)], "x", "")]
    event = one("DTEND:20260302T093000Z", *many)
    assert event.reminders == tuple(Reminder("popup", minutes) for minutes in range(1, 6))


def test_a_reminder_by_mail_is_written_with_whom_it_goes_to() -> None:
    event = replace(DAYS, reminders=(Reminder("email", 60),))
    mail, popup = (write_event(Written(event, event.uid, REVISED, reminded=whom)) for whom in ("a@example.org", ""))
    assert "ACTION:EMAIL\r\nTRIGGER:-PT60M\r\nDESCRIPTION:Fair\r\nSUMMARY:Fair\r\nATTENDEE:mailto:a@example" in mail
    assert "ACTION:DISPLAY" in popup


def test_an_event_without_uid_gets_the_same_one_each_time() -> None:
    first, second = (events("DTSTART:20260302T083000Z", "SUMMARY:x")[0] for _ in range(2))
    assert first == second
    assert isinstance(first, FileEvent)
    assert len(first.event.uid) == 32


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("UID:u",), "has no DTSTART"),
        (("DTSTART:soon",), "no date or time"),
        (("DTSTART:20261301T000000Z",), "no date or time"),
        (("DTSTART;TZID=Nowhere:20260302T093000",), "time zone 'Nowhere' is not known"),
        (("DTSTART;TZID=Asia/Tokyo:00010101T000000",), "out of range"),
        (("DTSTART;VALUE=DATE:99991231", "DURATION:P1D"), "out of range"),
        (("DTSTART:20260302T093000Z", "DURATION:P"), "no duration"),
        (("DTSTART:20260302T093000Z", "EXRULE:FREQ=DAILY"), "EXRULE"),
        (("DTSTART:20260302T093000Z", "RECURRENCE-ID;RANGE=THISANDFUTURE:20260302T093000Z"), "not understood"),
        (("DTSTART:20260302T093000Z", "UID:" + "x" * 1_001), "UID"),
        (("DTSTART:20260302T093000Z", "no property"), "line 4 is no property"),
        (("DESCRIPTION:" + "x" * (MAX_VALUE + 1),), "too long"),
        (("X-A:b",) * (MAX_PROPERTIES + 1), "too long"),
    ],
)
def test_an_event_that_cannot_be_read_says_why(lines: tuple[str, ...], reason: str) -> None:
    assert reason in fault(*lines)


def test_one_bad_event_does_not_take_the_others_along() -> None:
    inside = "BEGIN:VEVENT\r\nUID:torn\r\nBEGIN:VEVENT\r\nUID:x\r\nEND:VEVENT\r\nBEGIN:VTODO\r\nEND:VTODO\r\n"
    found = read(write(TALK, DAYS).replace("BEGIN:VEVENT", inside + "BEGIN:VEVENT", 2))
    assert [one.event for one in found if isinstance(one, FileEvent)] == [TALK, DAYS]
    assert [one.reason for one in found if isinstance(one, FileFault)] == [
        "VEVENT has no END:VEVENT",
        "the event has no DTSTART",
        "VTODO is no event",
    ] * 2


def test_a_file_that_is_cut_off_says_so() -> None:
    found = read(write(TALK, DAYS).partition("SUMMARY:Fair")[0])
    assert [type(one) for one in found] == [FileEvent, FileFault, FileFault]
    assert as_json(found[1])["reason"] == "VCALENDAR has no END:VCALENDAR"
    assert as_json(found[2])["reason"] == "VEVENT has no END:VEVENT"


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_the_encoding_of_a_file_is_found(codec: str) -> None:
    assert [one.event for one in read(write(TALK).encode(codec)) if isinstance(one, FileEvent)] == [TALK]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do(end: str) -> None:
    assert [one.event for one in read(write(TALK).replace("\r\n", end)) if isinstance(one, FileEvent)] == [TALK]


@pytest.mark.parametrize(
    "data",
    [
        b"BEGIN:VEVENT\n" * 200_000 + b"END:X\n" * 200_000,
        b"BEGIN:A\n" * 200_000 + b"END:VEVENT\n" * 200_000,
        b"BEGIN:VEVENT\nX" + b";A=" * 300_000 + b"\nEND:VEVENT\n",
        b'BEGIN:VEVENT\nX;A="' + b'";A="' * 100_000 + b"\nEND:VEVENT\n",
        b"BEGIN:VEVENT\nX;A=" + b"," * 300_000 + b"\nEND:VEVENT\n",
        b"BEGIN:VEVENT\n" + b" \n" * 300_000,
        b"BEGIN:VEVENT\nA:" + b"\\" * 900_000 + b"\nEND:VEVENT\n",
    ],
)  # fmt: skip
def test_a_hostile_file_ends_soon(data: bytes) -> None:
    begun = time.process_time()
    assert not [one for one in read(data) if isinstance(one, FileEvent)]
    assert time.process_time() - begun < 5


def test_nothing_after_the_last_allowed_component_is_read() -> None:
    found = read("BEGIN:VTODO\nEND:VTODO\n" * (MAX_COMPONENTS + 2))
    assert len(found) == MAX_COMPONENTS + 1
    assert "split it" in as_json(found[-1])["reason"]
