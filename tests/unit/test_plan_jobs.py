"""What an action of a plan means for each side: which writes, with which times, and the link that follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from core.actions import Action, Create, Deselect, Reason, Update
from core.contact import Contact
from core.plan import Facts, diff
from core.policy import CONTACTS
from core.replica import LONG_AGO, Delta, Item, Link, Side, Stamp
from sync.record_jobs import begun_link, job_of, link_after

AT = datetime(2026, 3, 2, tzinfo=UTC)
NOW = AT + timedelta(days=9)
BASE = Contact(given_name="Ada")
LINK = Link("mine", "theirs", Stamp("1", AT), Stamp("e1", AT), BASE, True)


def side(one: str, title: str, hours: float) -> Item[Contact]:
    return Item(one, Stamp("2", AT + timedelta(hours=hours)), True, replace(BASE, title=title, notes=one))


def conflict(mine: float, theirs: float, skew: float = 0.0) -> Update[Contact]:
    here, there = side("mine", "CRM", mine), side("theirs", "Provider", theirs)
    there = replace(there, body=replace(there.body, organization="so that both sides lack something"))
    facts = Facts(CONTACTS, AT, skew)
    [action] = diff([LINK], Delta({"mine": here}), Delta({"theirs": there}), facts)
    assert isinstance(action, Update)
    return action


@pytest.mark.parametrize(
    ("mine", "theirs", "skew", "hours"), [(1, 2, 0, 2), (2, 1, 0, 2), (1, 2, 1800, 1.5), (1, 1, 0, 1)]
)
def test_a_merged_text_counts_as_changed_when_the_later_one_was(
    mine: float, theirs: float, skew: float, hours: float
) -> None:
    job = job_of(conflict(mine, theirs, skew), "account", skew)
    assert job.to_local is not None
    assert job.to_local.modified_at == AT + timedelta(hours=hours)


def test_a_contact_made_from_the_providers_has_its_time_on_our_clock() -> None:
    made: Create[Contact] = Create(Side.LOCAL, side("theirs", "x", 3), Reason.NEW_AT_PROVIDER)
    job = job_of(made, "account", 3600)
    assert job.to_local is not None
    assert (job.to_local.modified_at, job.to_local.origin) == (AT + timedelta(hours=2), "account")


def test_a_contact_made_at_the_provider_bears_our_id() -> None:
    made: Create[Contact] = Create(Side.REMOTE, side("mine", "x", 3), Reason.NEW_IN_CRM)
    job = job_of(made, "account", 0)
    assert job.to_remote is not None
    assert (job.to_remote.origin, job.to_remote.modified_at, job.wants_member) == ("mine", LONG_AGO, True)


def test_a_pair_that_parts_remembers_when() -> None:
    for where in (Side.LOCAL, Side.REMOTE, None):
        leaving: Action[Contact] = Deselect(LINK, where, False, Reason.LEFT_GROUP)
        assert isinstance(leaving, Deselect)
        link = link_after(job_of(leaving, "account", 0), None, None, NOW)
        assert link is not None
        assert (link.active, link.written_at) == (False, NOW)


def test_between_the_two_parts_the_providers_text_as_read_is_what_edits_are_compared_with() -> None:
    job = job_of(conflict(2, 1), "account", 0)
    assert begun_link(job, Contact(), local_written=False) is None
    link = begun_link(job, Contact(), local_written=True)
    assert link is not None
    assert job.remote is not None
    assert (link.base, link.remote, link.local) == (job.remote.body, job.remote.stamp, LINK.local)
