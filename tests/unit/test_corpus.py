"""The benchmark corpus is reproducible and looks like the mail it was modelled on.
How fast anything reads it is measured by the benchmarks, never here."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from itertools import pairwise

import pytest

from benchmarks.corpus import Mail, generate
from benchmarks.corpus_stats import Statistics, describe, statistics


@pytest.fixture(scope="module")
def mails() -> list[Mail]:
    return list(generate(2_000, seed=1))


@pytest.fixture(scope="module")
def found(mails: list[Mail]) -> Statistics:
    return statistics(mails)


def test_the_same_seed_gives_the_same_mail() -> None:
    assert list(generate(50, seed=7)) == list(generate(50, seed=7))


def test_another_seed_gives_other_mail() -> None:
    assert [one.raw for one in generate(5, seed=7)] != [one.raw for one in generate(5, seed=8)]


def test_a_smaller_corpus_is_the_beginning_of_a_larger_one(mails: list[Mail]) -> None:
    assert list(generate(40, seed=1)) == mails[:40]


def test_mail_arrives_in_order_from_the_given_start() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    dates = [one.internaldate for one in generate(20, seed=3, start=start)]
    assert dates[0] > start
    # Delivery takes up to 40 s, so neighbours may overtake each other by that much.
    assert all((later - earlier).total_seconds() > -40 for earlier, later in pairwise(dates))


def test_sizes_are_distributed_as_in_the_model(found: Statistics) -> None:
    assert 7_000 < found.median < 10_500
    assert 35_000 < found.mean < 65_000
    assert 70_000 < found.p90 < 125_000
    assert 400_000 < found.p99 < 1_100_000
    assert found.largest < 9_300_000
    assert 3_000 < found.mean_header < 3_800
    assert 0.82 < found.small_share < 0.90
    assert 0.15 < found.small_bytes_share < 0.32


def test_structures_and_charsets_are_distributed_as_in_the_model(found: Statistics) -> None:
    assert found.structures["multipart/alternative"] == pytest.approx(0.53, abs=0.05)
    assert found.structures["multipart/mixed"] == pytest.approx(0.24, abs=0.04)
    assert {"multipart/related", "multipart/report", "text/plain", "text/html"} <= set(found.structures)
    assert {"utf-8", "koi8-r", "iso-8859-1", "iso-2022-jp"} <= set(found.charsets)
    assert found.encoded_names > 0.3


def test_two_in_three_messages_are_in_threads_and_few_are_broken(found: Statistics) -> None:
    assert found.in_threads == pytest.approx(0.65, abs=0.06)
    assert 0.0005 < found.broken < 0.01


def test_calendar_invitations_and_inline_images_occur(mails: list[Mail]) -> None:
    assert sum(b"Content-Type: text/calendar" in one.raw for one in mails) > 20
    assert sum(b"Content-Disposition: inline" in one.raw for one in mails) > 50


def test_every_message_can_be_stored_by_imap(mails: list[Mail]) -> None:
    for one in mails:
        assert b"\0" not in one.raw
        assert one.raw.count(b"\n") == one.raw.count(b"\r\n")


def test_sound_messages_have_no_defects_for_the_standard_library(mails: list[Mail]) -> None:
    sound = (message_from_bytes(one.raw) for one in mails[:300] if not one.flaw)
    assert [part.defects for message in sound for part in message.walk() if part.defects] == []


def test_the_description_names_the_main_figures(mails: list[Mail]) -> None:
    text = describe(mails[:200])
    assert "200 messages" in text
    assert "multipart/alternative" in text
