"""Which push channels are opened and closed, and when: `core.watching` case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from core.watching import Watch, plan_watches
from tests.support.app_factory import START

HERE = "https://crm.example/hooks/google"
WEEK = timedelta(days=7)
OLD = Watch("old", "primary", HERE, "r", START, START + WEEK)


def opened(*known: Watch, calendars: tuple[str, ...] = ("primary",), address: str = HERE, days: float = 0) -> list[str]:
    return list(plan_watches(known, calendars, address, START + timedelta(days=days)).open)


def stopped(
    *known: Watch, calendars: tuple[str, ...] = ("primary",), address: str = HERE, days: float = 0
) -> list[str]:
    return [one.channel for one in plan_watches(known, calendars, address, START + timedelta(days=days)).stop]


def test_every_calendar_gets_a_channel_once() -> None:
    assert opened(calendars=("primary", "team")) == ["primary", "team"]
    assert opened(OLD, calendars=("primary", "team")) == ["team"]
    assert stopped(OLD, calendars=("primary", "team")) == []


def test_the_next_one_begins_while_the_old_one_lives_and_only_then_the_old_one_ends() -> None:
    assert opened(OLD, days=5) == []
    assert opened(OLD, days=6) == ["primary"]
    assert stopped(OLD, days=6) == []
    new = replace(OLD, channel="new", made_at=START + timedelta(days=6), expires_at=START + timedelta(days=13))
    assert (opened(OLD, new, days=6), stopped(OLD, new, days=6)) == ([], ["old"])


def test_a_channel_whose_calendar_is_not_followed_any_more_ends() -> None:
    assert stopped(OLD, calendars=()) == ["old"]


def test_another_public_address_gets_channels_of_its_own() -> None:
    there = "https://other.example/hooks/google"
    assert (opened(OLD, address=there), stopped(OLD, address=there)) == (["primary"], [])


def test_one_that_was_not_opened_is_not_tried_again_at_once_and_ends_no_other() -> None:
    failed = replace(OLD, channel="failed", made_at=START + timedelta(days=6), failed=True)
    failed = replace(failed, expires_at=START + timedelta(days=6, hours=6))
    assert (opened(OLD, failed, days=6.1), stopped(OLD, failed, days=6.1)) == ([], [])
    assert (opened(OLD, failed, days=6.3), stopped(OLD, failed, days=6.3)) == (["primary"], ["failed"])


def test_what_has_ended_is_forgotten() -> None:
    assert (opened(OLD, days=7), stopped(OLD, days=7)) == (["primary"], ["old"])
