"""Google Calendar as the remote side: listing, cursor, window, series, errors. On scripted answers, no socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

import providers
from core.errors import (
    Conflict,
    CursorExpired,
    ItemRejected,
    Misconfigured,
    NeedsRelink,
    NotGranted,
    RecordGone,
    Throttled,
    Transient,
    TwinboxError,
    VersionConflict,
)
from core.event import Event
from core.ports import CalendarEntry, RemoteReplica
from core.replica import Scope
from providers.google.calendar_client import CalendarClient
from providers.google.calendar_list import GoogleCalendars
from providers.google.errors import CALENDAR, read_refusal
from tests.support.app_factory import START
from tests.support.google_calendar import (
    LUNCH,
    Json,
    ScriptedHttp,
    creation,
    failure,
    only,
    page,
    refusal,
    resource,
    scripted,
)

LIST = "GET /calendars/primary/events"
SINCE = date(2026, 3, 1)
CANCELLED = {
    "id": "m_20260309T110000Z",
    "status": "cancelled",
    "recurringEventId": "m",
    "originalStartTime": {"dateTime": "2026-03-09T12:00:00+01:00"},
}
MASTER = resource("m", recurrence=["RRULE:FREQ=WEEKLY"])


def test_it_is_a_remote_replica() -> None:
    replica: RemoteReplica[Event] = scripted().calendar
    assert replica.batch == 50
    assert replica.skew == 0
    replica.close()


# ---- listing ---------------------------------------------------------------------------------------------


def test_the_first_listing_asks_for_series_as_one_event_each_and_for_what_was_cancelled() -> None:
    world = scripted(page(resource(), MASTER), since=SINCE)
    delta = world.calendar.changes(None)
    assert delta.complete
    assert set(delta.items) == {"e1", "m"}
    assert delta.scope == Scope("primary", "Ann")
    assert world.http.sent[0].query == {
        "singleEvents": ["false"],
        "showDeleted": ["true"],
        "eventTypes": ["default"],
        "maxResults": ["2500"],
        "timeMin": ["2026-02-28T00:00:00Z"],
        "alt": ["json"],
    }


def test_a_run_without_changes_makes_one_call() -> None:
    world = scripted(page(resource()), page(token="t2"), since=SINCE)
    cursor = world.calendar.changes(None).cursor
    delta = world.calendar.changes(cursor)
    assert not delta.items
    assert not delta.complete
    assert delta.scope == Scope("primary", "Ann")
    assert json.loads(delta.cursor)["token"] == "t2"
    assert world.calls == [LIST, LIST]


def test_later_listings_ask_the_same_but_for_the_window_which_the_token_carries() -> None:
    world = scripted(page(), page(), since=SINCE)
    world.calendar.changes(world.calendar.changes(None).cursor)
    first, later = (one.query for one in world.http.sent)
    assert {name: first[name] for name in first.keys() - {"timeMin"}} == {
        name: later[name] for name in later.keys() - {"syncToken"}
    }
    assert later["syncToken"] == ["t1"]


def test_pages_are_read_to_the_end_and_an_empty_one_is_no_end() -> None:
    pages = (page(resource("a"), token="", nextPageToken="p1"), page(token="", nextPageToken="p2"), page(resource("b")))
    world = scripted(*pages)
    assert set(world.calendar.changes(None).items) == {"a", "b"}
    assert [one.query.get("pageToken") for one in world.http.sent] == [None, ["p1"], ["p2"]]


def test_an_event_that_changed_while_pages_were_read_counts_as_it_came_last() -> None:
    pages = (page(resource("a"), token="", nextPageToken="p"), page(resource("a", summary="Dinner")))
    assert only(scripted(*pages).calendar.changes(None)).body.title == "Dinner"


def test_a_deleted_event_or_series_is_gone() -> None:
    deleted = [{"id": "a", "status": "cancelled"}, {**MASTER, "status": "cancelled"}]
    delta = scripted(page(*deleted)).calendar.changes(None)
    assert delta.gone == {"a", "m"}
    assert not delta.items


def test_an_event_that_comes_back_is_no_longer_gone() -> None:
    world = scripted(page({"id": "a", "status": "cancelled"}), page(resource("a")))
    delta = world.calendar.changes(world.calendar.changes(None).cursor)
    assert set(delta.items) == {"a"}
    assert not delta.gone


@pytest.mark.parametrize(
    "broken",
    [
        refusal(503, "backendError"),
        (200, []),
        {"kind": "calendar#events", "nextSyncToken": "t"},
        {"items": {}, "nextSyncToken": "t"},
        {"items": ["x"], "nextSyncToken": "t"},
        page(token="", nextPageToken="p1"),
        refusal(404, "notFound"),
        refusal(403, "forbidden"),
        ConnectionResetError(),
    ],
)
def test_a_listing_that_breaks_off_in_the_middle_reports_nothing(broken: Any) -> None:
    world = scripted(page(resource(), token="", nextPageToken="p1"), broken)
    with pytest.raises(Transient):
        world.calendar.changes(None)


def test_a_listing_without_a_token_goes_on_from_nothing() -> None:
    assert scripted(page(resource(), token="")).calendar.changes(None).cursor == ""


def test_five_thousand_events_take_as_many_calls_as_pages() -> None:
    events = [resource(f"e{number}") for number in range(5000)]
    world = scripted(page(*events[:2500], token="", nextPageToken="p"), page(*events[2500:]))
    assert len(world.calendar.changes(None).items) == 5000
    assert len(world.calls) == 2


# ---- the window ------------------------------------------------------------------------------------------


def test_what_ended_before_the_first_day_is_reported_and_does_not_take_part() -> None:
    old = {"start": {"date": "2026-02-01"}, "end": {"date": "2026-02-02"}}
    events = [
        resource("new"),
        resource("old", **old),
        resource("ended", **old, recurrence=["RRULE:FREQ=WEEKLY;COUNT=2"]),
        resource("endless", **old, recurrence=["RRULE:FREQ=WEEKLY"]),
    ]
    delta = scripted(page(), page(*events), since=SINCE).calendar
    found = delta.changes(delta.changes(None).cursor).items
    assert {one: item.selected for one, item in found.items()} == {
        "new": True,
        "old": False,
        "ended": False,
        "endless": True,
    }


def test_without_a_first_day_everything_takes_part() -> None:
    world = scripted(page(resource(start={"date": "1990-01-01"}, end={"date": "1990-01-02"})))
    assert only(world.calendar.changes(None)).selected
    assert "timeMin" not in world.http.sent[0].query


def test_events_of_other_kinds_do_not_take_part() -> None:
    assert not only(scripted(page(resource(eventType="workingLocation"))).calendar.changes(None)).selected


def test_in_a_calendar_that_can_only_be_read_nothing_is_writable() -> None:
    world = scripted(page(resource(), accessRole="reader"))
    assert only(world.calendar.changes(None)).extra["reason"] == "calendar"
    assert isinstance(failure(world.calendar.write([creation("k", LUNCH)])), ItemRejected)
    assert world.calls == [LIST]


# ---- series and their occurrences ------------------------------------------------------------------------


def test_an_endless_series_is_one_record_and_each_different_occurrence_another() -> None:
    moved = resource("m_20260302T110000Z", recurringEventId="m", iCalUID="m@google.com", summary="Later")
    moved["originalStartTime"] = {"dateTime": "2026-03-02T12:00:00+01:00"}
    items = scripted(page(CANCELLED, moved, MASTER)).calendar.changes(None).items
    assert {(item.body.uid, item.body.original, item.body.status) for item in items.values()} == {
        ("m@google.com", "", "confirmed"),
        ("m@google.com", "2026-03-02T11:00:00Z", "confirmed"),
        ("m@google.com", "2026-03-09T11:00:00Z", "cancelled"),
    }
    assert all(item.selected for item in items.values())


def test_a_cancelled_occurrence_has_name_and_owner_of_its_series_be_it_on_a_later_page() -> None:
    foreign = {"organizer": {"email": "boss@example.org"}}
    world = scripted(page(CANCELLED, token="", nextPageToken="p"), page({**MASTER, **foreign}))
    item = world.calendar.changes(None).items[str(CANCELLED["id"])]
    assert item.body == Event(
        uid="m@google.com", original="2026-03-09T11:00:00Z", status="cancelled", organizer="boss@example.org"
    )
    assert item.extra["owned"] is False


def test_a_series_that_is_not_in_the_listing_is_asked_for_once() -> None:
    another = {**CANCELLED, "id": "m_20260316T110000Z"}
    world = scripted(page(CANCELLED, another), MASTER)
    items = world.calendar.changes(None).items
    assert {item.body.uid for item in items.values()} == {"m@google.com"}
    assert world.calls == [LIST, "GET /calendars/primary/events/m"]


@pytest.mark.parametrize("answer", [refusal(404, "notFound"), {"id": "m", "status": "cancelled"}])
def test_a_cancelled_occurrence_of_a_deleted_series_is_gone_with_it(answer: Any) -> None:
    assert scripted(page(CANCELLED), answer).calendar.changes(None).gone == {CANCELLED["id"]}


def test_a_deleted_series_takes_its_cancelled_occurrences_with_it_without_a_call() -> None:
    world = scripted(page(CANCELLED, {"id": "m", "status": "cancelled"}))
    assert world.calendar.changes(None).gone == {"m", CANCELLED["id"]}
    assert world.calls == [LIST]


def test_an_invitation_to_one_occurrence_needs_no_series() -> None:
    one = resource("m_20260302T110000Z", recurringEventId="m", originalStartTime={"date": "2026-03-02"})
    world = scripted(page(one))
    assert only(world.calendar.changes(None)).body.original == "2026-03-02"
    assert world.calls == [LIST]


# ---- cursor ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        refusal(410, "fullSyncRequired", "Sync token is no longer valid, a full sync is required."),
        refusal(410, "updatedMinTooLongAgo"),
        refusal(410, "deleted"),
        refusal(400, "invalid", "Invalid sync token value."),
        refusal(400, "badRequest"),
    ],
)
def test_any_refusal_of_a_token_asks_for_a_new_beginning(answer: Any) -> None:
    world = scripted(page(), answer)
    with pytest.raises(CursorExpired):
        world.calendar.changes(world.calendar.changes(None).cursor)


def test_an_expired_token_in_the_middle_of_pages_asks_for_a_new_beginning_without_the_old_page() -> None:
    world = scripted(page(), page(token="", nextPageToken="p"), refusal(410, "fullSyncRequired"), page(), since=SINCE)
    cursor = world.calendar.changes(None).cursor
    with pytest.raises(CursorExpired):
        world.calendar.changes(cursor)
    assert world.calendar.changes(None).complete
    again = world.http.sent[-1].query
    assert "pageToken" not in again
    assert "syncToken" not in again
    assert again == world.http.sent[0].query


def test_a_refusal_without_a_token_is_no_expired_cursor() -> None:
    with pytest.raises(Misconfigured):
        scripted(refusal(400, "invalid")).calendar.changes(None)


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "[]", "{}", "[" * 100_000, '{"for": "other"}'],
    ids=["none", "text", "list", "empty", "deep", "for"],
)
def test_a_cursor_that_is_not_ours_is_expired(cursor: str) -> None:
    world = scripted(page())
    if cursor:
        with pytest.raises(CursorExpired):
            world.calendar.changes(cursor)
    else:
        assert world.calendar.changes(cursor).complete


def test_a_cursor_of_another_calendar_or_first_day_is_expired() -> None:
    cursor = scripted(page(), since=SINCE).calendar.changes(None).cursor
    with pytest.raises(CursorExpired):
        scripted(since=date(2026, 1, 1)).calendar.changes(cursor)
    with pytest.raises(CursorExpired):
        scripted(since=SINCE, scope=Scope("team", "")).calendar.changes(cursor)
    with pytest.raises(CursorExpired):
        scripted(since=SINCE).calendar.changes(json.dumps({**json.loads(cursor), "token": ""}))


# ---- the calendar ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [refusal(404, "notFound"), refusal(403, "forbidden"), refusal(403, "requiredAccessLevel")]
)
def test_a_calendar_that_is_gone_is_no_empty_calendar(answer: Any) -> None:
    world = scripted(page(resource()), answer)
    cursor = world.calendar.changes(None).cursor
    delta = world.calendar.changes(cursor)
    assert delta.scope is None
    assert not delta.complete
    assert not delta.gone
    assert delta.cursor == cursor


def test_without_an_id_the_calendar_is_the_accounts_own_and_another_is_named_by_its_id() -> None:
    assert scripted(page(), scope=Scope("", "x")).calendar.changes(None).scope == Scope("primary", "Ann")
    team = scripted(page(summary="Team"), scope=Scope("a#b@group.calendar.google.com", ""))
    assert team.calendar.changes(None).scope == Scope("a#b@group.calendar.google.com", "Team")
    assert team.calls == ["GET /calendars/a#b@group.calendar.google.com/events"]


def test_no_calendar_is_made() -> None:
    with pytest.raises(Misconfigured) as caught:
        scripted().calendar.make_scope("CRM")
    assert "another calendar" in caught.value.advice


def test_the_calendars_of_an_account_are_listed_its_own_first() -> None:
    rows = [
        {"id": "team", "summary": "Team", "accessRole": "writer", "timeZone": "UTC"},
        {"id": "gone", "deleted": True},
        {"id": "holidays", "summary": "Feiertage", "summaryOverride": "Holidays", "accessRole": "reader"},
        {"id": "ann@example.com", "summary": "Ann", "primary": True, "accessRole": "owner"},
    ]
    http = ScriptedHttp([{"items": rows[:2], "nextPageToken": "p"}, {"items": rows[2:]}])
    assert GoogleCalendars(CalendarClient(http, now=lambda: START)).calendars() == [
        CalendarEntry("ann@example.com", "Ann", True, True, ""),
        CalendarEntry("holidays", "Holidays", False, False, ""),
        CalendarEntry("team", "Team", False, True, "UTC"),
    ]


# ---- reading some ----------------------------------------------------------------------------------------


def test_events_are_read_by_id_and_what_is_not_found_twice_is_gone() -> None:
    missing = refusal(404, "notFound")
    world = scripted(resource("a"), {"id": "b", "status": "cancelled"}, missing, missing, missing, resource("d"))
    delta = world.calendar.get(["a", "b", "c", "d"])
    assert set(delta.items) == {"a", "d"}
    assert delta.gone == {"b", "c"}
    assert not delta.complete
    assert world.waited == [1.0]  # once for all


def test_many_events_are_picked_from_a_listing_and_only_the_rest_is_asked_for_one_by_one() -> None:
    """As when the first day moves on: what ended before it is in no listing of the window."""
    ids = [f"e{number}" for number in range(1000)]
    missing = refusal(404, "notFound")
    events = [resource("other"), *(resource(one) for one in ids[:-2])]
    world = scripted(page(*events), resource("e998"), missing, missing, since=SINCE)
    delta = world.calendar.get(ids)
    assert set(delta.items) == set(ids[:-1])
    assert delta.gone == {"e999"}
    assert len(world.calls) == 4
    assert "timeMin" not in world.http.sent[0].query


def test_an_event_google_does_not_give_for_another_reason_is_not_gone() -> None:
    with pytest.raises(Transient):
        scripted(refusal(403, "forbidden")).calendar.get(["a"])


# ---- trouble with the account ----------------------------------------------------------------------------

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(400, "eventTypeRestriction"), ItemRejected),
        (refusal(400, "timeRangeEmpty"), ItemRejected),
        (refusal(401, "authError"), NeedsRelink),
        (refusal(403, "forbiddenForNonOrganizer"), ItemRejected),
        (refusal(403, "eventTypeRestriction"), ItemRejected),
        (refusal(403, "forbidden"), ItemRejected),
        (refusal(403, "requiredAccessLevel"), ItemRejected),
        (refusal(403, "notACalendarUser"), Misconfigured),
        (refusal(403, "domainPolicy"), Misconfigured),
        (refusal(403, "accessNotConfigured"), Misconfigured),
        (refusal(403, "insufficientPermissions"), NotGranted),
        (refusal(403, "quotaExceeded"), Throttled),
        (refusal(403, "rateLimitExceeded"), Throttled),
        (refusal(404, "notFound"), RecordGone),
        (refusal(409, "duplicate"), Conflict),
        (refusal(409, "conflict"), Transient),
        (refusal(410, "deleted"), RecordGone),
        (refusal(410, "fullSyncRequired"), CursorExpired),
        (refusal(412, "conditionNotMet"), VersionConflict),
        (refusal(429, "rateLimitExceeded"), Throttled),
        (refusal(503, "backendError"), Transient),
    ],
)
def test_each_refusal_says_what_to_do_next_in_words_of_a_calendar(
    answer: tuple[int, Json], expected: type[TwinboxError]
) -> None:
    error = read_refusal(answer[0], {}, json.dumps(answer[1]).encode(), NOW, CALENDAR).error()
    assert type(error) is expected
    shown = f"{error} {error.advice}"
    assert "contact" not in shown.lower()
    assert "People" not in shown


def test_a_used_up_quota_is_a_pause_of_hours() -> None:
    with pytest.raises(Throttled) as caught:
        scripted(refusal(403, "quotaExceeded")).calendar.changes(None)
    assert caught.value.retry_after == 2 * 3600


def test_a_box_that_was_left_empty_is_named() -> None:
    with pytest.raises(NotGranted) as caught:
        scripted(refusal(403, "insufficientPermissions")).calendar.changes(None)
    assert "box for calendar" in caught.value.advice


# ---- the way to it ---------------------------------------------------------------------------------------


@dataclass
class Password:
    """An account that signs in with a password."""

    login: str = "ann"
    uses_token: bool = False

    def secret(self, *, refresh: bool = False) -> Any:
        raise AssertionError("not asked for")


@contextmanager
def unsupported() -> Iterator[None]:
    with pytest.raises(Misconfigured, match="not supported"):
        yield


def test_a_service_without_a_calendar_says_so() -> None:
    spec = next(iter(providers.all_providers().values()))
    guard: Any = None
    with unsupported():
        providers.open_calendar(
            spec,
            guard,
            Password(),
            scope=Scope("", ""),
            since=None,
            send_updates="none",
            all_kinds=False,
            now=lambda: START,
            wait=lambda _seconds: None,
        )


def test_the_client_can_do_what_is_needed_and_nothing_else() -> None:
    client = CalendarClient(ScriptedHttp([]), now=lambda: START)
    words = ("list", "get", "insert", "patch", "delete", "update", "move", "quickAdd", "import_", "clear")
    assert [word for word in words if hasattr(client.events, word)] == ["list", "get", "insert", "patch", "delete"]
    assert [word for word in words if hasattr(client.calendars, word)] == ["list"]
