"""What a mailbox needs follows from our cursor and the server's numbers alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from core.mailbox import (
    FULL_SWEEP_LIMIT,
    MAX_RESYNCS,
    SWEEP_EVERY,
    MailboxPlan,
    MailboxState,
    Sweep,
    begin,
    plan_mailbox,
    settle,
    windows,
)
from core.schedule import MAX_WAIT, next_run
from core.types import MailboxStatus
from core.uidset import UidSet

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SEEN = MailboxStatus(uidvalidity=7, uidnext=101, exists=100, highest_modseq=50)
PLAIN = replace(SEEN, highest_modseq=0)
SYNCED = MailboxState(
    uidvalidity=7,
    uidnext=101,
    exists=100,
    modseq=50,
    seen_modseq=50,
    confirmed=1,
    done=UidSet.span(1, 100),
    swept_at=NOW,
)


def plan(
    known: MailboxState = SYNCED,
    seen: MailboxStatus = SEEN,
    *,
    since: date | None = None,
    vanished_told: bool = False,
    now: datetime = NOW,
) -> MailboxPlan:
    return plan_mailbox(known, seen, since=since, vanished_told=vanished_told, now=now)


def test_a_mailbox_where_nothing_happened_is_quiet() -> None:
    assert plan().quiet
    assert plan(vanished_told=True).quiet


def test_an_unknown_mailbox_is_looked_at_from_nothing() -> None:
    assert plan(MailboxState()) == MailboxPlan(reset=True, fill=True)


def test_another_uidvalidity_voids_everything_whether_greater_or_smaller() -> None:
    for other in (6, 8):
        assert plan(seen=replace(SEEN, uidvalidity=other)) == MailboxPlan(reset=True, fill=True)


def test_a_zero_uidvalidity_is_not_believed() -> None:
    assert plan(seen=replace(SEEN, uidvalidity=0)).refuse
    assert plan(MailboxState(), replace(SEEN, uidvalidity=0)).refuse


def test_a_mailbox_whose_uidvalidity_keeps_changing_is_left_alone_after_some_times() -> None:
    state = SYNCED
    for turn in range(MAX_RESYNCS):
        seen = replace(SEEN, uidvalidity=100 + turn)
        found = plan(state, seen)
        assert found.reset
        state = settle(begin(state, seen, since=None, now=NOW), seen, found, newest_modseq=0, now=NOW)
    assert "5 times" in plan(state, replace(SEEN, uidvalidity=999)).refuse


def test_one_ordinary_run_between_forgets_earlier_changes_of_uidvalidity() -> None:
    state = replace(SYNCED, resyncs=MAX_RESYNCS - 1)
    assert settle(state, SEEN, plan(state, replace(SEEN, exists=99)), newest_modseq=0, now=NOW).resyncs == 0


def test_a_first_mailbox_counts_no_change_of_uidvalidity() -> None:
    assert begin(MailboxState(), SEEN, since=None, now=NOW).resyncs == 0
    assert begin(SYNCED, SEEN, since=None, now=NOW).resyncs == 1


def test_beginning_forgets_what_was_done_and_keeps_the_since_date() -> None:
    state = begin(SYNCED, SEEN, since=date(2026, 1, 1), now=NOW)
    assert not state.done
    assert state.since == date(2026, 1, 1)
    assert (state.uidnext, state.exists, state.modseq) == (101, 100, 50)


def test_new_mail_is_fetched_and_nothing_listed() -> None:
    found = plan(seen=replace(SEEN, uidnext=104, exists=103))
    assert found == MailboxPlan(fill=True)


def test_a_gap_left_by_an_interrupted_run_is_filled() -> None:
    assert plan(replace(SYNCED, done=UidSet.parse("1:40,60:100"))).fill


@pytest.mark.parametrize(("uidnext", "exists"), [(101, 99), (102, 100), (110, 105)])
def test_a_removal_that_no_one_tells_leads_to_a_listing(uidnext: int, exists: int) -> None:
    assert plan(seen=replace(SEEN, uidnext=uidnext, exists=exists)).listing


def test_a_server_that_tells_removals_is_asked_for_changes_instead_of_a_listing() -> None:
    found = plan(seen=replace(SEEN, exists=99, highest_modseq=51), vanished_told=True)
    assert found == MailboxPlan(changes_since=50)


def test_removals_are_listed_when_we_have_no_mod_sequence_to_ask_from() -> None:
    assert plan(replace(SYNCED, modseq=0), replace(SEEN, exists=99), vanished_told=True).listing
    assert plan(SYNCED, replace(PLAIN, exists=99), vanished_told=True).listing


def test_a_raised_mod_sequence_is_looked_into_twice_and_then_left() -> None:
    seen = replace(SEEN, highest_modseq=60)
    state, asked = SYNCED, []
    for _ in range(5):
        found = plan(state, seen)
        asked.append(found.changes_since)
        if not found.quiet:
            state = settle(state, seen, found, newest_modseq=0, now=NOW)
    assert asked == [50, 50, 0, 0, 0]


def test_the_cursor_moves_only_to_a_mod_sequence_that_was_seen_in_an_answer() -> None:
    seen = replace(SEEN, highest_modseq=60)
    assert settle(SYNCED, seen, plan(seen=seen), newest_modseq=55, now=NOW).modseq == 55
    assert settle(SYNCED, seen, plan(seen=seen), newest_modseq=0, now=NOW).modseq == 50


def test_a_change_after_an_empty_answer_is_asked_from_the_old_point() -> None:
    seen = replace(SEEN, highest_modseq=60)
    state = settle(SYNCED, seen, plan(seen=seen), newest_modseq=0, now=NOW)
    assert plan(state, replace(SEEN, highest_modseq=61)).changes_since == 50


def test_a_fallen_mod_sequence_has_every_flag_read_and_restarts_there() -> None:
    seen = replace(SEEN, highest_modseq=3)
    found = plan(seen=seen)
    assert found.sweep is Sweep.ALL
    assert found.changes_since == 0
    state = settle(SYNCED, seen, found, newest_modseq=3, now=NOW)
    assert state.modseq == 3
    assert plan(state, seen).quiet


def test_a_mod_sequence_below_the_last_report_has_every_flag_read_though_it_is_above_the_cursor() -> None:
    assert plan(replace(SYNCED, modseq=10, seen_modseq=50), replace(SEEN, highest_modseq=20)).sweep is Sweep.ALL


def test_a_sweep_never_moves_the_cursor_past_what_the_server_reported() -> None:
    seen = replace(SEEN, highest_modseq=3)
    assert settle(SYNCED, seen, plan(seen=seen), newest_modseq=90, now=NOW).modseq == 3


def test_condstore_that_appears_has_every_flag_read_once() -> None:
    state = replace(SYNCED, modseq=0, seen_modseq=0)
    found = plan(state)
    assert found.sweep is Sweep.ALL
    assert plan(settle(state, SEEN, found, newest_modseq=0, now=NOW)).quiet


def test_condstore_that_vanishes_forgets_the_mod_sequence() -> None:
    found = plan(seen=PLAIN)
    assert found.sweep is Sweep.ALL
    assert settle(SYNCED, PLAIN, found, newest_modseq=0, now=NOW).modseq == 0


def test_without_condstore_flags_are_read_each_time_in_full_only_where_that_is_cheap() -> None:
    state = replace(SYNCED, modseq=0, seen_modseq=0)
    assert plan(state, PLAIN).sweep is Sweep.ALL
    big = replace(PLAIN, exists=FULL_SWEEP_LIMIT + 1)
    assert plan(state, big).sweep is Sweep.RECENT
    assert plan(state, big, now=NOW + SWEEP_EVERY).sweep is Sweep.ALL


def test_once_a_day_every_flag_is_read_whatever_the_numbers_say() -> None:
    assert plan(now=NOW + SWEEP_EVERY - timedelta(seconds=1)).quiet
    assert plan(now=NOW + SWEEP_EVERY).sweep is Sweep.ALL
    assert plan(replace(SYNCED, swept_at=None)).sweep is Sweep.ALL


def test_only_a_full_sweep_puts_the_next_one_off() -> None:
    later = NOW + timedelta(hours=30)
    assert settle(SYNCED, SEEN, MailboxPlan(sweep=Sweep.ALL), newest_modseq=0, now=later).swept_at == later
    assert settle(SYNCED, PLAIN, MailboxPlan(sweep=Sweep.RECENT), newest_modseq=0, now=later).swept_at == NOW


@pytest.mark.parametrize(
    ("old", "new", "looks_again"),
    [
        (None, None, False),
        (None, date(2026, 1, 1), False),
        (date(2026, 1, 1), date(2026, 1, 1), False),
        (date(2026, 1, 1), date(2026, 2, 1), False),
        (date(2026, 1, 1), date(2025, 12, 31), True),
        (date(2026, 1, 1), None, True),
    ],
)
def test_only_a_since_date_further_back_has_old_mail_looked_at_again(
    old: date | None, new: date | None, looks_again: bool
) -> None:
    found = plan(replace(SYNCED, since=old), since=new)
    assert (found.rescope, found.fill) == (looks_again, looks_again)


def test_a_missing_uidnext_has_the_mailbox_opened_and_nothing_filled() -> None:
    found = plan(seen=replace(SEEN, uidnext=0))
    assert not found.quiet
    assert not found.fill


def test_the_first_window_is_small_and_each_reaches_down_to_its_lowest_message() -> None:
    cut = list(windows(UidSet.of([3, 10, 20, 30, 40]), UidSet(), 50, size=3, first_size=1))
    assert [str(window.uids) for window in cut] == ["40", "10,20,30", "3"]
    assert [str(window.covers) for window in cut] == ["40:49", "10:39", "1:9"]


def test_a_range_with_nothing_in_it_is_still_closed() -> None:
    (only,) = windows(UidSet(), UidSet.span(1, 5), 10, size=3, first_size=1)
    assert not only.uids
    assert str(only.covers) == "6:9"
    assert list(windows(UidSet(), UidSet.span(1, 9), 10, size=3, first_size=1)) == []


def test_a_failing_channel_waits_longer_each_time_up_to_a_limit() -> None:
    every = timedelta(minutes=10)
    waits = [next_run(NOW, every, failures, 0) - NOW for failures in (0, 1, 2, 40)]
    assert waits == [every, 2 * every, 4 * every, MAX_WAIT]
    assert next_run(NOW, timedelta(days=2), 3, 0) - NOW == timedelta(days=2)
    assert next_run(NOW, every, 0, 0.1) - NOW == timedelta(minutes=11)
