"""The steps of `twinbox demo` about contacts: what Anna and the CRM do, what Twinbox makes of it, and the proof.
What is shared with the other steps is `cli.demo_story`; removal is `cli.demo_linking`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from cli.demo_story import CheckFailed, Stage, Step, check
from core.contact import Contact, Entry, from_json
from core.types import Channel
from models.contact_queries import contact_record, find_contact, list_contacts
from models.link_queries import contact_history, explain_contact
from sandbox.google import Book
from sandbox.world_letters import ANNA_ADDRESS
from sync.contact_book import add_contact, change_contact
from sync.contact_channel import contacts_choice
from sync.deciding import decide
from sync.record_channels import opened_contacts
from sync.records import plan_records
from sync.run import RunReport, run_sync
from sync.tags import tag_contacts, untag_contacts
from sync.undo import undo_field, undo_run

GROUP = "Twinbox"
SETTLE = timedelta(minutes=11)  # Google's lists may be some minutes late: for so long Twinbox believes them with care


def book(stage: Stage) -> Book:
    """Anna's address book at Google, as she sees and edits it."""
    return stage.world.google.people.book(ANNA_ADDRESS)


def label(stage: Stage) -> str:
    """The label that Twinbox keeps in step, by its resource name."""
    return next(name for name, title in book(stage).groups().items() if title == stage.label)


def named(given: str, family: str, email: str = "", **more: Any) -> dict[str, Any]:
    """A person as Google writes one."""
    fields: dict[str, Any] = {"names": [{"givenName": given, "familyName": family}], **more}
    return fields | ({"emailAddresses": [{"value": email, "type": "work"}]} if email else {})


def sync_contacts(stage: Stage, outcome: str = "ok") -> RunReport:
    """Sync Anna's contacts, tell what was counted, and insist on how it ends."""
    report = run_sync(stage.world.app, stage.account_id, Channel.CONTACTS, trigger="manual")
    stage.screen.counts(report.counts, report.outcome)
    if report.outcome != outcome:
        raise CheckFailed("the run ends as it should", outcome, f"{report.outcome} {report.error}")
    stage.world.clock.advance(SETTLE.total_seconds())
    return report


def add(stage: Stage, contact: Contact, *, tagged: bool = True) -> str:
    """A contact in the CRM; its id."""
    tags = (tag_id(stage),) if tagged else ()
    return str(add_contact(stage.world.app, stage.world.workspace, contact, tags=tags)["id"])


def tag_id(stage: Stage) -> str:
    return contacts_choice(stage.world.app, stage.world.workspace, stage.account_id).tag_id


def edit(stage: Stage, one: str, **values: Any) -> None:
    """Change fields of a contact in the CRM."""
    app, workspace = stage.world.app, stage.world.workspace
    with app.db.reading() as session:
        body = from_json(find_contact(session, workspace, one).body)
    change_contact(app, workspace, one, replace(body, **values))


def shown(stage: Stage, one: str) -> dict[str, Any]:
    """A contact of the CRM as plain data."""
    with stage.world.app.db.reading() as session:
        return contact_record(session, find_contact(session, stage.world.workspace, one))


def tagged(stage: Stage) -> set[str]:
    """The names of the contacts with the tag."""
    with stage.world.app.db.reading() as session:
        return {row["name"] for row in list_contacts(session, stage.world.workspace, tag=tag_id(stage), limit=1000)}


def members(stage: Stage) -> set[str]:
    """The names of the people under the label at Google."""
    people = (book(stage).person(name) for name in book(stage).members(label(stage)))
    return {person["names"][0]["displayName"] for person in people}


def first_run(stage: Stage) -> None:
    """The first sync makes a tag here and a label there, both empty: nothing moves unasked."""
    stage.screen.tell("Google", "Anna's address book holds a hundred people; none of them is the CRM's business")
    for number in range(100):
        book(stage).add(named(f"Friend{number}", "Private", f"friend{number}@private.example"))
    report = sync_contacts(stage)
    stage.screen.tell("Twinbox", f"made the personal tag {GROUP} in the CRM and the label {GROUP} at Google")
    check(stage, "the label is there, and nobody was touched", ([GROUP], {}), (_titles(stage), report.counts))
    stage.contacts["tom"] = add(stage, _tom())
    stage.screen.tell("CRM", f"Tom Whitfield gets the tag {GROUP}")
    sync_contacts(stage)
    check(stage, "Tom is at Google, under the label", {"Tom Whitfield"}, members(stage))


def _titles(stage: Stage) -> list[str]:
    return list(book(stage).groups().values())


def _tom() -> Contact:
    email, phone = Entry("tom@whitfield.example", "work"), Entry("+44 20 7946 0958", "mobile")
    return Contact(given_name="Tom", family_name="Whitfield", emails=(email,), phones=(phone,), title="Buyer")


