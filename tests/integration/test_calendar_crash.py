"""A run of a calendar is broken at every boundary (a call of Google, a commit) in every way, in one scenario after the
other; each time the next runs must end where the undisturbed one does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from core.event import from_json, to_json
from models.links import SentRow
from sync.activity_book import delete_activity, restore_activity
from tests.support.calendar_crash import CalendarScene, Frozen, calendar_scene
from tests.support.calendar_world import ANN, BOB, ELSEWHERE, WEEKLY, meeting
from tests.support.crash import CRASHES, FAULTS, Played, break_everywhere

Act = Callable[[CalendarScene], None]
SCENARIOS: dict[str, Scenario] = {}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happened when the run of `who` begins that will be broken. `records`: how many activities there are in the
    end, and how many events Ann and Bob see."""

    act: Act
    who: str
    records: tuple[int, int, int]


def scenario(activities: int = 1, ann: int = 1, bob: int = 0, *, who: str = ANN) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        SCENARIOS[act.__name__] = Scenario(act, who, (activities, ann, bob))
        return act

    return enter


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CalendarScene]:
    """Ann and Bob, whose calendars are empty."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with calendar_scene(tmp_path_factory.mktemp("scene"), ANN, BOB) as made:
        yield made


@pytest.fixture(scope="module")
def empty(scene: CalendarScene) -> Frozen:
    return scene.freeze()


# ---- scenarios ---------------------------------------------------------------------------------------------


def call(scene: CalendarScene, *guests: str) -> tuple[str, str]:
    """A meeting that everybody's sync has seen; its ids in the CRM and at Google."""
    remote = scene.put("Call", "2026-03-10", *guests)
    scene.settle()
    return scene.row().id, remote


def weekly(scene: CalendarScene, *guests: str) -> str:
    """A series with a moved and a cancelled occurrence, on both sides; its id at Google."""
    series = scene.put("Weekly", "2026-03-03", *guests, repeat=WEEKLY)
    scene.move(series, "2026-03-17")
    scene.book().cancel_occurrence(scene.occurrence(series, "2026-03-24"))
    scene.settle()
    return series


def workspace(scene: CalendarScene) -> str:
    return scene.people[ANN].workspace_id


@scenario(3, 3, 1)
def the_first_run_both_ways(scene: CalendarScene) -> None:
    scene.put("Theirs", "2026-03-10", BOB)
    scene.add(meeting("Ours", "2026-03-11", ELSEWHERE))
    scene.add(meeting("Weekly", "2026-03-03", recurrence=(WEEKLY,)))


@scenario(3, 2, 2)
def a_series_with_exceptions_comes_in(scene: CalendarScene) -> None:
    series = scene.put("Weekly", "2026-03-03", BOB, repeat=WEEKLY)
    scene.move(series, "2026-03-17")
    scene.book().cancel_occurrence(scene.occurrence(series, "2026-03-24"))


@scenario()
def an_edit_in_the_crm(scene: CalendarScene) -> None:
    one, _ = call(scene)
    scene.edit(one, location="Room 1")


@scenario(1, 1, 1)
def edits_of_both_sides(scene: CalendarScene) -> None:
    one, remote = call(scene, BOB)
    scene.edit(one, location="Room 1")
    scene.book().edit(remote, summary="Kick-off")


@scenario()
def a_conflict(scene: CalendarScene) -> None:
    one, remote = call(scene)
    scene.book().edit(remote, location="earlier, at Google", summary="Kick-off")
    scene.pass_time(1)
    scene.edit(one, location="later, in the CRM")


@scenario(3, 2, 2)
def an_occurrence_and_its_series_edited_in_the_crm(scene: CalendarScene) -> None:
    weekly(scene, BOB)
    rows = scene.series()
    scene.edit(rows[""].id, location="Room 1")
    scene.edit(rows["2026-03-17T09:00:00Z"].id, title="Special")


@scenario(1, 0, 0)
def deleted_at_google(scene: CalendarScene) -> None:
    _, remote = call(scene, BOB)
    scene.book().delete(remote)


@scenario(3, 0, 0)
def a_series_deleted_in_the_crm(scene: CalendarScene) -> None:
    weekly(scene, BOB)
    delete_activity(scene.app, workspace(scene), scene.series()[""].id)


@scenario(3, 2, 2)
def a_series_deleted_and_restored_in_the_crm(scene: CalendarScene) -> None:
    a_series_deleted_in_the_crm(scene)
    scene.settle()
    restore_activity(scene.app, workspace(scene), scene.series()[""].id)


@scenario(1, 1, 1)
def an_edit_in_the_crm_beats_a_deletion_at_google(scene: CalendarScene) -> None:
    one, remote = call(scene, BOB)
    scene.book().delete(remote)
    scene.edit(one, title="On after all")


