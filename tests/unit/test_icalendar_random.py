"""Random events survive a file; random bytes never raise. Run more with `make fuzz`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.contact_file import FileFault
from core.event import (
    MAX_AHEAD,
    METHODS,
    RESPONSES,
    Attendee,
    Event,
    Moment,
    Reminder,
    canonical,
    problem_of,
    write_instant,
)
from sync.icalendar_read import FileEvent, FileRecord, read_icalendar
from sync.icalendar_write import Written, write_calendar

REVISED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ZONES = ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe", "UTC")

_texts = st.one_of(
    st.text(max_size=30), st.sampled_from(["a,b;c\\d", "\\n", '"q"', "a\nb", "ä" * 80, "^n", "END:VEVENT"])
)
_people = st.builds(
    Attendee,
    email=st.sampled_from(["ann@x.org", "bob+x@y.org", "kim'o@z.example", "gr\u00fcn@x.org"]),
    name=_texts,
    response=st.sampled_from(RESPONSES),
    optional=st.booleans(),
    resource=st.booleans(),
)

_reminders = st.builds(Reminder, method=st.sampled_from(METHODS), minutes=st.integers(0, MAX_AHEAD))


@st.composite
def _events(draw: st.DrawFn) -> Event:
    zone = draw(st.sampled_from(ZONES))
    if draw(st.booleans()):
        day = draw(st.dates(date(1902, 1, 1), date(2200, 1, 1)))
        start, end = Moment(date=str(day)), Moment(date=str(day + timedelta(days=draw(st.integers(1, 9)))))
    else:
        at = datetime(1980, 1, 1, tzinfo=UTC) + timedelta(seconds=draw(st.integers(0, 3_000_000_000)))
        end_at = at + timedelta(seconds=draw(st.integers(0, 300_000)))
        end = Moment(at=write_instant(end_at), zone=draw(st.sampled_from([zone, ""])))
        start = Moment(at=write_instant(at), zone=zone)
    original = draw(st.sampled_from(["", start.date or start.at]))
    rules = st.sampled_from(["RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20260301T000000Z", "RDATE;VALUE=DATE:20260301"])
    return canonical(
        Event(
            uid=draw(st.sampled_from(["u@x", "a;b,c", "\u00fc"])),
            original=original,
            title=draw(_texts),
            description=draw(_texts),
            location=draw(_texts),
            start=start,
            end=end,
            recurrence=() if original else tuple(draw(st.lists(rules, max_size=2))),
            status=draw(st.sampled_from(["confirmed", "tentative", *(["cancelled"] if original else [])])),
            visibility=draw(st.sampled_from(["default", "public", "private", "confidential"])),
            transparent=draw(st.booleans()),
            attendees=tuple(draw(st.lists(_people, max_size=3))),
            organizer=draw(st.sampled_from(["", "ann@x.org"])),
            conference=draw(st.sampled_from(["", "https://meet.example/a?b=c,d;e"])),
            reminders=tuple(draw(st.lists(_reminders, max_size=5))) or None,  # a file cannot say "none"
        )
    )


@given(_events())
def test_an_event_survives_a_file(event: Event) -> None:
    assert problem_of(event) == ""
    zone = event.start.zone if event.recurrence or event.original else ""
    text = "".join(write_calendar(iter([Written(event, event.uid, REVISED, 3, zone, "ann@x.org")])))
    assert list(read_icalendar(text.encode())) == [FileEvent(5, event, 3, REVISED)]


_PIECES = (
    b"BEGIN:VCALENDAR", b"END:VCALENDAR", b"BEGIN:VEVENT", b"END:VEVENT", b"BEGIN:VTIMEZONE", b"END:VTIMEZONE",
    b"DTSTART", b"DTEND", b"DURATION:P1D", b"RECURRENCE-ID", b"RRULE:FREQ=DAILY", b"EXDATE", b";TZID=", b"UID:x",
    b";VALUE=DATE", b":20260302", b":20260302T093000", b"Z", b":99991231T235959", b":00010101", b"ATTENDEE", b";CN=",
    b":mailto:a@b", b"SUMMARY:", b"CLASS:", b"SEQUENCE:9", b"DTSTAMP", b"\\", b"\\n", b'"', b";", b":", b",", b"=",
    b"\r\n", b"\n", b"\r", b"\r\n ", b"\n\t", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe4", b"X-LIC-LOCATION:",
    b"TZID:", b"Europe/Berlin", b"^n",
)  # fmt: skip


def _check(records: list[FileRecord]) -> None:
    for record in records:
        assert record.line >= 1
        if isinstance(record, FileFault):
            assert record.reason
        else:
            assert record.event == canonical(record.event)
            assert record.event.uid


@given(st.one_of(st.lists(st.sampled_from(_PIECES), max_size=60).map(b"".join), st.binary(max_size=200)))
def test_no_bytes_upset_the_reader(data: bytes) -> None:
    _check(list(read_icalendar(data)))
    _check(list(read_icalendar(b"BEGIN:VEVENT\n" + data + b"\nEND:VEVENT", "Asia/Tokyo")))
    _check(list(read_icalendar(b"BEGIN:VEVENT\nDTSTART:20260302\n" + data + b"\nEND:VEVENT\n")))
