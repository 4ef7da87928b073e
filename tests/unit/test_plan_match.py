"""Who is the same person among the unlinked records of both sides, and where only a person can tell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from core.actions import Action, Adopt, Create, Decide, Reason, Wait
from core.contact import Contact, Entry, canonical
from core.match import NEW, Unlinked
from core.policy import contact_policy
from core.replica import Item, Side, Stamp

AT = datetime(2026, 3, 2, tzinfo=UTC)
POLICY = contact_policy(lambda written: "+" + "".join(filter(str.isdigit, written)))


def one(
    name: str,
    given: str = "Ada",
    family: str = "",
    *,
    emails: tuple[str, ...] = (),
    phone: str = "",
    selected: bool = True,
    origin: str = "",
    days: int = 0,
    title: str = "",
    notes: str = "",
) -> Item[Contact]:
    phones = (Entry(phone),) if phone else ()
    addresses = tuple(map(Entry, emails))
    body = Contact(given_name=given, family_name=family, emails=addresses, phones=phones, title=title, notes=notes)
    return Item(name, Stamp("1", AT + timedelta(days=days)), selected, canonical(body), origin)


def match(
    mine: list[Item[Contact]],
    theirs: list[Item[Contact]],
    decisions: Mapping[tuple[Side, str], str] | None = None,
    waiting: frozenset[str] = frozenset(),
) -> list[Action[Contact]]:
    here, there = {item.id: item for item in mine}, {item.id: item for item in theirs}
    return list(Unlinked(here, there, POLICY, decisions or {}, waiting).actions())


def joined(actions: list[Action[Contact]]) -> list[tuple[str, str, Reason]]:
    return [(action.local.id, action.remote.id, action.reason) for action in actions if isinstance(action, Adopt)]


def made(actions: list[Action[Contact]]) -> list[tuple[Side, str]]:
    return [(action.side, action.source.id) for action in actions if isinstance(action, Create)]


def asked(actions: list[Action[Contact]]) -> dict[str, tuple[str, ...]]:
    return {action.item.id: action.candidates for action in actions if isinstance(action, Decide)}


def test_who_has_no_counterpart_is_made_on_the_other_side() -> None:
    actions = match([one("l")], [one("r", "Bob")])
    assert sorted(made(actions)) == [(Side.LOCAL, "r"), (Side.REMOTE, "l")]


def test_who_does_not_take_part_is_left_alone() -> None:
    assert match([one("l", selected=False)], [one("r", selected=False)]) == []


def test_an_equal_address_makes_two_records_one_in_any_case() -> None:
    actions = match([one("l", emails=("ada@example.com",))], [one("r", "Other", emails=("ADA@Example.com",))])
    assert joined(actions) == [("l", "r", Reason.SAME_EMAIL)]
    assert len(actions) == 1


@pytest.mark.parametrize(("mine", "theirs", "count"), [(True, False, 1), (False, True, 1), (False, False, 0)])
def test_one_of_the_two_must_take_part(mine: bool, theirs: bool, count: int) -> None:
    emails = ("ada@example.com",)
    actions = match([one("l", emails=emails, selected=mine)], [one("r", emails=emails, selected=theirs)])
    assert (len(joined(actions)), len(actions)) == (count, count)


def test_any_address_in_common_will_do() -> None:
    mine, theirs = one("l", emails=("a@x.example", "b@x.example")), one("r", emails=("b@x.example", "c@x.example"))
    assert joined(match([mine], [theirs])) == [("l", "r", Reason.SAME_EMAIL)]


def test_a_phone_needs_the_family_name_too() -> None:
    mine = one("l", "Ada", "Lovelace", phone="+49 30 1")
    assert joined(match([mine], [one("r", "A.", "LOVELACE", phone="+49 (30) 1")])) == [("l", "r", Reason.SAME_PHONE)]
    assert joined(match([mine], [one("r", "Ada", "King", phone="+49 30 1")])) == []
    assert joined(match([one("l", phone="+49 30 1")], [one("r", phone="+49 30 1")])) == []


def test_an_address_counts_for_more_than_a_phone() -> None:
    mine = one("l", "Ada", "L", emails=("ada@example.com",), phone="+49 30 1")
    by_mail, by_phone = one("r1", emails=("ada@example.com",)), one("r2", "Ada", "L", phone="+49 30 1", selected=False)
    assert joined(match([mine], [by_phone, by_mail])) == [("l", "r1", Reason.SAME_EMAIL)]


def test_our_own_mark_counts_for_most() -> None:
    mine = one("l", emails=("ada@example.com",))
    ours, other = (
        one("r1", "Renamed", origin="l", selected=False),
        one("r2", emails=("ada@example.com",), selected=False),
    )
    assert joined(match([mine], [other, ours])) == [("l", "r1", Reason.MADE_BY_US)]


def test_our_own_mark_finds_a_contact_without_the_tag() -> None:
    assert joined(match([one("l", selected=False)], [one("r", origin="l")])) == [("l", "r", Reason.MADE_BY_US)]


def test_of_two_with_our_mark_the_one_that_takes_part_is_ours() -> None:
    actions = match([one("l")], [one("r1", origin="l", selected=False), one("r2", origin="l")])
    assert joined(actions) == [("l", "r2", Reason.MADE_BY_US)]


def test_a_mark_of_somebody_else_means_nothing() -> None:
    assert joined(match([one("l")], [one("r", origin="elsewhere")])) == []


@pytest.mark.parametrize("selected", [True, False])
def test_two_candidates_create_nothing_and_ask(selected: bool) -> None:
    emails = ("family@example.com",)
    theirs = [one("r1", emails=emails, selected=selected), one("r2", "Bob", emails=emails, selected=selected)]
    actions = match([one("l", emails=emails)], theirs)
    assert (joined(actions), made(actions)) == ([], [])
    wanted = {"l": ("r1", "r2")} | ({"r1": ("l",), "r2": ("l",)} if selected else {})
    assert asked(actions) == wanted


def test_a_chain_of_addresses_is_ambiguous_as_a_whole() -> None:
    mine = [one("l1", emails=("a@x.example",)), one("l2", emails=("a@x.example", "b@x.example"))]
    theirs = [one("r1", emails=("a@x.example",)), one("r2", emails=("b@x.example",))]
    assert asked(match(mine, theirs)).keys() == {"l1", "l2", "r1", "r2"}


def test_what_is_ambiguous_by_address_is_not_paired_by_phone() -> None:
    mine = one("l", "Ada", "L", emails=("a@x.example",), phone="+49 30 1")
    theirs = [
        one("r1", emails=("a@x.example",)),
        one("r2", emails=("a@x.example",)),
        one("r3", "A", "L", phone="+49 30 1"),
    ]
    actions = match([mine], theirs)
    assert (joined(actions), made(actions)) == ([], [(Side.LOCAL, "r3")])


def test_a_decision_pairs_as_it_says_and_the_rest_is_new() -> None:
    emails = ("family@example.com",)
    theirs = [one("r1", emails=emails), one("r2", "Bob", emails=emails)]
    actions = match([one("l", emails=emails)], theirs, {(Side.LOCAL, "l"): "r2"})
    assert (joined(actions), made(actions)) == ([("l", "r2", Reason.DECIDED)], [(Side.LOCAL, "r1")])


def test_a_decision_may_be_taken_from_either_side() -> None:
    emails = ("family@example.com",)
    theirs = [one("r1", emails=emails), one("r2", "Bob", emails=emails)]
    actions = match([one("l", emails=emails)], theirs, {(Side.REMOTE, "r1"): "l"})
    assert joined(actions) == [("l", "r1", Reason.DECIDED)]


def test_decided_to_be_new_is_new() -> None:
    emails = ("family@example.com",)
    theirs = [one("r1", emails=emails, selected=False), one("r2", "Bob", emails=emails, selected=False)]
    actions = match([one("l", emails=emails)], theirs, {(Side.LOCAL, "l"): NEW})
    assert (joined(actions), made(actions), asked(actions)) == ([], [(Side.REMOTE, "l")], {})


def test_a_decision_about_one_that_is_not_there_any_more_decides_nothing() -> None:
    actions = match([one("l")], [], {(Side.LOCAL, "l"): "r9"})
    assert made(actions) == [(Side.REMOTE, "l")]


def test_whose_creation_may_be_on_its_way_waits_and_so_do_all_it_could_be() -> None:
    emails = ("ada@example.com",)
    actions = match([one("l", emails=emails)], [one("r", emails=emails)], waiting=frozenset(["l"]))
    assert [(type(action), action.reason) for action in actions] == [(Wait, Reason.IN_FLIGHT)] * 2


def test_joining_merges_both_texts_and_overwrites_neither_silently() -> None:
    mine = one("l", "Ada", emails=("ada@example.com",), title="Countess", days=1)
    theirs = one("r", "A.", emails=("ada@example.com",), notes="from the phone", selected=False)
    [action] = match([mine], [theirs])
    assert isinstance(action, Adopt)
    assert (action.body.given_name, action.body.title, action.body.notes) == ("Ada", "Countess", "from the phone")
    assert [(lost.field, lost.side, lost.value) for lost in action.lost] == [("given_name", Side.REMOTE, "A.")]
    assert action.to_local is not None
    assert action.to_remote is not None
    assert (action.to_local.selected, action.to_remote.selected) == (None, True)


def test_joining_equal_records_writes_nothing() -> None:
    [action] = match([one("l", emails=("a@x.example",))], [one("r", emails=("a@x.example",))])
    assert isinstance(action, Adopt)
    assert (action.to_local, action.to_remote, action.lost) == (None, None, ())