def people_come_in(stage: Stage) -> None:
    """Anna puts people under the label."""
    mine = book(stage)
    odd = [{"value": "+49 40 1234", "type": "Boat radio"}]
    stage.people["greta"] = mine.add(named("Greta", "Nord", "greta@nord.example", phoneNumbers=odd), [label(stage)])
    stage.people["ivan"] = mine.add(named("Ivan", "Petrov", "ivan@petrov.example"), [label(stage)])
    stage.screen.tell("Google", f"Anna puts Greta Nord and Ivan Petrov under the label {GROUP}")
    stage.screen.tell("Twinbox", "asks what changed since its sync token: two calls, however big the address book")
    sync_contacts(stage)
    check(stage, "they are in the CRM, with the tag", {"Tom Whitfield", "Greta Nord", "Ivan Petrov"}, tagged(stage))
    stage.contacts["greta"] = _id_of(stage, "greta@nord.example")
    stage.contacts["ivan"] = _id_of(stage, "ivan@petrov.example")


def _id_of(stage: Stage, address: str) -> str:
    with stage.world.app.db.reading() as session:
        return find_contact(session, stage.world.workspace, address).id


def both_edit(stage: Stage) -> None:
    """Both sides change the same contact."""
    greta = stage.contacts["greta"]
    book(stage).edit(stage.people["greta"], {"biographies": [{"value": "Met in Hamburg"}]})
    edit(stage, greta, title="Captain")
    stage.screen.tell("Google", "Anna writes a note on Greta")
    stage.screen.tell("CRM", "at the same time a colleague enters Greta's position")
    lines = _planned(stage)
    stage.screen.tell("Twinbox", f"the preview says: {lines[0]['action']}, because it {lines[0]['why']}")
    check(stage, "the preview wrote nothing", "", shown(stage, greta)["notes"])
    sync_contacts(stage)
    here, there = shown(stage, greta), book(stage).stored()[stage.people["greta"]]
    check(stage, "both changes are on both sides", ("Captain", "Met in Hamburg"), (here["title"], here["notes"]))
    check(stage, "at Google too", "Captain", there["organizations"][0]["title"])
    check(stage, "her odd kind of number was left alone", "Boat radio", there["phoneNumbers"][0]["type"])


def _planned(stage: Stage) -> list[dict[str, Any]]:
    with opened_contacts(stage.world.app, stage.account_id) as run:
        return plan_records(run).lines


def conflict(stage: Stage) -> None:
    """Both change the same field."""
    tom = stage.contacts["tom"]
    remote = _remote_of(stage, tom)
    edit(stage, tom, title="Head of purchasing")
    stage.world.clock.advance(60)
    book(stage).edit(remote, {"organizations": [{"title": "Director"}]})
    stage.screen.tell("CRM", "Tom becomes Head of purchasing")
    stage.screen.tell("Google", "a minute later Anna enters Director")
    sync_contacts(stage)
    check(stage, "the later one wins", "Director", shown(stage, tom)["title"])
    with stage.world.app.db.reading() as session:
        lost = [one["value"] for deed in contact_history(session, stage.world.workspace, tom) for one in deed["lost"]]
    check(stage, "the other one is kept in the history", ["Head of purchasing"], lost)
    stage.screen.tell("CRM", "somebody wants it back (twinbox undo --contact tom@whitfield.example --field title)")
    undo_field(stage.world.app, stage.world.workspace, tom, "title")
    sync_contacts(stage)
    there = book(stage).stored()[remote]["organizations"][0]["title"]
    check(stage, "it is back on both sides", ("Head of purchasing",) * 2, (shown(stage, tom)["title"], there))


def _remote_of(stage: Stage, one: str) -> str:
    with stage.world.app.db.reading() as session:
        row = find_contact(session, stage.world.workspace, one)
        return str(explain_contact(session, row, account=stage.account_id)[0]["remote"])


def leaving(stage: Stage) -> None:
    """People leave, and nobody is deleted."""
    app, workspace = stage.world.app, stage.world.workspace
    before = len(book(stage).persons())
    untag_contacts(app, workspace, tag_id(stage), [stage.contacts["tom"]])
    book(stage).take_from(label(stage), stage.people["greta"])
    book(stage).delete(stage.people["ivan"])
    stage.screen.tell("CRM", "Tom loses the tag")
    stage.screen.tell("Google", "Anna takes Greta out of the label, and deletes Ivan")
    sync_contacts(stage)
    check(stage, "Tom left the label at Google and is still there", True, "Tom Whitfield" not in members(stage))
    check(stage, "Greta and Ivan lost the tag", set(), tagged(stage))
    kept = {shown(stage, one)["name"] for one in stage.contacts.values()}
    check(stage, "the CRM keeps all three", {"Tom Whitfield", "Greta Nord", "Ivan Petrov"}, kept)
    check(stage, "only Anna herself deleted anybody", before - 1, len(book(stage).persons()))
    tag_contacts(app, workspace, tag_id(stage), [stage.contacts["tom"], stage.contacts["greta"]])
    stage.screen.tell("CRM", "Tom and Greta get the tag again")
    sync_contacts(stage)
    check(stage, "the same two people are under the label again", {"Tom Whitfield", "Greta Nord"}, members(stage))


