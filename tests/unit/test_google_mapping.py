"""Google's fields and ours: golden pairs of files, and what an edit sends and leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.contact import (
    LISTS,
    Birthday,
    Contact,
    Entry,
    PostalAddress,
    canonical,
    from_json,
    to_json,
)
from providers.google.edits import changed_update, new_person
from providers.google.mapping import FIELDS, PERSON_FIELDS, Raw, contact_of, raw_fields, read_contact

GOLDEN = Path(__file__).parent.parent / "golden" / "google"
NAMES = sorted({path.name.partition(".")[0] for path in GOLDEN.iterdir()})
DERIVED = {"displayName", "displayNameLastFirst", "formattedType", "canonicalForm"}  # output only, of the golden files
Json = dict[str, Any]


def golden(name: str, kind: str) -> Json:
    found: Json = json.loads((GOLDEN / f"{name}.{kind}.json").read_text(encoding="utf-8"))
    return found


def extra_of(person: Json) -> Json:
    return {"fields": raw_fields(person)}


def stored(raw: Raw, sent: Json) -> Json:
    """The person after Google replaced the fields of an update."""
    return {**raw, **sent}


# ---- golden pairs ----------------------------------------------------------------------------------------


def test_golden_files_come_in_pairs() -> None:
    assert len(NAMES) >= 20
    expected = {f"{name}.{kind}.json" for name in NAMES for kind in ("person", "contact")}
    assert {path.name for path in GOLDEN.iterdir()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_person_is_read_as_its_contact(name: str) -> None:
    assert to_json(read_contact(golden(name, "person"))) == golden(name, "contact")


@pytest.mark.parametrize("name", NAMES)
def test_a_contact_is_written_so_that_it_reads_the_same(name: str) -> None:
    contact = from_json(golden(name, "contact"))
    body = new_person(contact)
    assert read_contact(body) == contact
    assert set(body) <= set(PERSON_FIELDS.split(","))


@pytest.mark.parametrize("name", NAMES)
def test_a_contact_that_did_not_change_sends_nothing(name: str) -> None:
    person = golden(name, "person")
    assert changed_update(extra_of(person), read_contact(person)) == ("", {})


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_a_person_reads_the_same_and_is_never_output_only(name: str) -> None:
    raw = raw_fields(golden(name, "person"))
    assert json.loads(json.dumps(raw)) == raw
    assert contact_of(raw) == read_contact(golden(name, "person"))
    items = [(field, item) for field, items in raw.items() for item in items]
    assert not [item for field, item in items if DERIVED & item.keys() and field != "emailAddresses"]
    assert not [item for _, item in items if item.get("metadata", {"sourcePrimary": True}) != {"sourcePrimary": True}]


def test_the_mask_names_every_mapped_field_once() -> None:
    named = PERSON_FIELDS.split(",")
    assert named[: len(FIELDS)] == [field.name for field in FIELDS]
    assert named[len(FIELDS) :] == ["metadata", "memberships", "clientData"]


# ---- edits -----------------------------------------------------------------------------------------------


def edit(name: str, **changes: Any) -> tuple[str, Json]:
    person = golden(name, "person")
    return changed_update(extra_of(person), replace(read_contact(person), **changes))


def test_only_changed_fields_are_sent() -> None:
    mask, body = edit("everything", title="Head", notes="new")
    assert mask == "organizations,biographies"
    assert set(body) == {"organizations", "biographies"}


def test_a_changed_address_keeps_its_neighbours_and_their_unknown_keys() -> None:
    _, body = edit("everything", emails=(Entry("ann@example.com", "job", True), Entry("new@example.com", "x")))
    assert body["emailAddresses"] == [
        {
            "value": "ann@example.com",
            "type": "job",
            "displayName": "Ann at work",
            "metadata": {"sourcePrimary": True},
        },
        {"value": "new@example.com", "type": "x"},
    ]


def test_another_primary_one_comes_first_and_is_the_only_one_marked() -> None:
    _, body = edit("primary-not-first", emails=(Entry("a@example.com", "", True), Entry("z@example.com")))
    assert body["emailAddresses"] == [
        {"value": "a@example.com", "metadata": {"sourcePrimary": True}},
        {"value": "z@example.com"},
    ]


def test_a_name_that_was_never_split_is_written_in_parts_when_it_changes() -> None:
    mask, body = edit("name-never-split", family_name="Prince")
    assert mask == "names"
    assert body["names"] == [
        {"givenName": "The Artist Formerly Known", "familyName": "Prince", "metadata": {"sourcePrimary": True}}
    ]


def test_a_name_keeps_what_the_crm_does_not_know() -> None:
    _, body = edit("phonetic-name", given_name="次郎")
    assert body["names"][0]["phoneticGivenName"] == "タロウ"
    assert edit("phonetic-name", given_name="", family_name="")[1]["names"] == [
        {"phoneticFamilyName": "ヤマダ", "phoneticGivenName": "タロウ", "metadata": {"sourcePrimary": True}}
    ]


def test_values_of_a_profile_are_never_sent() -> None:
    _, body = edit("profile-mixed-in", given_name="Anna", emails=())
    assert [item["familyName"] for item in body["names"]] == ["Lee"]
    assert body["emailAddresses"] == []


def test_the_mapped_organization_changes_and_the_others_stay() -> None:
    _, body = edit("two-organizations", title="Chair")
    mapped, other = body["organizations"]
    assert mapped["title"] == "Chair"
    assert mapped["jobDescription"] == "everything"
    assert other["name"] == "Old Corp"


def test_an_organization_that_has_nothing_left_goes() -> None:
    assert edit("everything", organization="", department="", title="")[1] == {"organizations": []}
    kept = edit("two-organizations", organization="", title="")[1]["organizations"][0]
    assert kept == {
        "current": True,
        "jobDescription": "everything",
        "location": "Oslo",
        "metadata": {"sourcePrimary": True},
    }


def test_a_birthday_in_words_stays_until_the_crm_has_a_date() -> None:
    assert edit("birthday-as-text", given_name="Ann")[0] == "names"
    _, body = edit("birthday-as-text", birthday=Birthday(6, 21))
    assert body["birthdays"] == [{"date": {"month": 6, "day": 21}, "metadata": {"sourcePrimary": True}}]


def test_a_birthday_that_was_taken_away_is_sent_as_an_empty_list() -> None:
    assert edit("birthday-year-zero", birthday=None) == ("birthdays", {"birthdays": []})


def test_html_stays_html() -> None:
    _, body = edit("html-biography", notes="<p>Likes coffee</p>")
    assert body["biographies"][0]["contentType"] == "TEXT_HTML"


def test_an_address_that_keeps_its_place_keeps_its_lines() -> None:
    one = PostalAddress("Main St 1 House B", "Floor 3", "PO 77", "Town", "BC", "V5K", "Canada", "CA", "home", True)
    _, body = edit("address-in-all-parts", addresses=(one,))
    assert body["addresses"][0]["streetAddress"] == "Main St 1\nHouse B"
    assert body["addresses"][0]["type"] == "home"


def test_copies_of_an_address_stay_as_long_as_the_right_one_counts() -> None:
    ann, b = Entry("ann@example.com", "work", True), Entry("b@example.com")
    kept = edit("same-email-in-other-case", emails=(ann, b, Entry("c@example.com")))[1]["emailAddresses"]
    assert [item["value"] for item in kept] == ["ann@example.com", "ANN@example.com", "b@example.com", "c@example.com"]
    # Were the other copy still there, its label would count as soon as this one is not the primary any more.
    moved = edit("same-email-in-other-case", emails=(replace(b, primary=True), replace(ann, primary=False)))[1]
    assert [item["value"] for item in moved["emailAddresses"]] == ["b@example.com", "ann@example.com"]
    gone = edit("same-email-in-other-case", emails=(replace(b, primary=True),))[1]
    assert [item["value"] for item in gone["emailAddresses"]] == ["b@example.com"]


def test_values_beyond_what_a_contact_holds_survive_an_edit() -> None:
    many = [{"value": f"n{number:03}@example.com"} for number in range(120)]
    raw = raw_fields({"emailAddresses": many})
    seen = contact_of(raw)
    assert len(seen.emails) == 100
    changed = tuple(replace(entry, label="x") for entry in seen.emails[1:])
    _, body = changed_update({"fields": raw}, replace(seen, emails=(replace(changed[0], primary=True), *changed[1:])))
    assert len(body["emailAddresses"]) == 119


# ---- ten round trips -------------------------------------------------------------------------------------

LABELS = st.sampled_from(["", "home", "work", "Verein"])
TEXTS = st.text("aB z", max_size=5)


def entries(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Entry, ...]]:
    # At most one is the primary one: People marks no more, and neither does the CRM.
    items = st.lists(st.builds(Entry, values, LABELS), max_size=4)
    return st.tuples(items, st.integers(0, 4)).map(
        lambda drawn: tuple(replace(item, primary=index == drawn[1]) for index, item in enumerate(drawn[0]))
    )


CONTACTS = st.builds(
    Contact,
    prefix=TEXTS,
    given_name=TEXTS,
    family_name=TEXTS,
    nicknames=st.lists(st.sampled_from(["An", "an", "Bo"]), max_size=3).map(tuple),
    emails=entries(st.sampled_from(["a@x.test", "A@x.test", "b@x.test", "c@x.test"])),
    phones=entries(st.sampled_from(["1 2 3", "123", "+4"])),
    addresses=st.lists(
        st.builds(PostalAddress, street=TEXTS, city=TEXTS, country_code=st.sampled_from(["", "DE"]), label=LABELS),
        max_size=3,
    ).map(tuple),
    urls=entries(st.sampled_from(["http://a.test", "https://www.a.test/", "b.test"])),
    organization=TEXTS,
    title=TEXTS,
    birthday=st.one_of(st.none(), st.builds(Birthday, st.just(2), st.integers(1, 29), st.sampled_from([0, 1980]))),
    notes=TEXTS,
)


def strange(person: Json) -> Json:
    """The person with a key in each item, and items, that we know nothing of."""
    marked = {
        field: [{**item, "unknownKey": f"{field} {index}"} for index, item in enumerate(items)]
        for field, items in person.items()
    }
    return {**marked, "relations": [{"person": "Bob"}], "userDefined": [{"key": "k", "value": "v"}]}


@settings(max_examples=60)
@given(CONTACTS, st.lists(CONTACTS, min_size=10, max_size=10))
def test_ten_round_trips_arrive_and_lose_no_unknown_key(first: Contact, edits: list[Contact]) -> None:
    person = strange(new_person(first))
    for wanted in map(canonical, edits):
        before = contact_of(raw_fields(person))
        mask, body = changed_update({"fields": raw_fields(person)}, wanted)
        after = stored(person, body)
        assert set(filter(None, mask.split(","))) == set(body)
        assert read_contact(after) == wanted
        for field, (name, key) in {one.name: (one.attribute, LISTS[one.attribute]) for one in lists()}.items():
            kept = {key(item) for item in getattr(before, name)} & {key(item) for item in getattr(wanted, name)}
            assert len(kept) <= len(unknown(after, field) & unknown(person, field)) or not unknown(person, field)
        for field in ("relations", "userDefined"):
            assert after[field] == person[field]
        person = strange_new(after)


def lists() -> list[Any]:
    return [field for field in FIELDS if hasattr(field, "attribute")]


def unknown(person: Json, field: str) -> set[str]:
    return {item["unknownKey"] for item in person.get(field, []) if "unknownKey" in item}


def strange_new(person: Json) -> Json:
    """New items get an unknown key as well, as if another program had added it meanwhile."""
    known = {name for field in FIELDS for name in unknown(person, field.name)}
    fresh = iter(f"later {number}" for number in range(1000) if f"later {number}" not in known)
    return {
        field: [item if "unknownKey" in item else {**item, "unknownKey": next(fresh)} for item in items]
        if field in PERSON_FIELDS.split(",")
        else items
        for field, items in person.items()
    }
