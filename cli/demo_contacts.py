"""The steps of `twinbox demo` in which the two sides of contacts meet: what is chosen, a look ahead, the first runs.
What is changed later is `cli.demo_edits`, who leaves `cli.demo_leaving`."""

from __future__ import annotations

from cli.demo_book import (
    QUIET,
    READS,
    book,
    calls,
    choice,
    contact,
    google_now,
    has_tag,
    in_step,
    lost_lately,
    members,
    mine,
    plan,
    put_under,
    sync_contacts,
    theirs,
)
from cli.demo_records import crm_now, deeds, rows_of
from cli.demo_story import CheckFailed, Stage, Step, check, overview, part
from core.contact import from_json
from core.errors import BadInput
from core.types import Channel
from sandbox.world_letters import ANNA_ADDRESS
from sandbox.world_people import (
    BUSINESS,
    HELENE,
    JUERGEN,
    KATRIN,
    OFFICE,
    OLIVIA,
    PRIVATE,
    PRIYA,
    TOM,
    customers,
)
from sync.contact_book import put_contact
from sync.contact_channel import ContactsChange, change_contacts
from sync.deciding import decide, list_decisions
from sync.tags import make_tag, tag_contacts

TAG, COMPANY_TAG, LABEL = "My clients", "Suppliers", "CRM clients"
TAGGED = 6
PERIOD = 600


def chosen(stage: Stage) -> None:
    """The CRM has contacts, and Anna chooses what is kept in step."""
    app, workspace = stage.world.app, stage.world.workspace
    stage.tag_id = str(make_tag(app, workspace, TAG, owner=ANNA_ADDRESS)["id"])
    tags = {TAG: stage.tag_id, COMPANY_TAG: str(make_tag(app, workspace, COMPANY_TAG, kind="corporate")["id"])}
    people = customers(TAG, COMPANY_TAG)
    for one in people:
        added = put_contact(app, workspace, one.known_as, from_json(one.body)).record
        if one.tag:
            tag_contacts(app, workspace, tags[one.tag], [added["id"]])
    stage.screen.tell(
        "CRM", f"{len(people)} contacts; {TAGGED} have Anna's personal tag {TAG!r}, one the corporate {COMPANY_TAG!r}"
    )
    stage.screen.tell("Google", f"{len(book(stage).persons())} contacts of Anna's, most of them private")
    stage.screen.tell("Twinbox", "keeps in step: whoever has the tag here, and whoever is under the label there")
    made = change_contacts(app, workspace, stage.account_id, ContactsChange(TAG, LABEL, PERIOD))
    shown = [("tag in the CRM", made.tag), ("label at Google", made.group), ("runs every", f"{made.period_s} seconds")]
    stage.screen.rows(("setting", "value"), (20, 40), shown)
    check(stage, "the choice is kept", (TAG, LABEL, PERIOD), (made.tag, made.group, made.period_s))
    check(stage, "a corporate tag cannot be chosen, and nothing changed", (True, made), _corporate_refused(stage))


def _corporate_refused(stage: Stage) -> tuple[bool, object]:
    refused = False
    try:
        change_contacts(stage.world.app, stage.world.workspace, stage.account_id, ContactsChange(tag=COMPANY_TAG))
    except BadInput:
        refused = True
    return refused, choice(stage)


def looked_ahead(stage: Stage) -> None:
    """A look ahead writes nothing."""
    google, crm = google_now(stage), crm_now(stage)
    stage.screen.tell("CRM", "somebody asks first what a sync would do (twinbox sync plan)")
    stage.screen.tell("Twinbox", "reads both sides, makes the plan that a run would carry out, and stops there")
    made = plan(stage)
    check(
        stage,
        f"the {TAGGED} contacts with the tag would go to Google, nobody would come in",
        ["create at the provider"] * TAGGED,
        [line["action"] for line in made.lines],
    )
    check(stage, "Google was only read", True, calls(stage).keys() <= READS)
    if google_now(stage) != google or crm_now(stage) != crm:
        raise CheckFailed("nothing was written", "both sides as before", "a difference")
    stage.screen.passed("nothing was written: Google is the same to the last etag, the database to the last row")


def first_run(stage: Stage) -> None:
    """The first run makes the label."""
    before = book(stage).persons()
    contacts = rows_of(stage, "contacts", "contact_tags")
    stage.screen.tell("Twinbox", f"makes the label {LABEL!r} at Google and takes the contacts with the tag there")
    report = sync_contacts(stage)
    after = book(stage).persons()
    made = after.keys() - before.keys()
    check(
        stage,
        f"the label is there, with those {TAGGED} and nobody else",
        ({"created at the provider": TAGGED}, TAGGED, made),
        (report.counts, len(made), members(stage)),
    )
    check(stage, "Anna's own contacts were not touched", before, {name: after[name] for name in before})
    check(stage, "none of them came into the CRM", contacts, rows_of(stage, "contacts", "contact_tags"))
    in_step(stage, "Olivia is the same on both sides", OLIVIA)
    check(stage, "Katrin, with the corporate tag alone, stayed here", False, _is_there(stage, KATRIN))


def _is_there(stage: Stage, address: str) -> bool:
    return any(one["value"] == address for person in book(stage).persons().values() for one in person["emailAddresses"])