def known_already(stage: Stage) -> None:
    """Somebody is there already."""
    mine = book(stage)
    mine.add(named("Fatima", "Haddad", "fatima@haddad.example"))
    mine.add(named("Ada", "Berg", "office@berg.example"))
    stage.people["bo"] = mine.add(named("Bo", "Berg", "office@berg.example"))
    before = len(mine.persons())
    stage.contacts["fatima"] = add(stage, Contact(given_name="Fatima", emails=(Entry("FATIMA@haddad.example"),)))
    stage.contacts["berg"] = add(
        stage, Contact(given_name="Mr", family_name="Berg", emails=(Entry("office@berg.example"),))
    )
    stage.screen.tell("CRM", "Fatima gets the tag; she is in Anna's address book already, outside the label")
    stage.screen.tell("", "so does Berg, whose address two people at Google have")
    report = sync_contacts(stage)
    check(stage, "Fatima was joined, not doubled", (1, before), _joined(stage, report))
    check(stage, "Berg was not guessed: it waits for a decision", 1, report.counts.get("needs a decision"))
    decide(stage.world.app, stage.world.workspace, stage.contacts["berg"], stage.people["bo"])
    stage.screen.tell("CRM", "somebody decides: it is Bo (twinbox contacts decide)")
    sync_contacts(stage)
    check(stage, "Bo is under the label", True, stage.people["bo"] in mine.members(label(stage)))


def _joined(stage: Stage, report: RunReport) -> tuple[int, int]:
    return report.counts.get("joined with one that was there", 0), len(book(stage).persons())


def brake(stage: Stage) -> None:
    """Anna empties the label by mistake."""
    mine, everybody = book(stage), members(stage)
    names = mine.members(label(stage))
    mine.take_from(label(stage), *names)
    stage.screen.tell("Google", f"Anna takes all {len(names)} people out of the label")
    stage.screen.tell("Twinbox", "finds that everybody would lose the tag: it holds the run and asks")
    report = sync_contacts(stage, "held")
    check(stage, "nothing was written", (len(names), {}), (len(tagged(stage)), report.counts))
    mine.put_under(label(stage), *names)
    stage.screen.tell("Google", "Anna sees it and puts them back")
    sync_contacts(stage)
    check(stage, "all is as before", everybody, members(stage))


def renamed(stage: Stage) -> None:
    """The label gets another name."""
    book(stage).rename_label(label(stage), "Customers")
    stage.label = "Customers"
    stage.screen.tell("Google", "Anna calls the label Customers from now on")
    sync_contacts(stage)
    choice = contacts_choice(stage.world.app, stage.world.workspace, stage.account_id)
    check(stage, "Twinbox follows the name, nobody left", ("Customers", 4), (choice.group, len(tagged(stage))))
    with stage.world.app.db.reading() as session:
        row = find_contact(session, stage.world.workspace, stage.contacts["ivan"])
        why = explain_contact(session, row, account=stage.account_id)[0]["why"]
    check(stage, "and can say why Ivan is not synced", f"It does not have the tag {GROUP!r}.", why)


def undone(stage: Stage) -> None:
    """A whole run is taken back."""
    for name in ("greta", "tom"):
        edit(stage, stage.contacts[name], organization="Wrong GmbH")
    stage.screen.tell("CRM", "an import gives two contacts the wrong company")
    report = sync_contacts(stage)
    undo_run(stage.world.app, stage.world.workspace, report.run_id)
    stage.screen.tell("CRM", "somebody takes the run back (twinbox undo RUN)")
    sync_contacts(stage)
    there = [book(stage).stored()[_remote_of(stage, stage.contacts[name])] for name in ("greta", "tom")]
    companies = [one["organizations"][0].get("name", "") for one in there]
    check(stage, "the wrong company is gone on both sides", ["", ""], companies)


def goes_on(stage: Stage) -> None:
    """Contacts go on after the account was linked again."""
    report = sync_contacts(stage)
    check(stage, "links and settings were kept: nothing had to be done", ({}, 4), (report.counts, len(tagged(stage))))


STEPS = (
    Step("The first sync of contacts", first_run, brief=False),
    Step("People come in", people_come_in, brief=False),
    Step("Both sides change a contact", both_edit),
    Step("A conflict", conflict, brief=False),
    Step("Leaving is not deleting", leaving),
    Step("Somebody is there already", known_already),
    Step("The label is emptied by mistake", brake, brief=False),
    Step("The label is renamed", renamed),
    Step("A run is taken back", undone),
)
AGAIN = (Step("Contacts go on", goes_on),)
