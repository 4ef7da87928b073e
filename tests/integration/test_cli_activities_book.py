"""The use cases behind `twinbox activities`, on a database: versions, whose they are, who sees what, importing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from core.contact import Contact, Entry
from core.contact_file import FileFault
from core.errors import BadInput, Conflict, NotFound
from core.event import Attendee, Event, Moment
from core.occurrences import Window
from models.activities import ActivityRow
from models.activity_queries import Wanted, activity_record, agenda, list_activities, overrides_of
from models.activity_records import shown
from models.columns import Record
from models.links import LinkRow
from sync.activity_book import (
    ActivityChange,
    add_activity,
    cancel_activity,
    change_activity,
    delete_activity,
    find,
    put_activity,
    restore_activity,
)
from sync.activity_import import ImportOptions, ImportReport, import_activities
from sync.activity_rows import NewActivity, insert_activities
from sync.app import App
from sync.contact_book import add_contact, delete_contact
from sync.icalendar_files import export_activities
from sync.icalendar_read import FileEvent, FileRecord, read_icalendar
from sync.users import ensure_workspace
from tests.support.app_factory import Person, TestClock, make_app, make_password_account, make_user

TALK = Event(
    title="Talk",
    start=Moment(at="2026-03-02T09:30:00Z", zone="Europe/Berlin"),
    end=Moment(at="2026-03-02T10:30:00Z", zone="Europe/Berlin"),
)
SERIES = replace(TALK, uid="s@x", title="Series", recurrence=("RRULE:FREQ=DAILY;COUNT=3",))
MOVED = replace(
    TALK,
    uid="s@x",
    title="Moved",
    original="2026-03-03T09:30:00Z",
    start=Moment(at="2026-03-05T09:30:00Z"),
    end=Moment(at="2026-03-05T10:00:00Z"),
)
MARCH = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
EARLIER, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    app = make_app(tmp_path, database_url=url)
    yield app
    app.close()


@pytest.fixture
def ann(app: App) -> Person:
    return make_user(app)


@pytest.fixture
def bob(app: App) -> Person:
    return make_user(app, "bob@crm.example")


def add(app: App, person: Person, body: Event = TALK, **more: Any) -> Record:
    return add_activity(app, person.workspace_id, person.user_id, body, **more)


def synced(app: App, person: Person, body: Event, **more: Any) -> str:
    """An activity as a run of somebody's calendar leaves it."""
    with app.db.transaction() as session:
        new = NewActivity(body, person.user_id, app.clock(), **more)
        return insert_activities(session, person.workspace_id, [new], app.clock())[0]


def listed(app: App, person: Person, **wanted: Any) -> list[str]:
    with app.db.reading() as session:
        asked = Wanted(**{"viewer": person.user_id, **wanted})
        return [one["title"] for one in list_activities(session, person.workspace_id, asked)]


def days(app: App, person: Person, **wanted: Any) -> list[tuple[str, str]]:
    with app.db.reading() as session:
        asked = Wanted(**{"viewer": person.user_id, **wanted})
        rows = agenda(session, person.workspace_id, asked, MARCH, limit=1_000)
    assert [one["starts_at"] for one in rows] == sorted(one["starts_at"] for one in rows)
    return sorted((one["title"], one["start"].date or one["start"].at[:10]) for one in rows)


def record(app: App, person: Person, activity: str, viewer: str = "") -> Record:
    with app.db.reading() as session:
        row = session.get_one(ActivityRow, activity)
        return activity_record(session, row, viewer or person.user_id)


# -- activities


def test_a_change_is_a_new_version_and_an_equal_text_is_none(app: App, ann: Person) -> None:
    made = add(app, ann, external_id="17", modified_at=EARLIER)
    assert (made["version"], made["modified_at"], made["owner"]) == (1, EARLIER, ann.email)
    same = change_activity(app, ann.workspace_id, made["id"], ActivityChange(replace(TALK, title=" Talk ")))
    assert (same.done, same.record["version"]) == ("unchanged", 1)
    change = ActivityChange(replace(TALK, title="Chat"), expect=1, modified_at=LATER)
    changed = change_activity(app, ann.workspace_id, made["id"], change)
    assert (changed.done, changed.record["version"], changed.record["modified_at"]) == ("changed", 2, LATER)
    with pytest.raises(Conflict, match="at version 2, not 1"):
        change_activity(app, ann.workspace_id, made["id"], change)
    hidden = change_activity(app, ann.workspace_id, made["id"], ActivityChange(show_in_calendar=False))
    assert (hidden.done, hidden.record["show_in_calendar"], hidden.record["version"]) == ("changed", False, 2)


