"""The steps of `twinbox demo` in which contacts are changed: on both sides, in one field, and taken back.
How the two sides met is `cli.demo_contacts`."""

from __future__ import annotations

from dataclasses import replace

from cli.demo_book import (
    book,
    contact,
    edit_mine,
    google_now,
    in_step,
    lost_lately,
    mine,
    plan,
    sync_contacts,
    theirs,
)
from cli.demo_records import crm_now, deed_in_words
from cli.demo_story import CheckFailed, Stage, Step, check, part
from core.contact import Entry
from core.types import Channel
from models.deed_records import history_of
from models.link_queries import explain_contact
from sandbox.world_people import CLUB, HELENE, JUERGEN, KATRIN, PRIYA, TOM
from sync.undo import undo_field, undo_run

THEIR_TITLE, OUR_TITLE = "Senior buyer", "Head of purchasing"
NEW_NUMBER = "+44 20 7946 0199"
WRONG = "Nordwind Holdings"
OTHERS = ("photos", "userDefined", "relations")  # fields of Google the CRM knows nothing of


def merged(stage: Stage) -> None:
    """Both sides change Priya, in different fields."""
    edit_mine(stage, PRIYA, title="Logistics", notes="Prefers calls in the morning")
    book(stage).edit(theirs(stage, PRIYA), {"phoneNumbers": [{"value": NEW_NUMBER, "type": "mobile"}]})
    stage.screen.tell("CRM", "somebody notes Priya's position and when to call her")
    stage.screen.tell("Google", "Anna gives her a new number")
    stage.screen.tell("Twinbox", "compares both with what the two agreed on last: different fields, so both are right")
    google, crm = google_now(stage), crm_now(stage)
    made = plan(stage)
    check(stage, "the look ahead shows it, and writes nothing", (1, True), (len(made.lines), _same(stage, google, crm)))
    report = sync_contacts(stage)
    check(
        stage,
        "one update on each side, no conflict",
        {"updated in the CRM": 1, "updated at the provider": 1},
        report.counts,
    )
    now = contact(stage, PRIYA)
    check(
        stage,
        "the number came in, position and note went out",
        (NEW_NUMBER, "Logistics"),
        (now.phones[0].value, now.title),
    )
    in_step(stage, "both sides hold the same", PRIYA)


def _same(stage: Stage, google: object, crm: object) -> bool:
    return google_now(stage) == google and crm_now(stage) == crm


def conflict(stage: Stage) -> None:
    """Both sides change the same field."""
    world = stage.world
    edit_mine(stage, TOM, title=OUR_TITLE)
    world.clock.advance(60)
    book(stage).edit(theirs(stage, TOM), {"organizations": [{"name": "Nordwind Ltd", "title": THEIR_TITLE}]})
    stage.screen.tell("CRM", f"somebody makes Tom {OUR_TITLE!r}")
    stage.screen.tell("Google", f"a minute later Anna makes him {THEIR_TITLE!r}")
    stage.screen.tell("Twinbox", "takes the later one, by Google's own time stamp, and keeps the one that lost")
    report = sync_contacts(stage)
    check(
        stage,
        "the later writer won, and the conflict is counted",
        (THEIR_TITLE, {"updated in the CRM": 1, "conflicts": 1}),
        (contact(stage, TOM).title, report.counts),
    )
    in_step(stage, "both sides hold the same", TOM)
    lost = lost_lately(stage, TOM)
    check(stage, "the value that lost can be seen", [("title", "local", OUR_TITLE, THEIR_TITLE)], lost)


def restored(stage: Stage) -> None:
    """The value that lost is put back."""
    world = stage.world
    stage.screen.tell("CRM", "that was wrong: one field is taken back (twinbox undo --contact TOM --field title)")
    stage.screen.tell("Twinbox", "gives the field its earlier value, an edit like any other: the next run takes it out")
    undo_field(world.app, world.workspace, mine(stage, TOM).id, "title")
    report = sync_contacts(stage)
    check(
        stage,
        "it is back here and at Google",
        (OUR_TITLE, {"updated at the provider": 1}),
        (contact(stage, TOM).title, report.counts),
    )
    in_step(stage, "both sides hold the same", TOM)


