"""One meeting on many calendars as at Google: copies, answers, deletions, exceptions, letters (google.md, C.3).
The world and the checks of every answer are in test_sandbox_calendar_fidelity."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.unit.test_sandbox_calendar_fidelity import (
    ANN,
    BOB,
    CID,
    EVE,
    WEEKLY,
    Json,
    World,
    answers,
    at,
    event,
    guests,
    new_world,
    refused,
)

NOT_YOURS = (403, "forbiddenForNonOrganizer")
SECOND = "20260309T090000Z"


@pytest.fixture
def world() -> World:
    return new_world()


def meeting(world: World, *emails: str, **more: Any) -> str:
    """A meeting of Ann with these guests, made through the API."""
    return str(world.insert(body=event(attendees=guests(*emails), **more))["id"])


def rsvp(email: str, answer: str) -> Json:
    """An answer in the form that touches nobody else's (google.md, C.3)."""
    return {"attendeesOmitted": True, "attendees": [{"email": email, "responseStatus": answer}]}


# ---- copies ----------------------------------------------------------------------------------------------


def test_every_guest_gets_a_copy_with_the_same_uid_and_own_things(world: World) -> None:
    body = {"colorId": "5", "reminders": {"useDefault": False}, "extendedProperties": {"private": {"crm": "1"}}}
    ident = meeting(world, BOB, **body)
    copy = world.get(ident, BOB)
    assert copy["iCalUID"] == world.get(ident)["iCalUID"]
    assert copy["organizer"] == {"email": ANN}
    assert copy["attendees"] == [{"email": BOB, "responseStatus": "needsAction", "self": True}]
    assert copy["reminders"] == {"useDefault": True}
    assert not {"colorId", "extendedProperties"} & copy.keys()


def test_shared_properties_are_on_all_copies_and_private_ones_on_one(world: World) -> None:
    ident = meeting(world, BOB, extendedProperties={"private": {"a": "1"}, "shared": {"b": "2"}})
    world.patch(ident, {"extendedProperties": {"private": {"c": "3"}}}, BOB)
    assert world.get(ident, BOB)["extendedProperties"] == {"private": {"c": "3"}, "shared": {"b": "2"}}
    assert world.get(ident)["extendedProperties"] == {"private": {"a": "1"}, "shared": {"b": "2"}}


def test_changes_of_the_organizer_reach_all_copies_and_their_lists(world: World) -> None:
    ident, token = meeting(world, BOB, CID), world.synced(BOB)
    world.patch(ident, {"summary": "Dinner"})
    assert world.items(BOB, syncToken=token)[ident]["summary"] == "Dinner"
    assert world.get(ident, CID)["summary"] == "Dinner"


def test_copies_of_others_may_follow_late(world: World) -> None:
    world.knobs.fan_out_lag = 30
    ident = meeting(world, BOB)
    assert refused(lambda: world.get(ident, BOB)) == (404, "notFound")
    world.clock.advance(30)
    assert world.get(ident, BOB)["summary"] == "Lunch"


def test_a_guest_taken_off_the_list_sees_the_meeting_cancelled(world: World) -> None:
    ident = meeting(world, BOB, CID)
    world.patch(ident, {"attendees": guests(CID)})
    assert world.get(ident, BOB)["status"] == "cancelled"
    world.patch(ident, {"attendees": guests(BOB, CID)})
    assert world.get(ident, BOB)["status"] == "confirmed"


def test_a_taken_id_does_not_keep_an_invitation_away(world: World) -> None:
    world.insert(BOB, event(id="abcde", summary="Other"))
    uid = world.insert(body=event(id="abcde", attendees=guests(BOB)))["iCalUID"]
    (copy,) = [one for one in world.items(BOB, iCalUID=uid).values() if one["organizer"] == {"email": ANN}]
    assert copy["id"] != "abcde"
    world.patch("abcde", {"summary": "Dinner"})
    assert world.get(copy["id"], BOB)["summary"] == "Dinner"


