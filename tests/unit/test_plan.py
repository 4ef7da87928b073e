"""What a sync decides about a linked pair: the table of docs/architecture.md cell by cell, the clock, late reads,
waiting, recovery after a crash. Pairing unlinked records is test_plan_match.py, the brake test_plan_guard.py."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.actions import Action, Create, Deselect, Reason, Rebase, Update, Wait
from core.contact import Contact
from core.plan import Facts, diff, follow_renames, recover, to_read
from core.policy import CONTACTS
from core.replica import LONG_AGO, Delta, Item, Link, Sent, Side, Stamp

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SETTLED = NOW - timedelta(minutes=10)
THEN = NOW - timedelta(days=1)
BASE = Contact(given_name="Ada", title="Countess")
LINK = Link("mine", "theirs", Stamp("1", THEN), Stamp("e1", THEN), BASE, True)
PARTED = replace(LINK, active=False)
JUST_NOW = NOW - timedelta(minutes=1)  # when we wrote its membership


def mine(*, text: str = "Countess", version: str = "1", at: datetime = THEN, selected: bool = True) -> Item[Contact]:
    return Item("mine", Stamp(version, at), selected, replace(BASE, title=text), "mine")


def theirs(*, text: str = "Countess", version: str = "e1", at: datetime = THEN, selected: bool = True) -> Item[Contact]:
    return Item("theirs", Stamp(version, at), selected, replace(BASE, title=text))


def plan(
    link: Link[Contact],
    local: Item[Contact] | None,
    remote: Item[Contact] | None,
    *,
    local_gone: Collection[str] = (),
    remote_gone: Collection[str] = (),
    complete: bool = False,
    skew: float = 0.0,
) -> Action[Contact] | None:
    """The one action that is decided for a pair, None if there is nothing to do."""
    here = Delta({local.id: local} if local else {}, gone=frozenset(local_gone))
    there = Delta({remote.id: remote} if remote else {}, gone=frozenset(remote_gone), complete=complete)
    actions = list(diff([link], here, there, Facts(CONTACTS, SETTLED, skew)))
    assert len(actions) <= 1
    return actions[0] if actions else None


MINE_EDITED = mine(text="CRM", version="2", at=NOW - timedelta(hours=2))
THEIRS_EDITED = theirs(text="Provider", version="e2", at=NOW - timedelta(hours=1))
MINE_LEFT, THEIRS_LEFT = mine(selected=False), theirs(version="e2", selected=False)


# ---- the table: same, changed, left, gone on either side ----------------------------------------------------


def test_same_and_same_is_nothing() -> None:
    assert plan(LINK, mine(), theirs()) is None


def test_same_and_not_reported_is_nothing() -> None:
    assert plan(LINK, mine(), None) is None


def test_same_and_changed_updates_the_crm_alone() -> None:
    action = plan(LINK, mine(), THEIRS_EDITED)
    assert isinstance(action, Update)
    assert (action.reason, action.to_remote, action.lost) == (Reason.CHANGED_AT_PROVIDER, None, ())
    assert action.to_local is not None
    assert (action.to_local.body, action.to_local.selected, action.to_local.expect) == (THEIRS_EDITED.body, None, "1")


def test_same_and_left_untags() -> None:
    action = plan(LINK, mine(), THEIRS_LEFT)
    assert isinstance(action, Deselect)
    assert (action.side, action.forget, action.reason) == (Side.LOCAL, False, Reason.LEFT_GROUP)


def test_same_and_gone_untags_and_forgets_the_pair() -> None:
    action = plan(LINK, mine(), None, remote_gone=["theirs"])
    assert isinstance(action, Deselect)
    assert (action.side, action.forget, action.reason) == (Side.LOCAL, True, Reason.DELETED_AT_PROVIDER)


def test_changed_and_same_updates_the_provider_alone() -> None:
    action = plan(LINK, MINE_EDITED, theirs())
    assert isinstance(action, Update)
    assert (action.reason, action.to_local, action.lost) == (Reason.CHANGED_IN_CRM, None, ())
    assert action.to_remote is not None
    assert (action.to_remote.body, action.to_remote.selected, action.to_remote.expect) == (MINE_EDITED.body, None, "e1")


def test_changed_and_not_reported_updates_the_version_last_seen() -> None:
    action = plan(LINK, MINE_EDITED, None)
    assert isinstance(action, Update)
    assert action.to_remote is not None
    assert action.to_remote.expect == "e1"


def test_changed_to_the_same_on_both_sides_is_only_noted() -> None:
    action = plan(LINK, mine(text="Same", version="2", at=NOW), theirs(text="Same", version="e2", at=NOW))
    assert isinstance(action, Rebase)
    assert (action.now.base.title, action.now.local.version, action.now.remote.version) == ("Same", "2", "e2")


def test_changed_differently_takes_the_newer_and_tells_what_lost() -> None:
    action = plan(LINK, MINE_EDITED, THEIRS_EDITED)
    assert isinstance(action, Update)
    assert (action.body.title, action.to_remote, action.reason) == ("Provider", None, Reason.NEWER_AT_PROVIDER)
    assert [(one.field, one.side, one.value, one.kept) for one in action.lost] == [
        ("title", Side.LOCAL, "CRM", "Provider")
    ]


def test_changed_in_different_fields_goes_both_ways() -> None:
    action = plan(LINK, MINE_EDITED, replace(THEIRS_EDITED, body=replace(BASE, notes="n")))
    assert isinstance(action, Update)
    assert (action.reason, action.lost) == (Reason.CHANGED_ON_BOTH, ())
    assert action.to_local is not None
    assert action.to_remote is not None
    assert action.to_local.body == action.to_remote.body == replace(BASE, title="CRM", notes="n")


def test_changed_and_left_untags_and_the_text_stays() -> None:
    action = plan(LINK, MINE_EDITED, THEIRS_LEFT)
    assert isinstance(action, Deselect)
    assert action.side is Side.LOCAL


def test_left_and_same_takes_out_of_the_group() -> None:
    action = plan(LINK, MINE_LEFT, theirs())
    assert isinstance(action, Deselect)
    assert (action.side, action.forget, action.reason) == (Side.REMOTE, False, Reason.UNTAGGED)


def test_left_and_changed_takes_out_of_the_group() -> None:
    action = plan(LINK, MINE_LEFT, THEIRS_EDITED)
    assert isinstance(action, Deselect)
    assert action.side is Side.REMOTE


def test_left_and_left_parts_the_pair() -> None:
    action = plan(LINK, MINE_LEFT, THEIRS_LEFT)
    assert isinstance(action, Deselect)
    assert (action.side, action.forget, action.reason) == (None, False, Reason.LEFT_BOTH)


def test_left_and_gone_forgets_the_pair() -> None:
    action = plan(LINK, MINE_LEFT, None, remote_gone=["theirs"])
    assert isinstance(action, Deselect)
    assert (action.side, action.forget) == (None, True)


def test_erased_and_same_takes_out_of_the_group_and_forgets() -> None:
    action = plan(LINK, None, theirs(), local_gone=["mine"])
    assert isinstance(action, Deselect)
    assert (action.side, action.forget, action.reason) == (Side.REMOTE, True, Reason.DELETED_IN_CRM)


def test_a_new_stamp_on_the_same_text_is_no_change() -> None:
    action = plan(LINK, mine(), theirs(version="e2", at=NOW))
    assert isinstance(action, Rebase)
    assert action.now.remote == Stamp("e2", NOW)


# ---- parted pairs ------------------------------------------------------------------------------------------


def test_a_parted_pair_stays_parted() -> None:
    assert plan(PARTED, MINE_LEFT, THEIRS_LEFT) is None


def test_tagged_again_joins_the_old_record() -> None:
    action = plan(PARTED, mine(), THEIRS_LEFT)
    assert isinstance(action, Update)
    assert (action.reason, action.to_local) == (Reason.TAGGED_AGAIN, None)
    assert action.to_remote is not None
    assert (action.to_remote.body, action.to_remote.selected) == (None, True)


def test_grouped_again_joins_the_old_record() -> None:
    action = plan(PARTED, MINE_LEFT, theirs())
    assert isinstance(action, Update)
    assert (action.reason, action.to_remote) == (Reason.GROUPED_AGAIN, None)
    assert action.to_local is not None
    assert (action.to_local.body, action.to_local.selected) == (None, True)


def test_on_joining_again_the_newer_text_wins_also_on_the_side_that_had_left() -> None:
    left = mine(text="Newest", version="3", at=NOW, selected=False)
    action = plan(PARTED, left, THEIRS_EDITED)
    assert isinstance(action, Update)
    assert (action.body.title, [one.value for one in action.lost]) == ("Newest", ["Provider"])


def test_joining_again_unread_waits_until_it_was_read() -> None:
    link, local = PARTED, mine()
    assert to_read([link], Delta({"mine": local}), Delta({})) == {"theirs"}
    assert isinstance(plan(link, local, None), Wait)


@pytest.mark.parametrize("link", [LINK, PARTED], ids=["active", "parted"])
def test_nothing_more_is_read_of_those_that_do_not_join(link: Link[Contact]) -> None:
    assert to_read([link], Delta({"mine": MINE_LEFT}), Delta({})) == set()


def test_tagged_again_after_the_other_was_deleted_makes_a_new_one() -> None:
    action = plan(PARTED, mine(), None, remote_gone=["theirs"])
    assert isinstance(action, Create)
    assert (action.side, action.source.id, action.replaces) == (Side.REMOTE, "mine", PARTED)


def test_grouped_again_after_the_contact_was_erased_makes_a_new_one() -> None:
    action = plan(PARTED, None, theirs(), local_gone=["mine"])
    assert isinstance(action, Create)
    assert (action.side, action.source.id, action.replaces) == (Side.LOCAL, "theirs", PARTED)


def test_a_parted_pair_of_which_one_is_gone_is_forgotten() -> None:
    action = plan(PARTED, MINE_LEFT, None, remote_gone=["theirs"])
    assert isinstance(action, Deselect)
    assert (action.side, action.forget) == (None, True)


# ---- the clock ---------------------------------------------------------------------------------------------


def test_at_equal_times_the_crm_wins() -> None:
    action = plan(LINK, replace(MINE_EDITED, stamp=Stamp("2", NOW)), replace(THEIRS_EDITED, stamp=Stamp("e2", NOW)))
    assert isinstance(action, Update)
    assert (action.body.title, action.to_local, action.reason) == ("CRM", None, Reason.NEWER_IN_CRM)


@pytest.mark.parametrize(
    ("skew", "winner"), [(0.0, "Provider"), (7200.0, "CRM"), (3600.0, "CRM"), (3599.0, "Provider")]
)
def test_a_provider_whose_clock_is_ahead_gains_nothing_by_it(skew: float, winner: str) -> None:
    action = plan(LINK, MINE_EDITED, THEIRS_EDITED, skew=skew)
    assert isinstance(action, Update)
    assert action.body.title == winner


# ---- what the provider shows late --------------------------------------------------------------------------


def test_an_older_state_under_another_version_is_no_change() -> None:
    known = replace(LINK, remote=Stamp("e2", NOW))
    assert plan(known, mine(), theirs(text="before our write", version="e1", at=THEN)) is None


def test_an_older_membership_is_no_leaving() -> None:
    known = replace(LINK, remote=Stamp("e2", NOW))
    assert plan(known, mine(), theirs(version="e1", at=THEN, selected=False)) is None


def test_absence_from_a_complete_listing_is_a_deletion() -> None:
    assert isinstance(plan(LINK, mine(), None, complete=True), Deselect)


def test_absence_from_a_partial_listing_is_nothing() -> None:
    assert plan(LINK, mine(), None, complete=False) is None


@pytest.mark.parametrize(
    "link", [replace(LINK, written_at=JUST_NOW), replace(LINK, remote=Stamp("e1", NOW))], ids=["moved", "written"]
)
def test_absence_of_what_was_written_just_now_is_nothing(link: Link[Contact]) -> None:
    assert plan(link, mine(), None, complete=True) is None


def test_whether_it_was_written_just_now_is_told_by_our_clock() -> None:
    ahead = replace(LINK, remote=Stamp("e1", SETTLED + timedelta(minutes=5)))
    assert plan(ahead, mine(), None, complete=True) is None
    assert isinstance(plan(ahead, mine(), None, complete=True, skew=3600), Deselect)


def test_out_of_the_group_just_after_we_put_it_in_waits() -> None:
    action = plan(replace(LINK, written_at=JUST_NOW), mine(), theirs(selected=False))
    assert isinstance(action, Wait)
    assert (action.side, action.id, action.reason) == (Side.REMOTE, "theirs", Reason.TOO_SOON)


def test_in_the_group_just_after_we_took_it_out_waits() -> None:
    action = plan(replace(PARTED, written_at=JUST_NOW), MINE_LEFT, theirs())
    assert isinstance(action, Wait)


def test_untagged_just_after_we_wrote_is_taken_out_whatever_is_listed() -> None:
    action = plan(replace(LINK, written_at=JUST_NOW), MINE_LEFT, THEIRS_LEFT)
    assert isinstance(action, Deselect)
    assert action.side is Side.REMOTE


def test_tagged_again_just_after_we_took_it_out_is_put_in_whatever_is_listed() -> None:
    action = plan(replace(PARTED, written_at=JUST_NOW), mine(), theirs())
    assert isinstance(action, Update)
    assert action.to_remote is not None
    assert action.to_remote.selected is True


# ---- merged at the provider --------------------------------------------------------------------------------


def test_a_link_follows_its_record_to_the_new_name() -> None:
    there = Delta({"new": replace(theirs(), id="new")}, gone=frozenset(["theirs"]), renamed={"theirs": "new"})
    assert [link.remote_id for link in follow_renames([LINK], there)] == ["new"]


def test_a_record_merged_into_a_linked_one_is_gone() -> None:
    other = replace(LINK, local_id="other", remote_id="new")
    there = Delta({"new": replace(theirs(), id="new")}, renamed={"theirs": "new"})
    links = list(follow_renames([LINK, other], there))
    assert [link.remote_id for link in links] == ["theirs", "new"]
    here = Delta({"mine": mine(), "other": replace(mine(), id="other")})
    [action] = diff(links, here, there, Facts(CONTACTS, SETTLED))
    assert isinstance(action, Deselect)
    assert (action.link.local_id, action.side, action.forget) == ("mine", Side.LOCAL, True)


def test_two_merged_into_a_third_leave_one_link() -> None:
    other = replace(LINK, local_id="other", remote_id="second")
    there = Delta({"new": replace(theirs(), id="new")}, renamed={"theirs": "new", "second": "new"})
    assert [link.remote_id for link in follow_renames([LINK, other], there)] == ["new", "second"]


def test_what_was_merged_into_one_that_we_made_unheard_does_not_take_its_place() -> None:
    there = Delta({"new": replace(theirs(), id="new", origin="made")}, renamed={"theirs": "new"})
    assert [link.remote_id for link in follow_renames([LINK], there, {"made"})] == ["theirs"]
    assert [link.remote_id for link in follow_renames([LINK], there)] == ["new"]


# ---- recovery ----------------------------------------------------------------------------------------------

SENT = Sent("mine", "theirs", Stamp("2", NOW), replace(BASE, title="Sent"), None, NOW)
CREATED = Sent("mine", "", Stamp("1", NOW), BASE, True, NOW)


def test_an_update_that_took_effect_is_the_new_base() -> None:
    shown = theirs(text="Sent", version="e2", at=NOW)
    found = recover([LINK], {"mine": SENT}, Delta({"theirs": shown}), settled_at=SETTLED)
    [link] = found.links
    assert (link.base, link.local, link.remote) == (SENT.body, SENT.local, shown.stamp)
    assert (found.settled, found.waiting) == (frozenset({"mine"}), frozenset())


def test_an_update_that_did_not_take_effect_is_decided_anew() -> None:
    found = recover([LINK], {"mine": SENT}, Delta({"theirs": theirs()}), settled_at=SETTLED)
    assert (found.links, found.settled) == ([LINK], frozenset())


def test_another_text_than_was_sent_is_somebody_elses() -> None:
    shown = theirs(text="Somebody's", version="e3", at=NOW)
    found = recover([LINK], {"mine": SENT}, Delta({"theirs": shown}), settled_at=SETTLED)
    assert (found.links, found.settled) == ([LINK], frozenset())


@pytest.mark.parametrize(("at", "skew", "overtaken"), [(1, 0, True), (-1, 0, False), (1, 60, False), (61, 60, True)])
def test_another_text_written_after_the_intent_leaves_it_unknown_for_ever(at: int, skew: int, overtaken: bool) -> None:
    shown = theirs(text="Somebody's", version="e3", at=NOW + timedelta(seconds=at))
    found = recover([LINK], {"mine": SENT}, Delta({"theirs": shown}), settled_at=SETTLED, skew=skew)
    assert (found.links, found.settled) == ([LINK], frozenset())
    assert found.overtaken == (frozenset({"mine"}) if overtaken else frozenset())


def test_text_without_membership_is_half_done() -> None:
    sent = replace(SENT, selected=True)
    shown = theirs(text="Sent", version="e2", at=NOW, selected=False)
    found = recover([PARTED], {"mine": sent}, Delta({"theirs": shown}), settled_at=SETTLED)
    [link] = found.links
    assert (link.base, link.active, found.settled) == (SENT.body, False, frozenset({"mine"}))


def test_a_leaving_that_took_effect_parts_the_pair() -> None:
    sent = replace(SENT, body=None, selected=False)
    found = recover([LINK], {"mine": sent}, Delta({"theirs": THEIRS_LEFT}), settled_at=SETTLED)
    [link] = found.links
    assert (link.active, link.written_at, link.remote) == (False, NOW, THEIRS_LEFT.stamp)


def test_a_leaving_beside_anothers_edit_leaves_the_edit_to_be_seen() -> None:
    sent = replace(SENT, body=None, selected=False)
    shown = replace(THEIRS_EDITED, selected=False)
    [link] = recover([LINK], {"mine": sent}, Delta({"theirs": shown}), settled_at=SETTLED).links
    assert (link.active, link.remote, link.base) == (False, LINK.remote, BASE)


def test_a_creation_is_found_by_its_mark() -> None:
    shown = replace(theirs(), id="made", origin="mine")
    found = recover([], {"mine": CREATED}, Delta({"made": shown}), settled_at=SETTLED)
    [link] = found.links
    assert (link.local_id, link.remote_id, link.base, link.active) == ("mine", "made", BASE, True)
    assert found.settled == {"mine"}


def test_a_creation_edited_since_is_compared_with_what_was_sent() -> None:
    shown = replace(THEIRS_EDITED, id="made", origin="mine")
    [link] = recover([], {"mine": CREATED}, Delta({"made": shown}), settled_at=SETTLED).links
    action = next(iter(diff([link], Delta({"mine": mine()}), Delta({"made": shown}), Facts(CONTACTS, SETTLED))))
    assert isinstance(action, Update)
    assert (action.body.title, action.to_remote) == ("Provider", None)


@pytest.mark.parametrize(("age", "waits"), [(timedelta(minutes=9), True), (timedelta(minutes=10), False)])
def test_a_creation_that_does_not_show_is_waited_for_as_long_as_it_may_take(age: timedelta, waits: bool) -> None:
    found = recover([], {"mine": replace(CREATED, made_at=NOW - age)}, Delta({}), settled_at=SETTLED)
    assert found.waiting == ({"mine"} if waits else set())
    here = Delta({"mine": mine()})
    [action] = diff([], here, Delta({}), Facts(CONTACTS, SETTLED, waiting=found.waiting))
    assert isinstance(action, Wait if waits else Create)


def test_a_copy_of_a_linked_record_is_not_taken_for_a_creation() -> None:
    copy = replace(theirs(), id="copy", origin="mine")
    found = recover([LINK], {"mine": SENT}, Delta({"copy": copy, "theirs": theirs()}), settled_at=SETTLED)
    assert found.links == [LINK]


def test_a_plan_is_the_same_for_the_same_input() -> None:
    here = Delta({"mine": MINE_EDITED, "new": replace(mine(), id="new")})
    there = Delta({"theirs": THEIRS_EDITED})
    facts = Facts(CONTACTS, SETTLED)
    assert list(diff([LINK], here, there, facts)) == list(diff([LINK], here, there, facts))
    assert LONG_AGO < SETTLED