def test_what_a_provider_gave_stays_when_the_crm_does_not_know_it(app: App, ann: Person) -> None:
    known = replace(TALK, uid="u@x", organizer=ann.email, conference="https://meet.example/a")
    activity = synced(app, ann, known, external_id="17")
    put = put_activity(app, ann.workspace_id, "17", ann.user_id, ActivityChange(replace(TALK, title="Chat")))
    assert (put.done, put.record["id"]) == ("changed", activity)
    assert (put.record["uid"], put.record["organizer"], put.record["conference"]) == (
        "u@x",
        ann.email,
        "https://meet.example/a",
    )


def test_the_activity_of_an_external_id_is_put_in_place(app: App, ann: Person) -> None:
    bodies = (TALK, TALK, replace(TALK, title="Chat"))
    change = ActivityChange(bodies[-1])
    done = [put_activity(app, ann.workspace_id, "17", ann.user_id, ActivityChange(one)).done for one in bodies]
    assert done == ["added", "unchanged", "changed"]
    for leave in (delete_activity, cancel_activity):
        leave(app, ann.workspace_id, find(app, ann.workspace_id, "17").id)
        back = put_activity(app, ann.workspace_id, "17", ann.user_id, change)
        assert (back.done, back.record["deleted_at"], back.record["cancelled_at"]) == ("restored", None, None)
    with pytest.raises(Conflict, match="no activity"):
        put_activity(app, ann.workspace_id, "18", ann.user_id, ActivityChange(TALK, expect=1))
    with pytest.raises(Conflict, match="exists already"):
        add(app, ann, external_id="17")


def test_what_cannot_be_an_activity_is_refused(app: App, ann: Person) -> None:
    for body in (
        Event(),
        replace(TALK, end=Moment(date="2026-03-03")),
        replace(TALK, recurrence=("RRULE:FREQ=DAILY;BYDAY=XX",)),
        replace(TALK, attendees=(Attendee("nobody"),)),
    ):
        with pytest.raises(BadInput) as caught:
            add(app, ann, body)
        assert caught.value.advice
    with pytest.raises(Conflict, match="not the owner"):
        add(app, ann, replace(TALK, organizer="eve@x.org"))
    with pytest.raises(NotFound):
        add_activity(app, ensure_workspace(app, "other"), ann.user_id, TALK)
    assert listed(app, ann) == []


@pytest.mark.parametrize("stand_in", [False, True])
def test_what_is_organized_elsewhere_can_only_be_left(app: App, ann: Person, stand_in: bool) -> None:
    body = replace(TALK, organizer="eve@x.org")
    activity = synced(app, ann, body, stand_in=stand_in)
    for refused in (
        lambda: change_activity(app, ann.workspace_id, activity, ActivityChange(replace(body, title="Mine"))),
        lambda: cancel_activity(app, ann.workspace_id, activity),
    ):
        with pytest.raises(Conflict, match="organized elsewhere: read only"):
            refused()
    assert change_activity(app, ann.workspace_id, activity, ActivityChange(body)).done == "unchanged"
    hidden = change_activity(app, ann.workspace_id, activity, ActivityChange(show_in_calendar=False))
    assert hidden.done == "changed"
    assert delete_activity(app, ann.workspace_id, activity)["deleted_at"] is not None
    assert restore_activity(app, ann.workspace_id, activity)["deleted_at"] is None


def test_the_address_of_a_linked_account_is_its_owners(app: App, ann: Person) -> None:
    make_password_account(app, ann)
    activity = synced(app, ann, replace(TALK, organizer="ann@mail.example"))
    change = ActivityChange(replace(TALK, title="Mine"))
    assert change_activity(app, ann.workspace_id, activity, change).done == "changed"