def test_a_private_copy_is_not_propagated(world: World) -> None:
    meeting(world, BOB, privateCopy=True)
    assert world.items(BOB) == {}


# ---- what guests may do ----------------------------------------------------------------------------------


def test_an_answer_is_seen_on_every_copy(world: World) -> None:
    ident = meeting(world, BOB, CID)
    world.patch(ident, rsvp(BOB, "accepted"), BOB)
    for email in (ANN, BOB, CID):
        assert answers(world.get(ident, email)) == {BOB: "accepted", CID: "needsAction"}


@pytest.mark.parametrize(
    "body",
    [
        {"summary": "x"},
        {"location": "x"},
        {"end": {"dateTime": "2026-03-02T12:00:00+01:00"}},
        {"recurrence": [WEEKLY]},
        {"attendees": [{"email": BOB, "responseStatus": "accepted"}]},
        {"attendees": [{"email": BOB}, {"email": CID, "responseStatus": "accepted"}]},
        {"extendedProperties": {"shared": {"a": "1"}}},
    ],
)
def test_what_all_guests_see_only_the_organizer_can_change(world: World, body: Json) -> None:
    ident = meeting(world, BOB, CID)
    assert refused(lambda: world.patch(ident, body, BOB)) == NOT_YOURS


def test_own_reminders_and_colour_stay_on_the_own_copy(world: World) -> None:
    ident = meeting(world, BOB)
    before = world.get(ident)
    mine = world.patch(ident, {"colorId": "3", "reminders": {"useDefault": False}}, BOB)
    assert (mine["colorId"], mine["reminders"]) == ("3", {"useDefault": False})
    assert world.get(ident) == before


def test_sending_back_what_is_there_changes_nothing_and_is_no_offence(world: World) -> None:
    ident = meeting(world, BOB)
    held = world.get(ident, BOB)
    assert world.patch(ident, {"summary": held["summary"], "start": held["start"]}, BOB) == held


def test_a_put_of_a_guest_is_always_refused(world: World) -> None:
    ident = meeting(world, BOB)
    assert refused(lambda: world.put(ident, world.get(ident, BOB), BOB)) == NOT_YOURS


def test_guests_may_invite_others_unless_told_not_to(world: World) -> None:
    ident = meeting(world, BOB)
    held = world.get(ident, BOB)["attendees"]
    world.patch(ident, {"attendees": [*held, *guests(CID)]}, BOB)
    assert world.get(ident, CID)["summary"] == "Lunch"
    closed = meeting(world, BOB, guestsCanInviteOthers=False)
    assert refused(lambda: world.patch(closed, {"attendees": guests(BOB, CID)}, BOB)) == NOT_YOURS


def test_guests_may_change_everything_where_the_organizer_lets_them(world: World) -> None:
    ident = meeting(world, BOB, guestsCanModify=True)
    assert world.patch(ident, {"summary": "Dinner"}, BOB)["summary"] == "Dinner"
    assert world.get(ident)["summary"] == "Dinner"


def test_a_locked_event_keeps_its_main_fields(world: World) -> None:
    ident = meeting(world, BOB)
    world.ann.lock(ident)
    assert world.get(ident)["locked"] is True
    assert refused(lambda: world.patch(ident, {"summary": "x"})) == (403, "forbidden")
    assert world.patch(ident, {"colorId": "3"})["locked"] is True


def test_guests_who_may_not_see_each_other_see_themselves(world: World) -> None:
    ident = meeting(world, BOB, CID, guestsCanSeeOtherGuests=False)
    copy = world.get(ident, BOB)
    assert (list(answers(copy)), copy["attendeesOmitted"]) == ([BOB], True)
    assert len(world.get(ident)["attendees"]) == 2


def test_of_more_guests_than_asked_for_only_oneself_is_sent(world: World) -> None:
    ident = meeting(world, BOB, CID)
    copy = world.get(ident, BOB, maxAttendees=1)
    assert (list(answers(copy)), copy["attendeesOmitted"]) == ([BOB], True)
    assert "attendeesOmitted" not in world.get(ident, BOB, maxAttendees=2)