@scenario(1, 1, 1)
def taken_back_at_google(scene: CalendarScene) -> None:
    _, remote = call(scene, BOB)
    scene.book().delete(remote)
    scene.settle()
    scene.book().restore(remote)


@scenario(3, 2, 2, who=BOB)
def a_guest_syncs_what_the_organizer_synced_before(scene: CalendarScene) -> None:
    series = scene.put("Weekly", "2026-03-03", BOB, repeat=WEEKLY)
    scene.move(series, "2026-03-17")
    scene.book().cancel_occurrence(scene.occurrence(series, "2026-03-24"))
    scene.run(ANN)


@scenario(1, 1, 1)
def the_organizer_syncs_what_a_guest_synced_before(scene: CalendarScene) -> None:
    scene.put("Call", "2026-03-10", BOB)
    scene.run(BOB)
    scene.edit(scene.row().id, location="Room 1")


@scenario(3, 2, 0)
def everything_is_read_anew(scene: CalendarScene) -> None:
    kept, gone = scene.put("Kept"), scene.put("Gone")
    scene.settle()
    scene.book().edit(kept, location="Room 1")
    scene.book().delete(gone)
    scene.put("New")
    scene.google.expire_sync_tokens()


@scenario(1, 1, 0)
def somebody_else_organizes(scene: CalendarScene) -> None:
    scene.put("Theirs", "2026-03-10", ANN, who=ELSEWHERE)
    scene.run(ANN)
    scene.pass_time()
    scene.edit(scene.row().id, title="Not ours")


# ---- breaking ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_run_may_break_anywhere(name: str, scene: CalendarScene, empty: Frozen) -> None:
    scene.thaw(empty)
    SCENARIOS[name].act(scene)
    begun = scene.freeze()
    # What a commit that fails, and not the process, leaves behind is tested with contacts: the engine is the same.
    clean, tried = break_everywhere(
        lambda at, kind: play(scene, begun, SCENARIOS[name], at, kind),
        lambda boundary: CRASHES if boundary == "commit" else FAULTS,
    )
    assert (len(clean.end["crm"]), len(clean.end[ANN]), len(clean.end[BOB])) == SCENARIOS[name].records
    assert tried >= 12
    print(f"{name}: {tried} broken runs over {clean.boundaries}")


def play(scene: CalendarScene, begun: Frozen, story: Scenario, at: int, kind: str) -> Played:
    """Go on from when the scenario was set, break the run there, settle; what came of it."""
    scene.thaw(begun)
    scene.broken_run(story.who, at, kind)
    boundaries = list(scene.breaks.names)
    settle(scene, [ANN, BOB] if story.records[2] or story.who == BOB else [ANN])
    return Played(state(scene), boundaries)


def settle(scene: CalendarScene, users: Sequence[str], most: int = 4) -> None:
    """They all run until nothing at all is written; what has nothing to report writes nothing on either side."""
    for _ in range(most):
        scene.pass_time()
        before, there = scene.memory(), scene.versions()
        reports = [scene.run(who) for who in users]
        assert all(report.outcome == "ok" for report in reports), reports
        if not any(report.counts for report in reports):
            assert scene.versions() == there, "a run without changes wrote at Google"
            if scene.memory() == before:
                return
    raise AssertionError(f"not quiet after {most} rounds: {scene.reports[-2:]}")


def state(scene: CalendarScene) -> dict[str, Any]:
    """What both sides hold and the history keeps, in a form that does not depend on ids and times."""
    rows = scene.rows()
    users = {who.user_id: address for address, who in scene.people.items()}
    mains = {account: address for address, account in scene.accounts.items()} | {"": ""}
    mine = {row.id: told(to_json(from_json(row.body)), "uid") for row in rows}
    with scene.app.db.reading() as session:
        unanswered = session.scalars(select(SentRow.local_id)).all()
    return {
        "crm": sorted(
            (
                mine[row.id],
                row.cancelled_at is None,
                row.deleted_at is None,
                users[row.owner_id],
                row.stand_in,
                mains[row.main_account],
            )
            for row in rows
        ),
        "meetings": sorted(sorted(row.original for row in rows if row.uid == uid) for uid in {row.uid for row in rows}),
        "lost": sorted({repr((row.label, one)) for row in scene.history() for one in row.lost}),
        "unanswered": len(unanswered),
        **{f"pairs of {who}": sorted(mine[one] for one in scene.links(who)) for who in scene.accounts},
        **{who: sorted(map(seen, scene.shown(who).values())) for who in scene.accounts},
    }


def seen(event: dict[str, Any]) -> str:
    return told(event, "id", "etag", "updated", "created", "iCalUID", "htmlLink", "sequence", "recurringEventId")


def told(values: dict[str, Any], *without: str) -> str:
    left = {name: value for name, value in values.items() if name not in (*without, "extendedProperties")}
    return repr(sorted(left.items()))