def test_nobody_reaches_into_another_workspace(app: App, ann: Person) -> None:
    activity, other = add(app, ann)["id"], ensure_workspace(app, "other")
    for reach in (
        lambda: change_activity(app, other, activity, ActivityChange(TALK)),
        lambda: cancel_activity(app, other, activity),
        lambda: delete_activity(app, other, activity),
        lambda: restore_activity(app, other, activity),
        lambda: find(app, other, activity),
    ):
        with pytest.raises(NotFound):
            reach()


def test_several_that_fit_are_named_without_their_titles(app: App, ann: Person) -> None:
    add(app, ann, replace(TALK, visibility="private"))
    one = find(app, ann.workspace_id, add(app, ann)["id"][:6]).id
    with app.db.transaction() as session:
        row = session.get_one(ActivityRow, one)
        for tail in ("0", "1"):
            columns = {column.name: getattr(row, column.name) for column in ActivityRow.__table__.columns}
            session.add(ActivityRow(**columns | {"id": "abcd" + tail * 28}))
    with pytest.raises(Conflict, match="fits several") as caught:
        find(app, ann.workspace_id, "abcd")
    assert "Talk" not in str(caught.value)


# -- who sees what


def test_participants_are_matched_to_living_contacts_by_address(app: App, ann: Person) -> None:
    kim = Contact(given_name="Kim", emails=(Entry("KIM@x.org", "", True),))
    gone = add_contact(app, ann.workspace_id, replace(kim, given_name="Gone"))["id"]
    delete_contact(app, ann.workspace_id, gone)
    contact = add_contact(app, ann.workspace_id, kim)["id"]
    add_contact(app, ensure_workspace(app, "other"), replace(kim, given_name="Aaron"))
    made = add(app, ann, replace(TALK, attendees=(Attendee("kim@x.org"), Attendee("lee@x.org", "Lee"))))
    assert [(one["email"], one["contact"], one["contact_name"]) for one in made["participants"]] == [
        ("kim@x.org", contact, "Kim"),
        ("lee@x.org", None, ""),
    ]


def test_a_meeting_is_theirs_whose_own_account_shows_it(app: App, ann: Person, bob: Person) -> None:
    activity, account = add(app, ann)["id"], make_password_account(app, bob)
    assert record(app, ann, activity)["seen_by"] == []
    texts = dict.fromkeys(("remote_id", "local_version", "remote_version"), "x")
    times = dict.fromkeys(("local_modified_at", "remote_modified_at", "written_at"), app.clock())
    with app.db.transaction() as session:
        key = {"account_id": account, "channel": "calendar", "local_id": activity}
        session.add(LinkRow(**key, **texts, **times, active=True, base={}, extra={}))
    assert record(app, ann, activity)["seen_by"] == [bob.email]


def test_what_is_private_is_blank_to_others_in_every_field(app: App, ann: Person, bob: Person) -> None:
    full = replace(
        TALK,
        uid="secret-uid",
        description="secret",
        location="secret",
        conference="https://secret.example",
        attendees=(Attendee("secret@x.org"),),
        visibility="confidential",
        organizer=ann.email,
    )
    activity = add(app, ann, full, external_id="secret-id")["id"]
    for viewer in ("", bob.user_id):
        seen = record(app, ann, activity, viewer or "nobody")
        told = {name: value for name, value in seen.items() if value}
        assert told.keys() == {"id", "owner", "owner_id", "start", "end", "starts_at", "title", "busy"}
        assert (seen["title"], seen["start"], seen["end"]) == ("busy", TALK.start, TALK.end)
        assert shown(seen, ann.user_id) == seen
    assert record(app, ann, activity)["description"] == "secret"


def test_an_occurrence_of_a_private_series_is_private_too(app: App, ann: Person, bob: Person) -> None:
    series = synced(app, ann, replace(SERIES, visibility="private"))
    synced(app, ann, MOVED)
    expected = [("busy", "2026-03-02"), ("busy", "2026-03-04"), ("busy", "2026-03-05")]
    assert days(app, bob) == expected
    assert days(app, bob, search="moved") == []
    assert [title for title, _ in days(app, ann)] == ["Moved", "Series", "Series"]
    with app.db.reading() as session:
        row = session.get_one(ActivityRow, series)
        assert overrides_of(session, row, bob.user_id) == []
        assert [one["title"] for one in overrides_of(session, row, ann.user_id)] == ["Moved"]
        text = "".join(export_activities(session, ann.workspace_id, Wanted(bob.user_id), app.clock()))
    assert "Moved" not in text
    assert "Series" not in text
    assert "s@x" not in text
    assert text.count("SUMMARY:busy") == 3