def test_answers_of_very_large_meetings_stay_with_their_guests(world: World) -> None:
    ident = meeting(world, BOB, *(f"g{n}@example.com" for n in range(200)))
    world.patch(ident, rsvp(BOB, "accepted"), BOB)
    assert answers(world.get(ident, BOB))[BOB] == "accepted"
    assert answers(world.get(ident))[BOB] == "needsAction"


# ---- deletions -------------------------------------------------------------------------------------------


def test_the_organizers_deletion_cancels_everywhere_and_can_be_taken_back(world: World) -> None:
    ident, token = meeting(world, BOB), world.synced(BOB)
    world.delete(ident)
    assert world.items(BOB, syncToken=token)[ident]["status"] == "cancelled"
    world.patch(ident, {"status": "confirmed"})
    assert world.items(BOB, syncToken=token)[ident]["summary"] == "Lunch"


def test_a_guests_deletion_is_their_own_and_a_decline(world: World) -> None:
    ident = meeting(world, BOB, CID)
    world.delete(ident, BOB)
    gone = world.get(ident, BOB)
    assert (gone["status"], gone["summary"]) == ("cancelled", "Lunch")
    for email in (ANN, CID):
        assert world.get(ident, email)["status"] == "confirmed"
        assert answers(world.get(ident, email))[BOB] == "declined"
    world.patch(ident, {"summary": "Dinner"})
    assert world.get(ident, BOB)["status"] == "cancelled"


def test_a_guest_can_put_back_what_they_took_off(world: World) -> None:
    ident = meeting(world, BOB)
    world.delete(ident, BOB)
    world.patch(ident, {"summary": "Dinner"})
    back = world.patch(ident, {"status": "confirmed"}, BOB)
    assert (back["status"], back["summary"]) == ("confirmed", "Dinner")


def test_a_guest_cannot_revive_what_the_organizer_cancelled(world: World) -> None:
    ident = meeting(world, BOB)
    world.delete(ident)
    assert refused(lambda: world.patch(ident, {"status": "confirmed"}, BOB)) == NOT_YOURS


# ---- series ----------------------------------------------------------------------------------------------


def test_an_occurrence_changed_becomes_an_exception_on_all_copies(world: World) -> None:
    series = meeting(world, BOB, recurrence=[WEEKLY])
    moved = world.patch(f"{series}_{SECOND}", {"start": {"dateTime": "2026-03-09T08:00:00Z"}})
    assert moved["recurringEventId"] == series
    assert moved["originalStartTime"]["dateTime"] == "2026-03-09T10:00:00+01:00"
    assert set(world.items()) == set(world.items(BOB)) == {series, moved["id"]}
    assert world.get(moved["id"], BOB)["start"] == moved["start"]


def test_a_deleted_occurrence_is_a_cancelled_exception_and_twice_is_410(world: World) -> None:
    series = meeting(world, BOB, recurrence=[WEEKLY])
    world.delete(f"{series}_{SECOND}")
    for email in (ANN, BOB):
        assert world.get(f"{series}_{SECOND}", email)["status"] == "cancelled"
        assert world.get(series, email)["status"] == "confirmed"
    assert refused(lambda: world.delete(f"{series}_{SECOND}")) == (410, "deleted")
    assert world.patch(f"{series}_{SECOND}", {"status": "confirmed"})["summary"] == "Lunch"


def test_exceptions_follow_the_series_in_what_they_did_not_change(world: World) -> None:
    series = meeting(world, BOB, recurrence=[WEEKLY])
    world.patch(f"{series}_{SECOND}", {"location": "Garden"})
    world.patch(series, {"summary": "Dinner", "location": "Kitchen"})
    for email in (ANN, BOB):
        exception = world.get(f"{series}_{SECOND}", email)
        assert (exception["summary"], exception["location"]) == ("Dinner", "Garden")


