"""Random lives of meetings in the Calendar double: every way of looking at a calendar tells the same.
Single rules are in the other test_sandbox_calendar_*; here only what must hold whatever happened."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from googleapiclient.errors import HttpError

from tests.unit.test_sandbox_calendar_fidelity import ANN, BOB, CID, Json, World, at, event, guests, new_world

PEOPLE = (ANN, BOB, CID)
WINDOW = (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
RULES = ("RRULE:FREQ=WEEKLY", "RRULE:FREQ=DAILY;COUNT=9", "RRULE:FREQ=WEEKLY;COUNT=5", "")


def one_act(world: World, rng: random.Random) -> None:
    """Something that somebody does to a meeting, if it can be done."""
    who = rng.choice(PEOPLE)
    book = world.api.book(who)
    events = sorted(book.events(deleted=True))
    if not events or rng.random() < 0.15:
        rule = rng.choice(RULES)
        others = rng.sample(PEOPLE, rng.randrange(3))
        book.create("New", at(3, rng.randrange(1, 9), 10), at(3, 10, 11), repeat=rule, guests=others)
        return
    target = rng.choice(events)
    rows = [one for one in book.expanded(*WINDOW) if one.get("recurringEventId") == target]
    if rows and rng.random() < 0.6:
        target = rng.choice(rows)["id"]
    day = rng.randrange(1, 28)
    title = f"T{rng.randrange(9)}"
    acts: list[Callable[[], object]] = [
        lambda: book.edit(target, "this", summary=title),
        lambda: book.edit(target, "all", summary=title, location=title),
        lambda: book.edit(target, "following", summary=title),
        lambda: book.edit(target, "all", start=at(3, day, 9), end=at(3, day, 12)),
        lambda: book.move_occurrence(target, at(4, day, 9), at(4, day, 12)),
        lambda: book.delete(target, rng.choice(("this", "following", "all"))),
        lambda: book.restore(target),
        lambda: book.invite(target, rng.choice(PEOPLE)),
        lambda: book.uninvite(target, rng.choice(PEOPLE)),
        lambda: book.answer(target, rng.choice(("accepted", "declined"))),
        lambda: book.colour(target, str(rng.randrange(1, 9))),
        lambda: world.patch(target, {"attendees": guests(*rng.sample(PEOPLE, 2))}, who),
        lambda: world.patch(target, {"start": event()["start"], "end": event()["end"]}, who),
        lambda: world.delete(target, who),
    ]
    try:
        rng.choice(acts)()
    except (ValueError, KeyError, HttpError):
        return  # not allowed to this person, or not possible now


def living(rows: dict[str, Json]) -> dict[str, Json]:
    return {ident: one for ident, one in rows.items() if one["status"] != "cancelled"}


def shown(world: World, who: str) -> dict[tuple[str, str], tuple[str, str]]:
    """What takes place for somebody: by meeting and original start, when and under which title."""
    rows = world.api.book(who).expanded(*WINDOW)
    return {
        (one["iCalUID"], str(one.get("originalStartTime"))): (str(one["start"]), one.get("summary", "")) for one in rows
    }


@pytest.mark.parametrize("seed", range(6))
def test_following_changes_leads_to_the_same_as_reading_everything(seed: int) -> None:
    world, rng = new_world(seed), random.Random(seed)
    token, mirror = world.synced(), dict[str, Json]()
    for _ in range(60):
        world.clock.advance(60)
        one_act(world, rng)
        if rng.random() < 0.3:
            page = world.page(syncToken=token)
            token = page["nextSyncToken"]
            mirror |= {one["id"]: one for one in page["items"]}
    mirror |= world.items(syncToken=token)
    assert living(mirror) == living(world.items(showDeleted=True))
    cancelled = {ident for ident, one in mirror.items() if one["status"] == "cancelled"}
    assert cancelled == {ident for ident, one in world.items(showDeleted=True).items() if one["status"] == "cancelled"}
    assert world.api.mails == []


@pytest.mark.parametrize("seed", range(6))
def test_guests_see_what_the_organizer_sees_unless_they_took_it_off(seed: int) -> None:
    world, rng = new_world(seed), random.Random(seed + 1000)
    for _ in range(60):
        world.clock.advance(60)
        one_act(world, rng)
    views = {who: shown(world, who) for who in PEOPLE}
    for organizer in PEOPLE:
        for row in world.api.book(organizer).expanded(*WINDOW):
            if not row["organizer"].get("self"):
                continue
            name = (row["iCalUID"], str(row.get("originalStartTime")))
            for one in row.get("attendees", []):
                if one["email"] in (organizer, "") or one["responseStatus"] == "declined":
                    continue  # a guest who declined may have taken it off
                if took_off(world, one["email"], row):
                    continue
                assert views[one["email"]].get(name) == views[organizer][name], (name, one["email"])


def took_off(world: World, who: str, row: Json) -> bool:
    """Whether a guest removed this event, its series or its occurrence from their calendar."""
    agenda = world.api._world.agendas[who]
    ids = {row["id"], row.get("recurringEventId", "")}
    return any(one.removed for ident, one in agenda.events.items() if ident in ids)


@pytest.mark.parametrize("seed", range(3))
def test_single_events_are_the_series_expanded(seed: int) -> None:
    world, rng = new_world(seed), random.Random(seed + 2000)
    for _ in range(40):
        world.clock.advance(60)
        one_act(world, rng)
    start, end = (one.isoformat() for one in WINDOW)
    listed = world.items(singleEvents=True, timeMin=start, timeMax=end, maxResults=2500)
    assert listed == {one["id"]: one for one in world.ann.expanded(*WINDOW)}