def test_occurrences_are_replaced_cancelled_and_gone_with_their_series(app: App, ann: Person) -> None:
    series = synced(app, ann, SERIES)
    moved = synced(app, ann, MOVED)
    synced(app, ann, replace(MOVED, original="2026-03-04T09:30:00Z", title="Off", status="cancelled"))
    assert days(app, ann) == [("Moved", "2026-03-05"), ("Series", "2026-03-02")]
    assert listed(app, ann, cancelled=True) == ["Off"]
    delete_activity(app, ann.workspace_id, moved)
    assert days(app, ann) == [("Series", "2026-03-02")]
    restore_activity(app, ann.workspace_id, moved)
    cancel_activity(app, ann.workspace_id, series)
    assert days(app, ann) == []
    assert listed(app, ann) == []
    assert sorted(listed(app, ann, cancelled=True)) == ["Moved", "Off", "Series"]


def test_what_cannot_be_laid_out_is_told_and_not_lost(app: App, ann: Person) -> None:
    synced(app, ann, replace(SERIES, recurrence=("RRULE:FREQ=HOURLY",)))
    far = Window(LATER, LATER + timedelta(days=9))
    with app.db.reading() as session:
        for rows in (
            list_activities(session, ann.workspace_id, Wanted(ann.user_id, far)),
            agenda(session, ann.workspace_id, Wanted(ann.user_id), far),
        ):
            assert [one["problem"][:12] for one in rows] == ["not expanded"]
        with pytest.raises(BadInput, match="laid out"):
            agenda(session, ann.workspace_id, Wanted(), Window())


def test_pages_follow_one_another_through_many(app: App, ann: Person) -> None:
    for number in range(7):
        add(app, ann, replace(TALK, title=f"T{number}"))
    seen, last = [], ""
    with app.db.reading() as session:
        while page := list_activities(session, ann.workspace_id, Wanted(), limit=3, after=last):
            seen += [one["title"] for one in page]
            last = page[-1]["id"]
        with pytest.raises(NotFound):
            list_activities(session, ann.workspace_id, Wanted(), after="nothing")
    assert sorted(seen) == [f"T{number}" for number in range(7)]


# -- files


def take(app: App, person: Person, *events: Event, revised: datetime | None = None, **options: Any) -> ImportReport:
    records = [FileEvent(line, replace(one, uid=one.uid or "u"), 0, revised) for line, one in enumerate(events, 1)]
    return import_activities(app, person.workspace_id, records, ImportOptions(person.user_id, **options))


def counts(report: ImportReport) -> tuple[int, int, int, int, int]:
    return report.added, report.changed, report.unchanged, report.skipped, len(report.rejected)


def test_a_newer_file_updates_and_an_older_one_does_not(app: App, ann: Person) -> None:
    chat = replace(TALK, title="Chat")
    assert counts(take(app, ann, TALK, revised=EARLIER)) == (1, 0, 0, 0, 0)
    assert counts(take(app, ann, TALK, revised=EARLIER)) == (0, 0, 1, 0, 0)
    assert counts(take(app, ann, chat, revised=EARLIER)) == (0, 0, 0, 1, 0)
    assert counts(take(app, ann, chat)) == (0, 0, 0, 1, 0)
    assert counts(take(app, ann, chat, revised=EARLIER + timedelta(seconds=1), dry_run=True)) == (0, 1, 0, 0, 0)
    assert listed(app, ann) == ["Talk"]
    assert counts(take(app, ann, chat, revised=EARLIER + timedelta(seconds=1))) == (0, 1, 0, 0, 0)
    assert listed(app, ann) == ["Chat"]


def test_of_several_texts_in_a_file_the_latest_counts(app: App, ann: Person) -> None:
    records = [
        FileEvent(n, replace(TALK, uid="u", title=f"T{n}"), sequence) for n, sequence in ((1, 2), (2, 3), (3, 1))
    ]
    report = import_activities(app, ann.workspace_id, records, ImportOptions(ann.user_id))
    assert (counts(report), listed(app, ann)) == ((1, 0, 0, 2, 0), ["T2"])


