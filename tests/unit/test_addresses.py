from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.addresses import address_key
from core.identity import message_identity


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("Ann@Example.ORG", "ann@example.org"),
        ("  ann@example.org ", "ann@example.org"),
        ("ann@example.org.", "ann@example.org"),
        ("info@MÜNCHEN.example", "info@xn--mnchen-3ya.example"),
        ("Ĝoĵo@example.org", "ĝoĵo@example.org"),
        ('"ann.b"@example.org', "ann.b@example.org"),
        ('"Ann b"@example.org', '"ann b"@example.org'),
        ("ann b@example.org", "annb@example.org"),
        ("an\u200bn@exa\u202emple.org", "ann@example.org"),
        ("MAILER-DAEMON", "mailer-daemon"),
        ("", ""),
        ("a@b@Example.org", "a@b@example.org"),
    ],
)
def test_equal_mailboxes_have_one_key(written: str, key: str) -> None:
    assert address_key(written) == key


def test_dots_and_tags_name_different_people() -> None:
    assert len({address_key(one) for one in ("a.b@x.org", "ab@x.org", "ab+c@x.org")}) == 3


def test_a_domain_that_is_no_name_is_kept_as_text() -> None:
    assert address_key("a@" + "ü" * 300) == address_key("a@" + "ü" * 300)
    assert len(address_key("a@" + "x" * 5_000)) == 320


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_copies_of_a_message_have_one_identity() -> None:
    one = message_identity("m@x", "today", 5, NOON, "subject", "a@x")
    assert len(one) == 16
    assert one == message_identity("m@x", "today", 5, NOON + timedelta(hours=3), "other", "b@x")


def test_the_same_message_id_with_another_date_or_size_is_another_message() -> None:
    one = message_identity("m@x", "today", 5, NOON, "", "")
    assert one != message_identity("m@x", "today", 6, NOON, "", "")
    assert one != message_identity("m@x", "tomorrow", 5, NOON, "", "")


def test_without_a_message_id_subject_sender_and_arrival_count() -> None:
    one = message_identity("", "", 5, NOON, "subject", "a@x")
    assert one == message_identity("", "", 5, NOON.astimezone(timezone(timedelta(hours=2))), "subject", "a@x")
    assert one != message_identity("", "", 5, NOON, "subject2", "a@x")
    assert one != message_identity("", "", 5, NOON, "subject", "b@x")
    assert one != message_identity("", "", 5, NOON + timedelta(seconds=1), "subject", "a@x")
    assert one != message_identity("", "", 5, None, "subject", "a@x")


def test_text_that_moves_between_fields_changes_the_identity() -> None:
    assert message_identity("ab", "c", 5, None, "", "") != message_identity("a", "bc", 5, None, "", "")


@pytest.mark.parametrize("text", [". ", "é@İß..", '" .', "a@b. "])
def test_the_key_of_a_key_is_that_key(text: str) -> None:
    assert address_key(address_key(text)) == address_key(text)
