"""The steps of `twinbox demo` in which contacts leave: nobody is deleted, and a mass change waits for somebody.
Access and removal are `cli.demo_linking`."""

from __future__ import annotations

from cli.demo_book import (
    QUIET,
    book,
    calls,
    choice,
    google_now,
    has_tag,
    in_step,
    label,
    members,
    mine,
    plan,
    sync_contacts,
    theirs,
)
from cli.demo_contacts import LABEL, TAG
from cli.demo_records import rows_of
from cli.demo_story import Stage, Step, check, overview, part
from core.types import Channel
from models.link_queries import held_of_run
from sandbox.world_people import IVAN, LEO, OLIVIA, PRIYA
from sync.contact_book import delete_contact
from sync.held import discard_held
from sync.tags import tag_contacts, untag_contacts

NEW_LABEL = "Customers"
PAIRS = "contacts", "contact_tags", "links"


def untagged(stage: Stage) -> None:
    """Olivia loses the tag in the CRM, and gets it again."""
    world, olivia = stage.world, mine(stage, OLIVIA)
    name, count = theirs(stage, OLIVIA), len(book(stage).persons())
    untag_contacts(world.app, world.workspace, stage.tag_id, [olivia.id])
    stage.screen.tell("CRM", f"Olivia loses the tag {TAG!r}")
    stage.screen.tell("Twinbox", "takes her out of the label; deleting somebody at Google is not in its vocabulary")
    report = sync_contacts(stage)
    check(stage, "she left the label", ({"taken out of the group": 1}, False), (report.counts, name in members(stage)))
    check(stage, "she is still one of Anna's contacts", True, name in book(stage).persons())
    tag_contacts(world.app, world.workspace, stage.tag_id, [olivia.id])
    stage.screen.tell("CRM", "Olivia gets the tag again")
    report = sync_contacts(stage)
    check(
        stage,
        "the same two records are a pair again, nobody was made anew",
        ({"put into the group": 1}, name, count),
        (report.counts, theirs(stage, OLIVIA), len(book(stage).persons())),
    )


def taken_out(stage: Stage) -> None:
    """Anna takes Priya out of the label."""
    book(stage).take_from(label(stage), theirs(stage, PRIYA))
    stage.screen.tell("Google", "Anna takes Priya out of the label")
    stage.screen.tell("Twinbox", "takes the tag from her, no more: a CRM must not forget a person because of that")
    report = sync_contacts(stage)
    check(stage, "she lost the tag", ({"untagged": 1}, False), (report.counts, has_tag(stage, PRIYA)))
    check(stage, "she is still in the CRM", None, mine(stage, PRIYA).deleted_at)


def deleted_there(stage: Stage) -> None:
    """Anna deletes Leo at Google."""
    book(stage).delete(theirs(stage, LEO))
    stage.screen.tell("Google", "Anna deletes Leo")
    stage.screen.tell("Twinbox", "takes the tag from him and keeps him")
    report = sync_contacts(stage)
    check(stage, "he lost the tag", ({"untagged": 1}, False), (report.counts, has_tag(stage, LEO)))
    leo = mine(stage, LEO)
    check(stage, "he is still in the CRM, all of him", ("crm-2002", None, "Brandt & Co"), _kept(leo))


def _kept(row: object) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in ("external_id", "deleted_at", "organization"))


def deleted_here(stage: Stage) -> None:
    """The CRM deletes Иван."""
    world, name, ivan = stage.world, theirs(stage, IVAN), mine(stage, IVAN)
    delete_contact(world.app, world.workspace, ivan.id)
    stage.screen.tell("CRM", f"{ivan.name} is deleted")
    stage.screen.tell("Twinbox", "takes him out of the label; Anna keeps her contact")
    report = sync_contacts(stage)
    check(stage, "he left the label", ({"taken out of the group": 1}, False), (report.counts, name in members(stage)))
    check(stage, "he is still one of Anna's contacts", True, name in book(stage).persons())


def emptied(stage: Stage) -> None:
    """Anna empties the label by mistake."""
    everybody = sorted(members(stage))
    book(stage).take_from(label(stage), *everybody)
    google, before = google_now(stage), rows_of(stage, *PAIRS)
    stage.screen.tell("Google", f"Anna selects all {len(everybody)} people of the label, and takes them out of it")
    stage.screen.tell("Twinbox", "would have to untag everybody: it stops, writes nothing, and asks (the brake)")
    made = plan(stage)
    check(stage, "the look ahead says that it would be held", True, bool(made.held))
    report = sync_contacts(stage, "held")
    with stage.world.app.db.reading() as session:
        held = held_of_run(session, stage.world.workspace, report.run_id)
    waiting = len(held["lines"]) if held else 0
    state = overview(stage, Channel.CONTACTS)["state"]
    check(stage, "the run is held, with a line for each", ("held", len(everybody)), (state, waiting))
    check(
        stage,
        "nobody was untagged, nothing was written on either side",
        (google, before),
        (google_now(stage), rows_of(stage, *PAIRS)),
    )
    _put_right(stage, everybody, before)


def _put_right(stage: Stage, everybody: list[str], before: dict[str, list[object]]) -> None:
    world = stage.world
    stage.screen.tell("CRM", "somebody says no (twinbox runs discard); `runs confirm` would let it happen")
    discard_held(world.app, world.workspace, stage.account_id)
    due = overview(stage, Channel.CONTACTS)["next_run_at"]
    check(stage, "the channel waits until it is started by hand", None, due)
    book(stage).put_under(label(stage), *everybody)
    stage.screen.tell("Google", "Anna puts them back, and the sync is started by hand")
    report = sync_contacts(stage)
    check(
        stage,
        "all is as it was: nobody lost the tag, nothing is held",
        ({}, before["contact_tags"], None),
        (report.counts, rows_of(stage, *PAIRS)["contact_tags"], choice(stage).held),
    )
    check(stage, "the same pairs", len(everybody), overview(stage, Channel.CONTACTS)["contacts"])


def renamed(stage: Stage) -> None:
    """Anna renames the label."""
    name, before = label(stage), rows_of(stage, *PAIRS)
    book(stage).rename_label(name, NEW_LABEL)
    stage.screen.tell("Google", f"Anna renames the label {LABEL!r} to {NEW_LABEL!r}")
    stage.screen.tell("Twinbox", "knows it by its resource name, and follows")
    report = sync_contacts(stage)
    check(stage, "the setting has the new name", NEW_LABEL, choice(stage).group)
    check(
        stage,
        "no second label, nobody left or came",
        (name, {}, before),
        (label(stage), report.counts, rows_of(stage, *PAIRS)),
    )
    check(stage, "Google was only asked what had changed", QUIET, calls(stage))
    in_step(stage, "both sides hold the same", OLIVIA)


LEAVING = part(
    "Contacts: leaving is never deleting",
    Step("Untagged in the CRM, and tagged again", untagged),
    Step("Taken out of the label", taken_out),
    Step("Deleted at Google", deleted_there),
    Step("Deleted in the CRM", deleted_here),
    Step("Anna empties the label by mistake", emptied, brief=False),
    Step("The label gets another name", renamed),
)