def test_an_import_belongs_to_its_organizer_or_stands_in_for_one(app: App, ann: Person, bob: Person) -> None:
    mine, theirs = replace(TALK, uid="1", organizer=bob.email), replace(TALK, uid="2", organizer="eve@x.org")
    assert counts(take(app, ann, mine, theirs, TALK)) == (3, 0, 0, 0, 0)
    with app.db.reading() as session:
        rows = list_activities(session, ann.workspace_id, Wanted())
    assert {(row["uid"], row["owner"], row["stand_in"]) for row in rows} == {
        ("1", bob.email, False),
        ("2", ann.email, True),
        ("u", ann.email, False),
    }
    newer = replace(theirs, title="New")
    report = take(app, ann, newer, revised=app.clock() + timedelta(days=1))
    assert report.rejected == [FileFault(1, "it is organized elsewhere and read only here")]


def test_what_was_deleted_here_does_not_come_back_and_a_cancelled_file_cancels(app: App, ann: Person) -> None:
    take(app, ann, TALK, revised=EARLIER)
    off = [
        FileEvent(1, replace(TALK, uid="u"), 1, LATER, cancelled=True),
        FileEvent(2, SERIES, 1, LATER, cancelled=True),
    ]
    report = import_activities(app, ann.workspace_id, off, ImportOptions(ann.user_id))
    assert (counts(report), listed(app, ann), listed(app, ann, cancelled=True)) == ((0, 1, 0, 1, 0), [], ["Talk"])
    assert counts(take(app, ann, TALK, revised=LATER)) == (0, 1, 0, 0, 0)
    with app.db.reading() as session:
        activity = list_activities(session, ann.workspace_id, Wanted())[0]["id"]
    delete_activity(app, ann.workspace_id, activity)
    assert counts(take(app, ann, TALK, revised=LATER)) == (0, 0, 0, 1, 0)
    assert listed(app, ann) == []


def test_bad_events_are_told_and_the_rest_imported(app: App, ann: Person) -> None:
    hourly = replace(SERIES, recurrence=("RRULE:FREQ=HOURLY",))
    events = [FileEvent(2, hourly), FileEvent(3, replace(TALK, uid="u"))]
    records: list[FileRecord] = [FileFault(1, "torn"), *events]
    report = import_activities(app, ann.workspace_id, records, ImportOptions(ann.user_id, show_in_calendar=False))
    assert [fault.line for fault in report.rejected] == [1, 2]
    assert "no rule" in report.rejected[1].reason
    assert listed(app, ann) == ["Talk"]


def test_an_export_is_imported_as_unchanged_here_and_equal_elsewhere(app: App, ann: Person) -> None:
    own = add(app, ann, replace(TALK, attendees=(Attendee("kim@x.org", "Kim", "accepted"),)))["id"]
    add(app, ann, replace(TALK, title="By its id"), external_id="crm-17")
    synced(app, ann, SERIES)
    synced(app, ann, MOVED)
    synced(app, ann, replace(MOVED, original="2026-03-04T09:30:00Z", status="cancelled"))
    add(app, ann, replace(TALK, start=Moment(date="2026-03-09"), end=Moment(date="2026-03-11"), visibility="private"))
    with app.db.reading() as session:
        wanted = Wanted(ann.user_id)
        data = "".join(export_activities(session, ann.workspace_id, wanted, app.clock())).encode()
    assert f"UID:{own}".encode() in data
    assert b"UID:crm-17" in data
    report = import_activities(app, ann.workspace_id, read_icalendar(data), ImportOptions(ann.user_id))
    assert counts(report) == (0, 0, 6, 0, 0)
    before = days(app, ann)
    with app.db.transaction() as session:
        session.execute(delete(ActivityRow))
    clock = app.clock
    assert isinstance(clock, TestClock)
    clock.advance(days=1)
    report = import_activities(app, ann.workspace_id, read_icalendar(data), ImportOptions(ann.user_id))
    assert (counts(report), days(app, ann)) == ((6, 0, 0, 0, 0), before)
