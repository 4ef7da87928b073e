"""The brake: a plan that takes out or overwrites too much is held until a person confirms it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from core.actions import Action, Change, Deselect, Reason, Update
from core.contact import Contact
from core.errors import Held
from core.plan import Facts, diff, guard
from core.policy import CONTACTS
from core.replica import Delta, Item, Link, Side, Stamp

AT = datetime(2026, 3, 2, tzinfo=UTC)
LATER = datetime(2026, 3, 3, tzinfo=UTC)


def link(number: int) -> Link[Contact]:
    return Link(f"l{number}", f"r{number}", Stamp("1", AT), Stamp("1", AT), Contact(given_name="Ada"), True)


def leaving(count: int, side: Side | None = Side.REMOTE) -> list[Action[Contact]]:
    return [Deselect(link(number), side, False, Reason.UNTAGGED) for number in range(count)]


def writing(count: int, *, overwrites: bool = True) -> list[Action[Contact]]:
    found: list[Action[Contact]] = []
    for number in range(100, 100 + count):
        one = link(number)
        item = Item(one.local_id, one.local, True, one.base)
        body = replace(one.base, title="x")
        change = Change(body, None, "1")
        found.append(Update(one, item, item, body, change, None, (), Reason.CHANGED_AT_PROVIDER, overwrites))
    return found


def held(plan: Sequence[Action[Contact]], active: int, approved: frozenset[str] = frozenset()) -> str:
    """The kind of hold, "" if the plan may go on."""
    try:
        guard(plan, active, CONTACTS, approved)
    except Held as error:
        return error.kind
    return ""


@pytest.mark.parametrize(
    ("active", "count", "kind"),
    [
        (20, 10, ""),
        (20, 11, "mass_change"),
        (50, 10, ""),
        (100, 20, ""),
        (100, 21, "mass_change"),
        (1000, 200, ""),
        (1000, 201, "mass_change"),
    ],
)
def test_ten_or_a_fifth_may_leave_at_once(active: int, count: int, kind: str) -> None:
    assert held(leaving(count), active) == kind


def test_leaving_and_overwriting_count_together() -> None:
    assert held([*leaving(5), *writing(5)], 20) == ""
    assert held([*leaving(6), *writing(5)], 20) == "mass_change"


def test_filling_in_counts_for_nothing() -> None:
    assert held(writing(50, overwrites=False), 60) == ""


def test_letting_go_of_what_left_on_both_sides_counts_for_nothing() -> None:
    assert held(leaving(50, None), 60) == ""


@pytest.mark.parametrize(("active", "kind"), [(2, ""), (3, "side_empty"), (9, "side_empty")])
@pytest.mark.parametrize("side", list(Side))
def test_a_side_that_is_suddenly_empty_is_held_from_three_pairs_on(side: Side, active: int, kind: str) -> None:
    assert held(leaving(active, side), active) == kind


def test_all_but_one_may_leave() -> None:
    assert held(leaving(8), 9) == ""


def test_what_a_person_confirmed_goes_on_and_no_more_than_that() -> None:
    with pytest.raises(Held) as caught:
        guard(leaving(12), 20, CONTACTS)
    approved = frozenset(caught.value.keys)
    assert len(approved) == 12
    assert held(leaving(12), 20, approved) == ""
    assert held(leaving(11), 20, approved) == ""
    assert held(leaving(13), 20, approved) == "mass_change"


def test_a_plan_without_removals_is_never_held() -> None:
    assert held([], 0) == ""


@pytest.mark.parametrize(("title", "bold"), [("", False), ("Countess", True)])
def test_a_changed_value_overwrites_and_a_first_one_does_not(title: str, bold: bool) -> None:
    base = Contact(given_name="Ada", title=title)
    pair = replace(link(1), base=base)
    mine = Item("l1", Stamp("1", AT), True, base)
    theirs = Item("r1", Stamp("2", LATER), True, replace(base, title="New"))
    [action] = diff([pair], Delta({"l1": mine}), Delta({"r1": theirs}), Facts(CONTACTS, AT))
    assert isinstance(action, Update)
    assert action.overwrites is bold