def untouched(stage: Stage) -> None:
    """What the CRM has no field for."""
    name = theirs(stage, TOM)
    before = book(stage).stored()[name]
    phones = tuple(
        replace(entry, value="+44 7700 900199") if entry.label == "mobile" else entry
        for entry in contact(stage, TOM).phones
    )
    emails = (*contact(stage, TOM).emails, Entry("tom.whitfield@nordwind.example", "home"))
    edit_mine(stage, TOM, phones=phones, emails=emails, notes="Has a boat")
    stage.screen.tell("CRM", "a new mobile number, one more address and a note for Tom, who has much more at Google")
    stage.screen.tell("Twinbox", "writes those fields alone, and sends the rest of them back as it came")
    sync_contacts(stage)
    after = book(stage).stored()[name]
    known = ("phoneNumbers", "emailAddresses", "biographies")
    rest = {field: value for field, value in before.items() if field not in known}
    shown = [(field, ", ".join(str(text) for text in after.get(field, [{}])[0].values())) for field in OTHERS]
    stage.screen.rows(("field at Google", "still"), (16, 60), shown)
    check(stage, "photo, own fields and relations are there", True, after.keys() >= set(OTHERS))
    check(stage, "every field but those three is as it was", rest, {field: after.get(field) for field in rest})
    kinds = {one["value"]: one.get("type") for one in after["phoneNumbers"]}
    check(stage, "the number labelled 'Boat radio' still is", "Boat radio", kinds.get("+44 1983 555 010"))
    titles = book(stage).groups()
    labels = {titles.get(one) for one in after["labels"]}
    check(stage, f"he is still under Anna's label {CLUB!r}", True, CLUB in labels)
    in_step(stage, "both sides hold the same", TOM)


def explained(stage: Stage) -> None:
    """Why is this contact synced, or not?"""
    world = stage.world
    stage.screen.tell("CRM", "somebody asks about three contacts (twinbox why)")
    found = []
    with world.app.db.reading() as session:
        for who in (TOM, "crm-2009", KATRIN):
            row = mine(stage, who)
            found.append((row.name, *_standing(explain_contact(session, row, account=stage.account_id))))
        history = history_of(session, world.workspace, mine(stage, TOM).id)
    for name, state, why in found:
        stage.screen.tell("Twinbox", f"{name}: {state}. {why}")
    check(stage, "each has an answer", ["in step", "left out", "left out"], [state for _, state, _ in found])
    stage.screen.tell("", "what was done to Tom, newest first:")
    done = [(deed_in_words(Channel.CONTACTS, one), one["why"]) for one in history[:4]]
    stage.screen.rows(("what was done", "because it"), (20, 60), done)
    fields = {name for one in history for name in one["changes"]}
    check(stage, "his history names every field that travelled", True, {"title", "phones", "notes"} <= fields)


def _standing(rows: list[dict[str, object]]) -> tuple[str, str]:
    if len(rows) != 1:
        raise CheckFailed("one account syncs contacts", 1, len(rows))
    return str(rows[0]["state"]), str(rows[0]["why"])


def taken_back(stage: Stage) -> None:
    """A run is taken back."""
    world, people = stage.world, (TOM, HELENE, JUERGEN)
    before = {who: (contact(stage, who).organization, contact(stage, who).title) for who in people}
    for who in people:
        book(stage).edit(theirs(stage, who), {"organizations": [{"name": WRONG}]})
    stage.screen.tell("Google", f"a tool of Anna's makes three people work for {WRONG!r}, and forgets their positions")
    report = sync_contacts(stage)
    check(stage, "it came in as any edit does", {"updated in the CRM": 3}, report.counts)
    stage.screen.tell("CRM", "takes that run back (twinbox undo RUN)")
    stage.screen.tell("Twinbox", "restores what the run changed, where nobody has changed it since")
    undone = undo_run(world.app, world.workspace, report.run_id)
    check(stage, "three contacts restored, none left out", ({"restored": 3}, []), (dict(undone.counts), undone.skipped))
    now = {who: (contact(stage, who).organization, contact(stage, who).title) for who in people}
    check(stage, "the CRM has what it had before", before, now)
    report = sync_contacts(stage)
    check(stage, "the next run put it right at Google", {"updated at the provider": 3}, report.counts)
    in_step(stage, "both sides hold the same", *people)


EDITS = part(
    "Contacts: changes on both sides",
    Step("Different fields", merged),
    Step("The same field: a conflict", conflict, brief=False),
    Step("The value that lost comes back", restored),
    Step("What the CRM has no field for", untouched),
    Step("Why?", explained),
    Step("A run is taken back", taken_back),
)
