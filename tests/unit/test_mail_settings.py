"""Which mailboxes are followed is what the owner chose, and a wrong choice is told in words."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from core.errors import Misconfigured
from core.mail_settings import MailSettings, choose_mailboxes, wants_labels
from core.types import Mailbox

GMAIL = [
    Mailbox("INBOX", "inbox"),
    Mailbox("[Gmail]", selectable=False),
    Mailbox("[Gmail]/Вся почта", "all"),
    Mailbox("[Gmail]/Bin", "trash"),
    Mailbox("[Gmail]/Spam", "junk"),
    Mailbox("Work"),
]
PLAIN = [
    Mailbox("Zoo"),
    Mailbox("Sent", "sent"),
    Mailbox("INBOX", "inbox"),
    Mailbox("Work/A"),
    Mailbox("Spam", "junk"),
    Mailbox("Old", selectable=False),
]


def names(mailboxes: list[Mailbox], gmail: bool = False, **chosen: Any) -> list[str]:
    return [mailbox.name for mailbox in choose_mailboxes(mailboxes, MailSettings(**chosen), gmail=gmail)]


def test_all_that_can_be_opened_is_followed_inbox_first_then_sent() -> None:
    assert names(PLAIN) == ["INBOX", "Sent", "Spam", "Work/A", "Zoo"]


def test_on_gmail_the_three_disjoint_folders_are_followed_and_labels_are_not() -> None:
    assert names(GMAIL, gmail=True) == ["[Gmail]/Вся почта", "[Gmail]/Bin", "[Gmail]/Spam"]


def test_gmail_without_all_mail_says_which_box_to_tick() -> None:
    with pytest.raises(Misconfigured) as caught:
        names([Mailbox("INBOX", "inbox"), Mailbox("[Gmail]/Spam", "junk")], gmail=True)
    assert "Show in IMAP" in caught.value.advice


def test_patterns_know_star_and_question_mark_without_regard_to_case() -> None:
    assert names(PLAIN, folders=("work/*", "z??")) == ["Work/A", "Zoo"]
    assert names(PLAIN, exclude=("WORK*",)) == ["INBOX", "Sent", "Spam", "Zoo"]


def test_brackets_in_a_pattern_stand_for_themselves() -> None:
    assert names([Mailbox("[Gmail]/Spam")], exclude=("[Gmail]/Spam",)) == []
    assert names([Mailbox("g/Spam")], exclude=("[Gmail]/Spam",)) == ["g/Spam"]


def test_on_gmail_labels_are_chosen_like_folders() -> None:
    everything, spam = Mailbox("[Gmail]/All Mail", "all"), Mailbox("[Gmail]/Spam", "junk")
    work = MailSettings(folders=("Work/*", "INBOX"), exclude=("\\junk", "Work/Secret"))
    assert wants_labels(work, {"Work/A"}, everything)
    assert wants_labels(work, {"\\Inbox", "\\Starred"}, everything)
    assert not wants_labels(work, {"Private"}, everything)
    assert not wants_labels(work, {"Work/A", "Work/Secret"}, everything)
    assert not wants_labels(work, {"\\Inbox"}, spam)
    assert wants_labels(MailSettings(), (), everything)


def test_on_gmail_no_choice_of_labels_loses_sight_of_the_trash() -> None:
    assert names(GMAIL, gmail=True, folders=("Work",), exclude=("\\trash",)) == names(GMAIL, gmail=True)


def test_a_choice_that_fits_no_folder_says_so() -> None:
    with pytest.raises(Misconfigured, match="none of the chosen"):
        names(PLAIN, folders=("Wrok",))


def test_a_role_is_left_out_by_its_attribute_in_any_case() -> None:
    assert names(PLAIN, exclude=("\\Junk", "\\sent")) == ["INBOX", "Work/A", "Zoo"]


def test_a_bare_backslash_names_no_role() -> None:
    assert names(PLAIN, exclude=("\\",)) == names(PLAIN)


def test_settings_are_read_as_they_are_written() -> None:
    chosen = MailSettings(date(2026, 1, 31), ("INBOX",), ("\\junk",))
    assert MailSettings.read(chosen.to_json()) == chosen
    assert MailSettings.read({}) == MailSettings()
    assert MailSettings.read({"since": None, "folders": None}) == MailSettings()


@pytest.mark.parametrize(
    "stored",
    [{"since": "31.1.2026"}, {"since": 5}, {"since": "2026-13-01"}, {"folders": "INBOX"}, {"folders": [1]},
     {"exclude": {"a": 1}}, {"exclude": 5}],
)  # fmt: skip
def test_a_setting_of_the_wrong_form_is_refused_by_name_with_advice(stored: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured) as caught:
        MailSettings.read(stored)
    assert next(iter(stored)) in str(caught.value)
    assert caught.value.advice
