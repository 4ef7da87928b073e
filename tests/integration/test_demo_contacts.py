"""Each step of `twinbox demo` about contacts fails when something goes wrong: a fault, and the check it breaks."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli import demo_contacts as meeting
from cli import demo_edits as edits
from cli import demo_leaving as leaving
from cli import demo_linking as linking
from cli.demo_book import book, contact, edit_mine, label, mine, theirs
from cli.demo_deeds import DEEDS
from cli.demo_mail import first_sync
from cli.demo_records import pairs
from cli.demo_story import CheckFailed, Stage
from cli.demo_world import demo_world
from core.types import Channel
from sandbox.world_letters import ANNA_ADDRESS
from sandbox.world_people import BUSINESS, HELENE, IVAN, JUERGEN, KATRIN, LEO, OLIVIA, PRIVATE, PRIYA, TOM
from sync.contact_book import delete_contact
from sync.tags import make_tag, tag_contacts, untag_contacts
from tests.support.demo_stage import Play, once, played

GROUPS = "contactGroups.list"  # the first call of every run
CREATED, UPDATED, MOVED = "people.batchCreateContacts", "people.batchUpdateContacts", "members.modify"
LINKED = (linking.start, linking.link)
CHOSEN = (*LINKED, meeting.chosen)
RUNNING = (*CHOSEN, meeting.first_run)
MOVED_IN = (*RUNNING, meeting.moved_in)
AGAIN = (*MOVED_IN, first_sync, linking.revoked, linking.relinked)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def touch_a_private_contact(stage: Stage) -> None:
    persons = book(stage).persons().items()
    book(stage).touch(next(name for name, one in persons if "@home.example" in one["emailAddresses"][0]["value"]))


def edited(who: str, **fields: object) -> Play:
    return lambda stage: book(stage).edit(theirs(stage, who), fields)


def worked_as(who: str, title: str) -> Play:
    return edited(who, organizations=[{"name": "Nordwind Ltd", "title": title}])


def deleted(who: str) -> Play:
    return lambda stage: book(stage).delete(theirs(stage, who))


def deleted_here(who: str) -> Play:
    def play(stage: Stage) -> None:
        delete_contact(stage.world.app, stage.world.workspace, mine(stage, who).id)

    return play


def tagged(who: str) -> Play:
    def play(stage: Stage) -> None:
        tag_contacts(stage.world.app, stage.world.workspace, stage.tag_id, [mine(stage, who).id])

    return play


def untagged(who: str) -> Play:
    def play(stage: Stage) -> None:
        untag_contacts(stage.world.app, stage.world.workspace, stage.tag_id, [mine(stage, who).id])

    return play


def put_under(who: str) -> Play:
    return lambda stage: book(stage).put_under(label(stage), theirs(stage, who))


def taken_out(who: str) -> Play:
    return lambda stage: book(stage).take_from(label(stage), theirs(stage, who))


def a_personal_tag_of_that_name(stage: Stage) -> None:
    make_tag(stage.world.app, stage.world.workspace, meeting.COMPANY_TAG, owner=ANNA_ADDRESS)


def a_deletion(stage: Stage) -> None:
    stage.world.google.people.violations.append("people.deleteContact people/c1")


# The step, what is played before it, what goes wrong, and the check that must not hold then.
FAULTS: list[tuple[Play, Sequence[Play], Play, str]] = [
    (meeting.chosen, LINKED, a_personal_tag_of_that_name, "a corporate tag cannot be chosen, and nothing changed"),
    (meeting.looked_ahead, CHOSEN, once(GROUPS, touch_a_private_contact), "nothing was written"),
    (meeting.first_run, CHOSEN, once(CREATED, touch_a_private_contact), "Anna's own contacts were not touched"),
    (meeting.quiet, RUNNING, once(GROUPS, touch_a_private_contact), "nothing was written on either side"),
    (meeting.moved_in, RUNNING, once(GROUPS, taken_out(TOM)), "three came in"),
    (
        meeting.joined,
        RUNNING,
        once(GROUPS, edited(JUERGEN, emailAddresses=[])),
        "joined, not doubled; he keeps the CRM's own id",
    ),
    (meeting.asked, RUNNING, deleted_here("crm-2009"), "one decision waits, with both candidates"),
    (edits.merged, MOVED_IN, once(UPDATED, edited(PRIYA, nicknames=[{"value": "P"}])), "one update on each side"),
    (edits.conflict, MOVED_IN, once(GROUPS, worked_as(TOM, edits.OUR_TITLE)), "the later writer won"),
    (edits.restored, (*MOVED_IN, edits.conflict), once(UPDATED, worked_as(TOM, "x")), "it is back here and at Google"),
    (edits.untouched, MOVED_IN, once(UPDATED, edited(TOM, userDefined=[])), "photo, own fields and relations are"),
    (edits.explained, MOVED_IN, tagged(KATRIN), "each has an answer"),
    (
        edits.taken_back,
        (*MOVED_IN, meeting.joined),
        once(GROUPS, lambda stage: edit_mine(stage, HELENE, title="x")),
        "it came in as any edit does",
    ),
    (leaving.untagged, RUNNING, once(MOVED, deleted(OLIVIA)), "she left the label"),
    (leaving.taken_out, MOVED_IN, untagged(PRIYA), "she lost the tag"),
    (leaving.deleted_there, RUNNING, untagged(LEO), "he lost the tag"),
    (leaving.deleted_here, RUNNING, once(MOVED, deleted(IVAN)), "he left the label"),
    (leaving.emptied, MOVED_IN, once(GROUPS, put_under(TOM)), "the look ahead says that it would be held"),
    (leaving.renamed, MOVED_IN, taken_out(TOM), "no second label, nobody left or came"),
    (linking.go_on, AGAIN, once(GROUPS, worked_as(TOM, "x")), "the two edits that were missed travelled"),
    (linking.removed, MOVED_IN, a_deletion, "in the whole story no contact was deleted at Google"),
]


@pytest.mark.parametrize(("step", "before", "fault", "text"), FAULTS, ids=[step.__name__ for step, *_ in FAULTS])
def test_a_step_fails_when_its_check_does_not_hold(step: Play, before: Sequence[Play], fault: Play, text: str) -> None:
    with played(before) as stage:
        fault(stage)
        with pytest.raises(CheckFailed) as failed:
            step(stage)
    assert failed.value.text.startswith(text), (failed.value.expected, failed.value.found)


def test_every_step_about_contacts_has_such_a_test() -> None:
    steps = {one.play for one in (*meeting.MEETING, *edits.EDITS, *leaving.LEAVING)}
    assert steps <= {step for step, *_ in FAULTS}


def test_a_contact_that_is_missing_or_doubled_at_google_ends_the_story_with_a_reason() -> None:
    with played(CHOSEN) as stage:
        for address in ("nobody@example.com", ""):
            with pytest.raises(CheckFailed, match="one contact at Google"):
                theirs(stage, address)
        with pytest.raises(CheckFailed, match="Anna has one label"):
            label(stage)


def test_somebody_can_play_on_with_the_contacts() -> None:
    with played((*MOVED_IN, leaving.taken_out)) as stage:

        def press(keys: str) -> str:
            return [DEEDS[key][1](stage) for key in keys][-1]

        count = len(pairs(stage, Channel.CONTACTS))
        stage.world.clock.advance(3_600)
        press("c")
        assert press("ic").startswith(f"{count + 1} contacts are in step")
        press("fec")
        assert contact(stage, TOM).title.startswith("Buyer since")
        stage.world.clock.advance(3_600)
        assert "held" in press("bc")
        assert press("ngc").startswith(f"{count + 1} contacts are in step, the channel is linked.")
        press("oc")
        assert len(pairs(stage, Channel.CONTACTS)) == count
        assert "asks" not in press("r")
        press("c")
        assert press("k") == f"{ANNA_ADDRESS} is linked again."


def test_the_books_of_the_demo_world_are_the_same_every_time() -> None:
    with demo_world(browser=False) as one, demo_world(browser=False) as two:
        first, second = (world.google.people.book(ANNA_ADDRESS).stored() for world in (one, two))
    assert [card["emailAddresses"] for card in first.values()] == [card["emailAddresses"] for card in second.values()]
    assert len(first) == PRIVATE + BUSINESS
