"""The person's hand on the People double's address book, as seen by somebody who lists it.
The world and the check of every answer are in test_sandbox_people_fidelity."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox.google import Book
from tests.unit.test_sandbox_people_fidelity import ANN, World, new_world

BOB = {
    "names": [{"givenName": "Bob"}],
    "phoneNumbers": [{"value": "1"}],
    "emailAddresses": [{"value": "b@example.com"}],
}
MY_CONTACTS = "contactGroups/myContacts"


@pytest.fixture
def world() -> World:
    return new_world()


@pytest.fixture
def book(world: World) -> Book:
    return world.book


def test_the_book_is_found_by_address_and_by_sub(world: World) -> None:
    assert world.api.book(ANN) is world.api.book(world.store.users[ANN].sub) is world.book
    with pytest.raises(KeyError):
        world.api.book("nobody@example.com")


def test_an_edit_replaces_the_given_fields_and_clears_empty_ones(book: Book) -> None:
    name = book.add(BOB)
    book.edit(name, {"names": [{"givenName": "Rob"}], "phoneNumbers": []})
    stored = book.stored()[name]
    assert stored.keys() == {"names", "emailAddresses", "labels"}
    assert stored["names"][0]["givenName"] == "Rob"


def test_what_the_hand_writes_has_the_same_schema(book: Book) -> None:
    with pytest.raises(ValueError, match="Unknown name"):
        book.add({"nope": []})
    with pytest.raises(ValueError, match="labels are given by name"):
        book.add({"memberships": []})


def test_a_photo_set_by_hand_is_no_default_photo(world: World) -> None:
    name = world.book.add({"photos": [{"url": "https://photo.example/1"}]})
    (photo,) = world.get(name, "photos")["photos"]
    assert "default" not in photo


def test_a_contact_needs_a_label(book: Book) -> None:
    label = book.add_label("CRM")
    with pytest.raises(ValueError, match="needs a label"):
        book.add(BOB, my_contacts=False)
    name = book.add(BOB, [label], my_contacts=False)
    with pytest.raises(ValueError, match="last label"):
        book.take_from(label, name)
    book.put_under(MY_CONTACTS, name)
    book.take_from(label, name)
    assert book.members(label) == []


def test_a_label_is_deleted_with_or_without_its_contacts(book: Book) -> None:
    one, two = book.add_label("One"), book.add_label("Two")
    kept = book.add(BOB, [one], my_contacts=False)
    lost = book.add(BOB, [two])
    book.delete_label(one)
    book.delete_label(two, with_contacts=True)
    assert list(book.persons()) == [kept]
    assert book.members(MY_CONTACTS) == [kept]
    assert book.groups() == {}
    assert lost not in book.persons()


def test_labels_have_titles_of_their_own_and_googles_stay(book: Book) -> None:
    label = book.add_label("CRM")
    with pytest.raises(ValueError, match="taken"):
        book.add_label("CRM")
    with pytest.raises(ValueError, match="taken"):
        book.rename_label(label, "starred")
    with pytest.raises(ValueError, match="own labels"):
        book.rename_label(MY_CONTACTS, "Mine")
    with pytest.raises(ValueError, match="own labels"):
        book.delete_label("contactGroups/starred")
    book.rename_label(label, "Clients")
    assert book.groups() == {label: "Clients"}


@pytest.mark.parametrize(
    "act",
    [
        lambda book, gone: book.edit(gone, {}),
        lambda book, gone: book.touch(gone),
        lambda book, gone: book.delete(gone),
        lambda book, gone: book.merge(gone, gone),
        lambda book, gone: book.link_profile(gone, "x@example.com"),
        lambda book, gone: book.put_under(MY_CONTACTS, gone),
        lambda book, gone: book.members("contactGroups/none"),
        lambda book, gone: book.person(gone),
    ],
)
def test_a_deleted_contact_is_not_there_any_more(book: Book, act: Callable[[Book, str], object]) -> None:
    gone = book.add(BOB)
    book.delete(gone)
    with pytest.raises(KeyError):
        act(book, gone)


def test_merging_keeps_the_survivors_singletons_and_joins_lists_and_labels(book: Book) -> None:
    label = book.add_label("CRM")
    one = book.add(BOB)
    two = book.add({"names": [{"givenName": "Rob"}], "phoneNumbers": [{"value": "1"}, {"value": "2"}]}, [label])
    book.merge(one, two)
    stored = book.stored()[one]
    assert stored["names"][0]["givenName"] == "Bob"
    assert [phone["value"] for phone in stored["phoneNumbers"]] == ["1", "2"]
    assert stored["labels"] == [MY_CONTACTS, label]
    assert book.members(label) == [one]
    with pytest.raises(ValueError, match="itself"):
        book.merge(one, one)


def test_a_merge_of_merged_contacts_remembers_all_former_names(world: World) -> None:
    one, two, three = (world.book.add(BOB) for _ in range(3))
    token = world.page()["nextSyncToken"]
    world.book.merge(two, three)
    world.book.merge(one, two)
    (survivor,) = [p for p in world.page(syncToken=token)["connections"] if "deleted" not in p["metadata"]]
    assert set(survivor["metadata"]["previousResourceNames"]) == {two, three}


def test_read_outs_are_copies(book: Book) -> None:
    name = book.add(BOB)
    book.persons()[name]["names"][0]["givenName"] = "Changed"
    book.person(name)["names"].clear()
    book.stored()[name]["names"].clear()
    assert book.person(name)["names"][0]["givenName"] == "Bob"


def test_names_are_those_of_google(book: Book) -> None:
    assert book.add(BOB).removeprefix("people/c").isdigit()
    assert int(book.add_label("CRM").removeprefix("contactGroups/"), 16)
