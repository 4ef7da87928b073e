"""What the steps of `twinbox demo` about contacts share: the hands on both sides, and how the two compare.
The steps are `cli.demo_contacts`, `cli.demo_edits` and `cli.demo_leaving`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cli.demo_records import tell_plan, told_sync
from cli.demo_story import CheckFailed, Stage, check
from core.contact import Contact, from_json
from core.types import Channel
from models.contact_queries import contact_record
from models.contacts import ContactRow
from models.deed_records import history_of
from sandbox.google.people_book import Book
from sandbox.world_letters import ANNA_ADDRESS
from sync.contact_book import change_contact, find
from sync.contact_channel import ContactsChoice, contacts_choice
from sync.record_channels import opened_contacts
from sync.records import Preview, plan_records
from sync.run import RunReport

READS = {"connections.list", "contactGroups.list", "people.batchGet"}
QUIET = {"connections.list": 1, "contactGroups.list": 1}


# ---- Anna at Google ----------------------------------------------------------------------------------------


def book(stage: Stage) -> Book:
    """Anna's address book, as she sees and edits it."""
    return stage.world.google.people.book(ANNA_ADDRESS)


def theirs(stage: Stage, address: str) -> str:
    """The resource name of the one contact at Google with this address."""
    persons = book(stage).persons()
    found = [name for name, person in persons.items() if address in _values(person, "emailAddresses")]
    if len(found) != 1:
        raise CheckFailed(f"one contact at Google has the address {address}", 1, len(found))
    return found[0]


def label(stage: Stage) -> str:
    """The resource name of the label that is kept in step."""
    title = choice(stage).group
    found = [name for name, one in book(stage).groups().items() if one == title]
    if len(found) != 1:
        raise CheckFailed(f"Anna has one label {title!r}", 1, len(found))
    return found[0]


def members(stage: Stage) -> set[str]:
    """Who is under the label."""
    return set(book(stage).members(label(stage)))


def put_under(stage: Stage, *addresses: str) -> None:
    """Anna puts people under the label."""
    book(stage).put_under(label(stage), *(theirs(stage, address) for address in addresses))


def google_now(stage: Stage) -> tuple[Any, ...]:
    """All that Anna has at Google, to the last etag."""
    mine = book(stage)
    groups = mine.groups()
    return mine.persons(), groups, {name: mine.members(name) for name in groups}


def calls(stage: Stage) -> dict[str, int]:
    """What Google's People API was asked since the last run began."""
    return dict(stage.world.google.people.calls)


# ---- the CRM -----------------------------------------------------------------------------------------------


def mine(stage: Stage, who: str) -> ContactRow:
    """A contact of the CRM, by its address or the CRM's own id."""
    return find(stage.world.app, stage.world.workspace, who)


def contact(stage: Stage, who: str) -> Contact:
    """The fields of a contact of the CRM."""
    return from_json(mine(stage, who).body)


def edit_mine(stage: Stage, who: str, **values: Any) -> None:
    """Somebody changes fields of a contact in the CRM."""
    row = mine(stage, who)
    after = replace(from_json(row.body), **values)
    change_contact(stage.world.app, stage.world.workspace, row.id, after, expect=row.version)


def has_tag(stage: Stage, who: str) -> bool:
    """Whether a contact of the CRM has the tag."""
    row = mine(stage, who)
    with stage.world.app.db.reading() as session:
        return stage.tag_id in {tag["id"] for tag in contact_record(session, row)["tags"]}


def choice(stage: Stage) -> ContactsChoice:
    """The settings in force."""
    return contacts_choice(stage.world.app, stage.world.workspace, stage.account_id)


def lost_lately(stage: Stage, who: str) -> list[tuple[str, str, str, str]]:
    """What a contact lost in the newest conflict, told: (field, side, value that lost, value that was kept)."""
    world, contact_id = stage.world, mine(stage, who).id
    with world.app.db.reading() as session:
        last = next((one for one in history_of(session, world.workspace, contact_id) if one["lost"]), None)
    if last is None:
        raise CheckFailed("the value that lost can be seen", "a value", "none")
    found = [(one["field"], one["side"], str(one["value"]), str(one["kept"])) for one in last["lost"]]
    places = {"local": "in the CRM", "remote": "at Google"}
    shown = [(field, f"{value} ({places[side]})", kept) for field, side, value, kept in found]
    stage.screen.rows(("field", "lost", "kept"), (16, 34, 30), shown)
    return found


# ---- between them ------------------------------------------------------------------------------------------


def in_step(stage: Stage, text: str, *people: str) -> None:
    """Check that both sides hold the same of these people (addresses)."""
    here = {who: _facts_here(contact(stage, who)) for who in people}
    persons = book(stage).persons()
    check(stage, text, here, {who: _facts_there(persons[theirs(stage, who)]) for who in people})


def _facts_here(one: Contact) -> dict[str, Any]:
    return {
        "name": (one.given_name, one.family_name),
        "emails": {entry.value for entry in one.emails},
        "phones": {(entry.value, entry.label) for entry in one.phones},
        "work": (one.organization, one.title),
        "notes": one.notes,
    }


def _facts_there(person: Mapping[str, Any]) -> dict[str, Any]:
    name, work = (person.get(field, [{}])[0] for field in ("names", "organizations"))
    return {
        "name": (name.get("givenName", ""), name.get("familyName", "")),
        "emails": _values(person, "emailAddresses"),
        "phones": {(one["value"], one.get("type", "")) for one in person.get("phoneNumbers", [])},
        "work": (work.get("name", ""), work.get("title", "")),
        "notes": next(iter(_values(person, "biographies")), ""),
    }


def _values(person: Mapping[str, Any], field: str) -> set[str]:
    return {one.get("value", "") for one in person.get(field, [])}


def plan(stage: Stage) -> Preview:
    """What the next run would do (`twinbox sync plan`), told by what and why."""
    stage.world.google.people.calls.clear()
    with opened_contacts(stage.world.app, stage.account_id) as run:
        made = plan_records(run)
    tell_plan(stage, made)
    return made


def sync_contacts(stage: Stage, outcome: str = "ok") -> RunReport:
    """Let eleven minutes pass, sync Anna's contacts, tell what was done to whom and why, and insist on the outcome."""
    stage.world.google.people.calls.clear()
    return told_sync(stage, Channel.CONTACTS, outcome)
