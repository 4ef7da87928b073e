"""What every contacts sync with Google must survive, scenario by scenario: real runs against Google's double through
the real client library. The numbers are those of the list of scenarios in docs/quirks.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.contact import Entry
from tests.support.contact_world import GROUP, person
from tests.support.google_people import CREATE, GET, LIST, MODIFY, UPDATE
from tests.support.google_world import GoogleWorld, google_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[GoogleWorld]:
    with google_world(tmp_path) as made:
        yield made


@pytest.fixture
def pair(world: GoogleWorld) -> tuple[GoogleWorld, str, str]:
    """A contact that is on both sides."""
    one = world.crm_add(person("Ada", "Lovelace", email="ada@example.com", phone="+44 20 7946 0001"))
    assert world.run().outcome == "ok"
    world.pass_time()
    return world, one, world.remote_of(one)


def email(address: str, **more: object) -> dict[str, object]:
    return {"value": address, **more}


def named(given: str, family: str = "", address: str = "") -> dict[str, object]:
    fields: dict[str, object] = {"names": [{"givenName": given, "familyName": family}]}
    return fields | ({"emailAddresses": [email(address)]} if address else {})


def test_the_whole_way_there_and_back(world: GoogleWorld) -> None:
    mine = world.crm_add(person("Ada", "Lovelace", email="ada@example.com", title="Countess"))
    assert world.run().counts == {"created at the provider": 1}
    theirs = world.add(world.group, **named("Cleo", "Patra", "cleo@example.com"))
    assert world.run().counts == {"created in the CRM": 1}
    assert {body.name for body in world.tagged().values()} == {"Ada Lovelace", "Cleo Patra"}
    world.pass_time()
    world.people.book.edit(theirs, {"organizations": [{"name": "Nile", "title": "Queen"}]})
    world.crm_edit(mine, notes="Wrote the first program")
    world.run()
    assert {body.title for body in world.tagged().values()} == {"Countess", "Queen"}
    assert world.person(world.remote_of(mine)).notes == "Wrote the first program"
    world.settle()


def test_a_run_with_nothing_to_do_is_two_calls(pair: tuple[GoogleWorld, str, str]) -> None:
    world, _, _ = pair
    with world.people.counted() as calls:
        world.run()
    assert calls == {"connections.list": 1, "contactGroups.list": 1}


@pytest.mark.parametrize("lag", [0, 300])
def test_01_a_lost_answer_to_a_creation_leaves_exactly_one_contact(world: GoogleWorld, lag: int) -> None:
    world.people.knobs.list_lag_api = lag
    world.crm_add(person("Ada", email="ada@example.com"))
    world.people.faults.next(CREATE, drop="after")
    assert world.run().outcome == "failed"
    world.run()
    world.settle()
    assert (len(world.people.book.persons()), len(world.links())) == (1, 1)


def test_02_a_run_that_died_after_google_wrote_is_adopted_by_its_origin(world: GoogleWorld) -> None:
    one = world.crm_add(person("Without", "Address"))
    world.people.faults.next(CREATE, status=503, json={"error": {"code": 503, "status": "UNAVAILABLE"}}, apply=True)
    world.run()
    world.pass_time()
    world.run()
    assert list(world.links()) == [one]
    assert len(world.people.book.persons()) == 1


def test_03_an_old_sync_token_means_a_full_comparison_and_nobody_is_deleted(
    pair: tuple[GoogleWorld, str, str],
) -> None:
    world, one, remote = pair
    world.people.book.take_from(world.group, remote)
    world.pass_time(8 * 24 * 60)
    assert world.run().counts == {"read everything anew": 1, "untagged": 1}
    assert (one in world.contacts(), remote in world.people.book.persons()) == (True, True)


def test_04_a_full_sync_that_dies_on_a_page_untags_nobody(world: GoogleWorld) -> None:
    world.run()
    for number in range(1_100):
        world.add(world.group, **named(f"P{number}", address=f"p{number}@example.com"))
    world.run()
    assert len(world.tagged()) == 1_100
    cursor = world.channel().cursor
    world.people.book.expire_sync_tokens()
    world.people.fail_after_a_page(status=500)
    assert world.run().outcome == "failed"
    assert (len(world.tagged()), world.channel().cursor) == (1_100, cursor)
    world.people.faults.clear()
    assert world.run().counts == {"read everything anew": 1}


def test_05_a_bumped_time_is_no_change_and_an_edit_of_the_same_minute_wins(
    pair: tuple[GoogleWorld, str, str],
) -> None:
    world, one, remote = pair
    world.crm_edit(one, title="Countess")
    world.pass_time(1)
    world.people.book.touch(remote)
    assert world.run().counts == {"updated at the provider": 1}
    world.people.book.touch(remote)
    assert world.run().counts == {}
    assert world.contact(one).title == world.person(remote).title == "Countess"


def test_06_an_own_write_that_shows_late_is_neither_a_change_nor_missing(world: GoogleWorld) -> None:
    world.people.knobs.list_lag_api = 300
    one = world.crm_add(person("Ada", email="ada@example.com"))
    world.run()
    world.crm_edit(one, title="Countess")
    assert world.run().counts == {"updated at the provider": 1}
    for _ in range(4):
        world.pass_time(2)
        assert world.run().counts in ({}, {"looked at again later": 1})
    assert (len(world.people.book.persons()), world.person(world.remote_of(one)).title) == (1, "Countess")
    assert list(world.tagged()) == [one]


def test_07_a_phone_that_edits_all_the_time_is_waited_for(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_edit(one, title="Countess")
    edits = iter(range(100))

    def meddle(operation: str, _user: str) -> None:
        if operation == "people.batchUpdateContacts":
            world.people.book.edit(remote, {"biographies": [{"value": f"edit {next(edits)}"}]})

    world.people.knobs.on_call = meddle
    world.run()
    world.people.knobs.on_call = lambda *_: None
    assert next(edits) <= 4
    world.settle()
    assert world.contact(one) == world.person(remote)
    assert (world.contact(one).title, world.contact(one).notes[:4]) == ("Countess", "edit")


def test_08_two_contacts_merged_at_google_stay_two_records_with_one_link(world: GoogleWorld) -> None:
    first = world.crm_add(person("Ada", email="ada@example.com"))
    second = world.crm_add(person("Adah", email="adah@example.com"))
    world.run()
    world.pass_time()
    links = world.links()
    world.people.book.merge(links[second], links[first])
    world.settle()
    assert world.links() == {second: links[second]}
    assert set(world.contacts()) == {first, second}


def test_08_a_contact_that_google_renames_keeps_its_link(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    now = world.people.book.link_profile(remote, "ada@profile.example", rename=True)
    world.settle()
    assert (world.links(), list(world.tagged())) == ({one: now}, [one])


def test_09_a_renamed_label_is_followed(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, _ = pair
    world.people.book.rename_label(world.group, "Customers")
    world.run()
    assert (world.channel().settings["group"], list(world.tagged())) == ("Customers", [one])


def test_09_a_deleted_label_holds_the_channel_until_somebody_chooses(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    world.people.book.delete_label(world.group)
    assert (world.run().outcome, list(world.tagged())) == ("held", [one])
    world.people.book.add_label(GROUP)  # another label of the old name is not ours
    assert (world.run().outcome, list(world.tagged())) == ("held", [one])
    from sync.contact_channel import ContactsChange, change_contacts

    change_contacts(world.app, world.who.workspace_id, world.account, ContactsChange(group=GROUP))
    world.settle()
    assert (list(world.tagged()), list(world.members())) == ([one], [remote])


def test_09_a_label_deleted_together_with_its_contacts_untags_nobody(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, _ = pair
    world.people.book.delete_label(world.group, with_contacts=True)
    assert (world.run().outcome, list(world.tagged())) == ("held", [one])


def test_09_a_label_that_has_the_name_already_is_adopted(world: GoogleWorld) -> None:
    label = world.people.book.add_label(GROUP)
    inside = world.add(label, **named("Cleo", address="cleo@example.com"))
    world.run()
    assert (world.group, list(world.members()), len(world.tagged())) == (label, [inside], 1)


def test_10_a_contact_in_no_other_label_can_leave_ours(world: GoogleWorld) -> None:
    world.run()
    remote = world.people.book.add(named("Cleo", address="cleo@example.com"), [world.group], my_contacts=False)
    world.run()
    world.pass_time()
    [one] = world.tagged()
    world.crm_untag(one)
    assert world.run().counts == {"taken out of the group": 1}
    assert world.people.book.stored()[remote]["labels"] == ["contactGroups/myContacts"]


def test_11_what_the_crm_does_not_know_is_still_there_after_ten_round_trips(world: GoogleWorld) -> None:
    world.run()
    unknown = {
        "names": [{"givenName": "Ada", "phoneticGivenName": "Ay-da"}],
        "emailAddresses": [email(f"ada{n}@example.com", type="work", displayName="Ada at work") for n in range(3)],
        "phoneNumbers": [{"value": "+44 1", "type": "Boat radio"}],
        "relations": [{"person": "Byron", "type": "father"}],
        "userDefined": [{"key": "Shoe size", "value": "37"}],
        "organizations": [
            {"name": "Royal", "title": "Countess", "jobDescription": "x"},
            {"name": "Old", "current": False},
        ],
    }
    other = world.people.book.add_label("Poets")
    remote = world.people.book.add(unknown, [world.group, other])
    world.run()
    [one] = world.tagged()
    for turn in range(10):
        world.pass_time()
        world.crm_edit(one, notes=f"turn {turn}", phones=(Entry("+44 1", "Boat radio"), Entry(f"+44 2{turn}", "home")))
        world.run()
        world.pass_time()
        world.people.book.edit(remote, {"nicknames": [{"value": f"Ada {turn}"}]})
        world.run()
    stored = world.people.book.stored()[remote]
    assert [one["displayName"] for one in stored["emailAddresses"]] == ["Ada at work"] * 3
    assert {one["value"]: one.get("type") for one in stored["phoneNumbers"]} == {
        "+44 1": "Boat radio",
        "+44 29": "home",
    }
    assert (stored["relations"][0]["person"], stored["userDefined"][0]["value"]) == ("Byron", "37")
    assert stored["names"][0]["phoneticGivenName"] == "Ay-da"
    assert {one["name"] for one in stored["organizations"]} == {"Royal", "Old"}
    assert other in stored["labels"]


def test_12_an_address_of_a_google_profile_is_not_copied_into_the_contact(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    world.people.book.link_profile(remote, "secret@profile.example")
    world.crm_edit(one, title="Countess")
    world.settle()
    assert [entry.value for entry in world.contact(one).emails] == ["ada@example.com"]
    assert [one["value"] for one in world.people.book.stored()[remote]["emailAddresses"]] == ["ada@example.com"]


def test_24_a_clock_five_minutes_off_does_not_decide_conflicts(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    world.people.clock.advance(300)  # Google's clock is ahead of ours from now on
    world.people.book.edit(remote, {"biographies": [{"value": "earlier"}]})
    world.people.clock.advance(60)
    world.clock.advance(minutes=1)
    world.crm_edit(one, notes="later")
    world.run()
    assert world.contact(one).notes == world.person(remote).notes == "later"


def test_25_an_account_that_is_removed_during_a_run_is_written_no_more(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, _ = pair
    from models.accounts import AccountRow

    def removed(operation: str, _user: str) -> None:
        if operation == "connections.list":
            with world.app.db.transaction() as session:
                session.get_one(AccountRow, world.account).state = "removing"

    world.crm_edit(one, title="Countess")
    world.people.knobs.on_call = removed
    with world.people.counted() as calls:
        assert world.run().outcome == "stopped"
    assert calls["people.batchUpdateContacts"] == 0


# ---- limits and refusals -----------------------------------------------------------------------------------


def test_a_quota_is_waited_for_and_nothing_is_lost(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_edit(one, title="Countess")
    body = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
    world.people.faults.next(UPDATE, status=429, json=body, headers={"Retry-After": "30"})
    assert world.run().outcome == "throttled"
    assert world.run().outcome == "ok"
    assert world.person(remote).title == "Countess"


def test_an_outage_unlinks_nobody(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, _ = pair
    for _ in range(5):
        world.people.faults.next(LIST, status=503, html="<html>Error 503</html>")
        assert world.run().outcome == "failed"
    assert (world.account_row().state, list(world.tagged())) == ("linked", [one])
    world.pass_time(60 * 12)
    assert world.run().outcome == "ok"


def test_17_a_disabled_api_is_the_administrators_fault_and_heals_by_itself(
    pair: tuple[GoogleWorld, str, str],
) -> None:
    world, _, _ = pair
    world.people.knobs.service_disabled = True
    report = world.run()
    assert (report.outcome, world.account_row().state) == ("misconfigured", "linked")
    assert "People API" in report.error + report.advice
    world.people.knobs.service_disabled = False
    assert world.run().outcome == "ok"


def test_a_full_address_book_is_told_and_the_rest_goes_on(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    world.people.knobs.contact_limit = 1
    world.crm_add(person("One", "Too many"))
    world.crm_edit(one, title="Countess")
    report = world.run()
    assert report.outcome in ("partial", "misconfigured")
    assert world.person(remote).title == "Countess"


def test_reads_that_lag_behind_bring_no_old_value_back(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    world.people.knobs.get_lag = world.people.knobs.list_lag_api = world.people.knobs.list_lag_hand = 240
    for turn in range(6):
        world.crm_edit(one, title=f"Title {turn}")
        world.run()
        world.pass_time(1)
    world.settle()
    assert world.contact(one).title == world.person(remote).title == "Title 5"


def test_the_deletion_at_google_is_not_repeated_in_the_crm(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    world.people.book.delete(remote)
    assert world.run().counts == {"untagged": 1}
    assert one in world.contacts()
    world.crm_tag(one)
    world.settle()
    assert len(world.people.book.persons()) == 1
    assert list(world.links()) == [one]


def test_a_broken_answer_in_the_middle_of_membership_is_repaired(pair: tuple[GoogleWorld, str, str]) -> None:
    world, one, remote = pair
    world.crm_untag(one)
    world.people.faults.next(MODIFY, drop="after")
    assert world.run().outcome == "failed"
    world.settle()
    assert (world.members(), remote in world.people.book.persons()) == ({}, True)
    world.people.faults.next(GET, status=500, json={"error": {"code": 500, "status": "INTERNAL"}})
    world.crm_tag(one)
    world.run()
    world.settle()
    assert list(world.members()) == [remote]