def test_a_cancelled_occurrence_is_no_news_when_its_series_changes_and_is_up_to_date_when_restored(
    world: World,
) -> None:
    series = meeting(world, BOB, recurrence=[WEEKLY])
    world.delete(f"{series}_{SECOND}")
    tokens = {email: world.synced(email) for email in (ANN, BOB)}
    world.patch(series, {"summary": "Dinner"})
    for email, token in tokens.items():
        assert set(world.items(email, syncToken=token)) == {series}
    world.patch(f"{series}_{SECOND}", {"status": "confirmed"})
    for email in (ANN, BOB):
        assert world.get(f"{series}_{SECOND}", email)["summary"] == "Dinner"


def test_a_new_start_of_the_series_gives_its_occurrences_new_names(world: World) -> None:
    series = meeting(world, recurrence=[WEEKLY])
    world.patch(f"{series}_{SECOND}", {"location": "Garden"})
    token = world.synced()
    start, end = {"dateTime": "2026-03-02T10:00:00Z"}, {"dateTime": "2026-03-02T11:00:00Z"}
    world.patch(series, {"start": start, "end": end})
    changes = world.items(syncToken=token)
    assert changes[f"{series}_{SECOND}"]["status"] == "cancelled"
    assert world.get(f"{series}_20260309T100000Z")["status"] == "confirmed"


def test_the_end_of_a_series_is_the_end_of_its_exceptions(world: World) -> None:
    series = meeting(world, BOB, recurrence=[WEEKLY])
    world.patch(f"{series}_{SECOND}", {"location": "Garden"})
    world.delete(series)
    for email in (ANN, BOB):
        assert world.get(f"{series}_{SECOND}", email)["status"] == "cancelled"
    world.patch(series, {"status": "confirmed"})
    assert world.get(f"{series}_{SECOND}", BOB)["location"] == "Garden"


def test_a_guest_of_one_occurrence_holds_an_exception_without_a_series(world: World) -> None:
    series = meeting(world, BOB, recurrence=[WEEKLY])
    world.patch(f"{series}_{SECOND}", {"attendees": guests(BOB, CID)})
    (alone,) = world.items(CID).values()
    assert alone["recurringEventId"] == series
    assert refused(lambda: world.get(series, CID)) == (404, "notFound")


def test_a_guest_taken_off_one_occurrence_misses_that_one_only(world: World) -> None:
    series = meeting(world, BOB, CID, recurrence=[WEEKLY])
    world.patch(f"{series}_{SECOND}", {"attendees": guests(CID)})
    assert world.get(f"{series}_{SECOND}", BOB)["status"] == "cancelled"
    assert world.get(series, BOB)["status"] == "confirmed"


def test_a_guest_invited_later_learns_of_cancelled_occurrences_too(world: World) -> None:
    series = meeting(world, recurrence=[WEEKLY])
    world.delete(f"{series}_{SECOND}")
    world.patch(series, {"attendees": guests(BOB)})
    assert world.items(BOB, showDeleted=True)[f"{series}_{SECOND}"]["status"] == "cancelled"


def test_an_answer_for_one_occurrence_is_an_exception_everywhere(world: World) -> None:
    series = meeting(world, BOB, recurrence=[WEEKLY])
    world.patch(series, rsvp(BOB, "accepted"), BOB)
    world.patch(f"{series}_{SECOND}", rsvp(BOB, "declined"), BOB)
    assert answers(world.get(f"{series}_{SECOND}")) == {BOB: "declined"}
    assert answers(world.get(series)) == {BOB: "accepted"}


def test_a_guests_own_exception_still_follows_the_series(world: World) -> None:
    series = meeting(world, BOB, recurrence=[WEEKLY])
    world.patch(f"{series}_{SECOND}", {"colorId": "3"}, BOB)
    assert set(world.items()) == {series}
    world.patch(series, {"summary": "Dinner"})
    mine = world.get(f"{series}_{SECOND}", BOB)
    assert (mine["summary"], mine["colorId"]) == ("Dinner", "3")


