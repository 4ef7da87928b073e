"""Laws of merging three texts of one contact, for any texts: who is asked first does not matter, nothing is made up,
and what is not in the result is told as lost."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.contact import Birthday, Contact, Entry, PostalAddress, canonical
from core.merge import changed_fields, merge, overwrites
from core.policy import CONTACTS
from core.replica import Side

words = st.sampled_from(("", "a", "b", "c"))
labels = st.sampled_from(("", "home", "work"))


def entries(values: tuple[str, ...]) -> st.SearchStrategy[tuple[Entry, ...]]:
    one = st.builds(Entry, st.sampled_from(values), labels, st.booleans())
    return st.lists(one, max_size=4).map(tuple)


contacts = st.builds(
    Contact,
    given_name=words,
    family_name=words,
    title=words,
    notes=words,
    organization=words,
    nicknames=st.lists(words, max_size=3).map(tuple),
    emails=entries(("a@x.example", "A@x.example", "b@x.example", "c@x.example")),
    phones=entries(("+49 30 1", "+49 (30) 1", "+49 30 2")),
    urls=entries(("https://a.example/", "a.example", "b.example")),
    addresses=st.lists(st.builds(PostalAddress, street=words, city=words, label=labels), max_size=3).map(tuple),
    birthday=st.none() | st.builds(Birthday, st.integers(1, 2), st.just(1)),
).map(canonical)
sides = st.sampled_from(Side)
NAMES = tuple(item.name for item in fields(Contact))


def items(contact: Contact, name: str) -> dict[str, Any]:
    """The items of a list by key, the values of a single field under "", without the mark of the primary one."""
    value = getattr(contact, name)
    key = CONTACTS.lists.get(name)
    if key is None:
        return {"": value} if value else {}
    return {key(one): replace(one, primary=False) if hasattr(one, "primary") else one for one in value}


@given(contacts, contacts, contacts, sides)
def test_swapping_the_sides_and_the_newer_one_changes_nothing(
    base: Contact, one: Contact, other: Contact, newer: Side
) -> None:
    straight = merge(base, one, other, newer=newer, policy=CONTACTS)
    swapped = merge(base, other, one, newer=newer.other, policy=CONTACTS)
    assert straight.value == swapped.value
    assert {(lost.field, lost.side.other, repr(lost.value)) for lost in straight.lost} == {
        (lost.field, lost.side, repr(lost.value)) for lost in swapped.lost
    }


@given(contacts, contacts, sides)
def test_what_one_side_alone_changed_is_the_result(base: Contact, edited: Contact, newer: Side) -> None:
    for mine, theirs in ((edited, base), (base, edited), (edited, edited)):
        merged = merge(base, mine, theirs, newer=newer, policy=CONTACTS)
        assert (merged.value, merged.lost) == (edited, ())


@given(contacts, contacts, contacts, sides, sides)
def test_merging_the_result_once_more_changes_nothing(
    base: Contact, mine: Contact, theirs: Contact, newer: Side, then: Side
) -> None:
    value = merge(base, mine, theirs, newer=newer, policy=CONTACTS).value
    assert merge(base, value, value, newer=then, policy=CONTACTS).value == value
    assert merge(value, value, value, newer=then, policy=CONTACTS).lost == ()
    # A run that died after the CRM had taken the result merges again, with the time of the newer side.
    again = merge(base, value, theirs, newer=newer, policy=CONTACTS)
    assert again.value == value


@given(contacts, contacts, contacts, sides)
def test_the_result_is_in_normal_form(base: Contact, mine: Contact, theirs: Contact, newer: Side) -> None:
    value = merge(base, mine, theirs, newer=newer, policy=CONTACTS).value
    assert canonical(value) == value


@given(contacts, contacts, contacts, sides)
def test_nothing_is_made_up(base: Contact, mine: Contact, theirs: Contact, newer: Side) -> None:
    value = merge(base, mine, theirs, newer=newer, policy=CONTACTS).value
    for name in NAMES:
        for key, item in items(value, name).items():
            assert item in (items(mine, name).get(key), items(theirs, name).get(key)), (name, key)


@given(contacts, contacts, contacts, sides)
def test_what_a_side_said_and_the_result_does_not_is_told(
    base: Contact, mine: Contact, theirs: Contact, newer: Side
) -> None:
    merged = merge(base, mine, theirs, newer=newer, policy=CONTACTS)
    told = {(lost.field, lost.side, repr(lost.value), repr(lost.kept)) for lost in merged.lost}
    wanted = set()
    for side, body, other in ((Side.LOCAL, mine, theirs), (Side.REMOTE, theirs, mine)):
        for name in NAMES:
            was, now, against = items(base, name), items(body, name), items(other, name)
            for key in was.keys() | now.keys():
                said, kept = now.get(key), items(merged.value, name).get(key)
                if said != was.get(key) and said != kept:
                    assert against.get(key) == kept, "only the other side's word may stand against it"
                    wanted.add((name, side, repr(said), repr(kept)))
    assert told == wanted
    assert {lost.side for lost in merged.lost} <= {newer.other}


@given(contacts, contacts, contacts, sides)
def test_the_primary_item_is_one_that_a_side_named(base: Contact, mine: Contact, theirs: Contact, newer: Side) -> None:
    value = merge(base, mine, theirs, newer=newer, policy=CONTACTS).value
    for name, key in CONTACTS.lists.items():
        firsts = [key(getattr(body, name)[0]) for body in (mine, theirs, base) if getattr(body, name)]
        kept = [key(one) for one in getattr(value, name)]
        if kept and set(firsts) & set(kept):
            assert kept[0] in firsts, name


@given(contacts, contacts)
def test_changed_fields_turn_one_text_into_the_other(before: Contact, after: Contact) -> None:
    changes = changed_fields(before, after)
    assert replace(before, **{name: new for name, (_, new) in changes.items()}) == after
    assert all(getattr(before, name) == old for name, (old, _) in changes.items())


@given(contacts, contacts)
def test_only_adding_is_not_overwriting(before: Contact, after: Contact) -> None:
    kept = all(items(after, name).get(key) == item for name in NAMES for key, item in items(before, name).items())
    assert overwrites(before, after, CONTACTS) is not kept


@given(contacts)
def test_an_equal_text_overwrites_nothing(body: Contact) -> None:
    assert not overwrites(body, body, CONTACTS)
    assert not overwrites(Contact(), body, CONTACTS)
