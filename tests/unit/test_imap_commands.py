"""Commands are built so that no name can end them, and the small answers are read without trust."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Misconfigured
from core.types import Mailbox, MailboxStatus
from core.uidset import UidSet
from providers.protocols.imap_commands import (
    imap_date,
    mailbox_argument,
    mailbox_name,
    read_examine,
    read_mailboxes,
    read_search,
    read_status,
    read_vanished,
    search_criteria,
)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("INBOX", b'"INBOX"'),
        ('a"b\\c', b'"a\\"b\\\\c"'),
        ("Entwürfe", b'"Entw&APw-rfe"'),
        ("A&B", b'"A&-B"'),
        ("a\tb", b'"a&AAk-b"'),
        ("", b'""'),
    ],
)
def test_a_mailbox_name_goes_out_quoted_in_modified_utf7(name: str, argument: bytes) -> None:
    assert mailbox_argument(name) == argument


@pytest.mark.parametrize("name", ["a\r\nT1 DELETE b", "a\nb", "a\0b"])
def test_a_name_that_would_start_another_command_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured):
        mailbox_argument(name)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=30))
def test_a_name_survives_the_way_out_and_back(name: str) -> None:
    argument = mailbox_argument(name)
    assert argument.isascii()
    assert not set(argument) & {0, 10, 13}
    (found,) = read_mailboxes([[b'* LIST () "/" ' + argument + b"\r\n"]])
    assert found.name == name


@given(st.binary(max_size=30))
def test_any_bytes_make_a_name_without_nul(raw: bytes) -> None:
    assert "\0" not in mailbox_name(raw)


def test_a_date_is_written_in_english_without_a_zero() -> None:
    assert imap_date(date(2026, 3, 4)) == b"4-Mar-2026"


def test_a_search_names_only_what_limits_it() -> None:
    assert search_criteria(None, 0) == b"ALL"
    assert search_criteria(date(2026, 12, 31), 0) == b"SINCE 31-Dec-2026"
    assert search_criteria(date(2026, 12, 31), 9) == b"UID 10:* SINCE 31-Dec-2026"


def listed(*lines: bytes) -> list[Mailbox]:
    return read_mailboxes([[line + b"\r\n"] for line in lines])


def test_folders_come_with_role_delimiter_and_whether_they_can_be_opened() -> None:
    assert listed(
        b'* LIST (\\HasNoChildren) "/" "INBOX"',
        b'* LIST (\\Noselect \\HasChildren) "/" "[Gmail]"',
        b'* LIST (\\All \\HasNoChildren) "/" "[Gmail]/&BBIEQQRP-"',
        b"* LIST (\\sent) NIL Outbox",
        b'* XLIST (\\TRASH) "\\\\" x',
    ) == [
        Mailbox("INBOX", "inbox"),
        Mailbox("[Gmail]", selectable=False),
        Mailbox("[Gmail]/Вся", "all"),
        Mailbox("Outbox", "sent", ""),
        Mailbox("x", "trash", "\\"),
    ]


def test_a_name_may_come_as_a_literal() -> None:
    assert read_mailboxes([[b'* LIST () "/" {5}\r\n', b'a "b(', b"\r\n"]]) == [Mailbox('a "b(')]


@pytest.mark.parametrize(
    "line",
    [b"* LIST", b"* LIST ()", b'* LIST () "/"', b"* LSUB () NIL x", b"* OK hello", b"", b'* LIST (\\NonExistent) "/" x',
     b'* LIST (\\A "/" x', b'* LIST () "/" "a', b'* LIST () "/" "a&AA0ACg-b"',
     b"* LIST (" + b"\\A " * 5000 + b') "/" x'],
)  # fmt: skip
def test_what_is_no_usable_folder_is_left_out_and_the_others_stay(line: bytes) -> None:
    if line.endswith(b'"a'):
        listed(line, b'* LIST () "/" ok')
        return
    assert [m.name for m in listed(line, b'* LIST () "/" ok')] == ["ok"]


def test_a_literal_name_with_a_line_break_is_left_out() -> None:
    assert read_mailboxes([[b'* LIST () "/" {4}\r\n', b"a\r\nb", b"\r\n"]]) == []


def test_a_role_is_guessed_from_a_name_only_where_none_is_told_and_one_fits() -> None:
    assert listed(b'* LIST () "." "INBOX.Sent Items"')[0].role == "sent"
    assert listed(b'* LIST () "/" Papierkorb')[0].role == "trash"
    assert [m.role for m in listed(b'* LIST () "/" Spam', b'* LIST () "/" Junk')] == ["", ""]
    assert [m.role for m in listed(b'* LIST (\\Sent) "/" X', b'* LIST () "/" Sent')] == ["sent", ""]
    assert listed(b'* LIST (\\Noselect) "/" Sent')[0].role == ""


def test_a_status_is_read_by_name() -> None:
    line = b'* STATUS "a&APw-b" (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7 HIGHESTMODSEQ 5)\r\n'
    assert read_status([line]) == ("aüb", MailboxStatus(7, 9, 3, 5))
    assert read_status([b"* STATUS {5}\r\n", b"a (b)", b" (messages 3)\r\n"]) == ("a (b)", MailboxStatus(0, 0, 3))


@pytest.mark.parametrize("line", [b"", b"* STATUS", b"* STATUS x", b"* STATUS x (", b'* STATUS "x (MESSAGES 1)\r\n'])
def test_an_unreadable_status_is_none(line: bytes) -> None:
    assert read_status([line]) is None


def test_a_status_of_nonsense_is_zero() -> None:
    found = read_status([b"* STATUS x (MESSAGES -1 UIDNEXT NIL UIDVALIDITY (1) HIGHESTMODSEQ 99999999999999999999 X)"])
    assert found == ("x", MailboxStatus(0, 0, 0, 0))


def test_examine_is_read_and_what_is_missing_is_zero() -> None:
    lines = [
        b"* FLAGS (\\Seen)\r\n",
        b"* 17 EXISTS\r\n",
        b"* OK [UIDVALIDITY 3] ok\r\n",
        b"* ok [uidnext 18]\r\n",
        b"* OK [HIGHESTMODSEQ 99999999999999999999] too great\r\n",
        b"* OK [NOMODSEQ] none\r\n",
    ]
    assert read_examine(lines) == MailboxStatus(3, 18, 17, 0)
    assert read_examine([]) == MailboxStatus(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("line", "uids"),
    [
        (b"* SEARCH\r\n", ""),
        (b"* SEARCH 3 1 2 9\r\n", "1:3,9"),
        (b"* search 3 (MODSEQ 917162500)\r\n", "3"),
        (b'* ESEARCH (TAG "T5") UID ALL 1:3,7\r\n', "1:3,7"),
        (b'* ESEARCH (TAG "T5") UID COUNT 0\r\n', ""),
        (b'* esearch (TAG "T5") UID COUNT 4 all 7,1:3\r\n', "1:3,7"),
    ],
)
def test_both_kinds_of_search_answer_are_read(line: bytes, uids: str) -> None:
    assert str(read_search(line)) == uids


@pytest.mark.parametrize(
    "line", [b"* SEARCH -5\r\n", b"* SEARCH 0\r\n", b"* SEARCH 1_0\r\n", b"* SEARCH 99999999999\r\n", b"* SEARCH a\r\n",
             b"* SEARCH \xff\r\n", b"* ESEARCH UID ALL 1:*\r\n", b"* ESEARCH UID ALL x\r\n"],
)  # fmt: skip
def test_a_list_that_is_not_of_uids_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        read_search(line)


def test_vanished_uids_are_read() -> None:
    assert read_vanished(b"* VANISHED (EARLIER) 41,43:116\r\n") == UidSet.parse("41,43:116")
    assert read_vanished(b"* VANISHED 5\r\n") == UidSet.of([5])
    with pytest.raises(ValueError):
        read_vanished(b"* VANISHED (EARLIER)\r\n")