def test_a_guest_who_deletes_one_occurrence_declines_that_one(world: World) -> None:
    series = meeting(world, BOB, recurrence=[WEEKLY])
    world.delete(f"{series}_{SECOND}", BOB)
    assert world.get(f"{series}_{SECOND}", BOB)["status"] == "cancelled"
    assert answers(world.get(f"{series}_{SECOND}")) == {BOB: "declined"}
    assert answers(world.get(series)) == {BOB: "needsAction"}


# ---- people elsewhere ------------------------------------------------------------------------------------


def test_an_invitation_from_outside_is_one_meeting_for_all_invited_here(world: World) -> None:
    eve = world.api.outsider(EVE)
    ident = eve.create("Pitch", at(3, 2, 10), at(3, 2, 11), guests=[ANN, BOB])
    assert world.get(ident)["organizer"] == {"email": EVE}
    assert refused(lambda: world.patch(ident, {"summary": "x"})) == NOT_YOURS
    world.patch(ident, rsvp(ANN, "accepted"))
    assert answers(world.get(ident, BOB)) == answers(eve.event(ident))
    assert answers(eve.event(ident))[ANN] == "accepted"
    assert refused(lambda: world.page(calendarId=EVE)) == (404, "notFound")
    eve.delete(ident)
    assert world.get(ident)["status"] == "cancelled"


# ---- letters ---------------------------------------------------------------------------------------------


def letters(world: World) -> list[tuple[str, str]]:
    """Who was told of what, in order; the log is empty afterwards."""
    found: list[tuple[str, str]] = [(mail.to, mail.kind) for mail in world.api.mails]
    world.api.mails.clear()
    return found


def test_nobody_is_told_of_anything_unless_asked(world: World) -> None:
    ident = meeting(world, BOB, EVE)
    world.patch(ident, {"summary": "x"})
    world.patch(ident, rsvp(BOB, "accepted"), BOB, sendUpdates="none")
    world.put(ident, event(attendees=guests(BOB)))
    world.delete(ident)
    assert world.api.mails == []


def test_all_are_told_or_only_those_elsewhere(world: World) -> None:
    for mode, told in (("all", [BOB, EVE]), ("externalOnly", [EVE])):
        ident = world.insert(body=event(attendees=guests(ANN, BOB, EVE)), sendUpdates=mode)["id"]
        assert letters(world) == [(one, "invitation") for one in told]
        world.patch(ident, {"summary": "x"}, sendUpdates=mode)
        assert letters(world) == [(one, "update") for one in told]
        world.delete(ident, sendUpdates=mode)
        assert letters(world) == [(one, "cancellation") for one in told]


def test_those_who_join_are_invited_and_those_who_go_are_told(world: World) -> None:
    ident = meeting(world, BOB, CID)
    world.patch(ident, {"attendees": guests(CID, EVE)}, sendUpdates="all")
    assert set(letters(world)) == {(EVE, "invitation"), (BOB, "cancellation"), (CID, "update")}


def test_the_organizer_is_told_of_answers(world: World) -> None:
    ident = meeting(world, BOB)
    world.patch(ident, rsvp(BOB, "accepted"), BOB, sendUpdates="all")
    assert letters(world) == [(ANN, "response")]
    world.delete(ident, BOB, sendUpdates="all")
    assert letters(world) == [(ANN, "response")]


def test_the_older_parameter_still_sends_letters(world: World) -> None:
    world.insert(body=event(attendees=guests(BOB)), sendNotifications=True)
    (mail,) = world.api.mails
    assert (mail.cause, mail.calendar, mail.summary) == ("events.insert", ANN, "Lunch")


def test_reminders_are_no_news(world: World) -> None:
    ident = meeting(world, BOB)
    world.patch(ident, {"reminders": {"useDefault": False}}, sendUpdates="all")
    assert world.api.mails == []


def test_an_unknown_mode_is_refused(world: World) -> None:
    ident = meeting(world, BOB)
    path = partial(world.events().patch, calendarId="primary", eventId=ident, body={"summary": "x"})
    with pytest.raises(TypeError):
        path(sendUpdates="everybody")