def quiet(stage: Stage) -> None:
    """A run with nothing to do."""
    google, before = google_now(stage), rows_of(stage, "contacts", "contact_tags", "links", "history")
    stage.screen.tell("Twinbox", "asks for changes since its sync tokens: its own writes come back, and are known")
    sync_contacts(stage)
    report = sync_contacts(stage)
    check(stage, "two questions to Google, and nothing to do", (QUIET, {}), (calls(stage), report.counts))
    check(
        stage,
        "nothing was written on either side",
        (google, before),
        (google_now(stage), rows_of(stage, "contacts", "contact_tags", "links", "history")),
    )


def moved_in(stage: Stage) -> None:
    """Anna moves people under the label."""
    put_under(stage, TOM, PRIYA, HELENE)
    stage.screen.tell("Google", f"Anna moves Tom, Priya and Hélène under {LABEL!r}, on her phone")
    stage.screen.tell("Twinbox", "takes whoever is under the label into the CRM, with the tag")
    report = sync_contacts(stage)
    check(stage, "three came in", {"created in the CRM": 3}, report.counts)
    check(stage, "they have the tag", [True] * 3, [has_tag(stage, who) for who in (TOM, PRIYA, HELENE)])
    in_step(stage, "with all their fields", TOM, PRIYA, HELENE)
    labels = {entry.value: entry.label for entry in contact(stage, TOM).phones}
    check(stage, "Anna's own word for a number came along", "Boat radio", labels.get("+44 1983 555 010"))


def joined(stage: Stage) -> None:
    """Somebody the CRM knows already."""
    count, known = len(rows_of(stage, "contacts")["contacts"]), mine(stage, JUERGEN)
    put_under(stage, JUERGEN)
    stage.screen.tell("Google", "Anna moves Jürgen Müller under the label")
    stage.screen.tell("Twinbox", "finds one contact of the CRM with his e-mail address: that is him")
    report = sync_contacts(stage)
    now = mine(stage, JUERGEN)
    check(
        stage,
        "joined, not doubled; he keeps the CRM's own id",
        (1, count, known.id, "crm-2007"),
        (
            report.counts.get("joined with one that was there"),
            len(rows_of(stage, "contacts")["contacts"]),
            now.id,
            now.external_id,
        ),
    )
    found = contact(stage, JUERGEN)
    check(
        stage,
        "the number came from Google, the position from the CRM",
        (1, "Managing director"),
        (len(found.phones), found.title),
    )
    in_step(stage, "both sides have both", JUERGEN)


def asked(stage: Stage) -> None:
    """Somebody who may be one of two."""
    app, workspace = stage.world.app, stage.world.workspace
    put_under(stage, OFFICE)
    before = rows_of(stage, "contacts", "contact_tags")
    stage.screen.tell("Google", f"Anna moves Wojtek under the label; two contacts of the CRM have {OFFICE}")
    stage.screen.tell("Twinbox", "does not guess: it lists him for somebody to decide (twinbox contacts decisions)")
    report = sync_contacts(stage)
    with app.db.reading() as session:
        open_ = list_decisions(session, workspace)
    shown = [(one["name"], ", ".join(other["name"] for other in one["candidates"])) for one in open_]
    stage.screen.rows(("who is", "may be"), (24, 50), shown)
    found = (report.counts, [len(one["candidates"]) for one in open_], overview(stage, Channel.CONTACTS)["decisions"])
    check(stage, "one decision waits, with both candidates", ({"needs a decision": 1}, [2], 1), found)
    check(stage, "nobody was made or changed for it", before, rows_of(stage, "contacts", "contact_tags"))
    wojciech = mine(stage, "crm-2008")
    stage.screen.tell("CRM", "somebody decides: he is Wojciech Dąbrowski (twinbox contacts decide)")
    decide(app, workspace, theirs(stage, OFFICE), wojciech.id)
    stage.screen.tell("Twinbox", "makes them a pair; where they differ, the CRM's entry is the later one")
    report = sync_contacts(stage)
    lost = [(field, side, value) for field, side, value, _ in lost_lately(stage, "crm-2008")]
    check(
        stage, "Anna's name for him is kept with the values that lost", True, ("given_name", "remote", "Wojtek") in lost
    )
    check(
        stage,
        "the next run joined the two as decided",
        ([wojciech.id], True, False),
        (
            sorted({one["contact"] for one in deeds(stage, report.run_id)}),
            has_tag(stage, "crm-2008"),
            has_tag(stage, "crm-2009"),
        ),
    )
    with app.db.reading() as session:
        check(stage, "it is not asked again", [], list_decisions(session, workspace))
    check(stage, "nobody is at Google twice", BUSINESS + PRIVATE + TAGGED, len(book(stage).persons()))


MEETING = part(
    "Contacts: the two sides meet",
    Step("What is kept in step", chosen),
    Step("A look ahead", looked_ahead),
    Step("The first run makes the label", first_run, brief=False),
    Step("Contacts: nothing changed", quiet),
    Step("Anna moves people under the label", moved_in, brief=False),
    Step("Somebody the CRM knows already", joined),
    Step("Somebody who may be one of two", asked),
)
