"""A refusal in the server's words becomes the one thing the caller must do next."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MailboxGone, NeedsRelink, Throttled, Transient, TwinboxError
from providers.protocols.imap_errors import as_imap_error, is_damage


@pytest.mark.parametrize(
    ("text", "kind", "advice"),
    [
        (b"[AUTHENTICATIONFAILED] Invalid credentials (Failure)", NeedsRelink, "again"),
        (b"[ALERT] Application-specific password required: https://x/185833 (Failure)", NeedsRelink, "app"),
        (b"[ALERT] Invalid credentials (Failure)", NeedsRelink, "again"),
        (b"[ALERT] Please log in via your web browser: https://x (Failure)", NeedsRelink, "browser"),
        (b"[WEBALERT https://x] Web login required", NeedsRelink, "browser"),
        (b"[ALERT] Your account is not enabled for IMAP use.", NeedsRelink, "IMAP"),
        (b"[ALERT] IMAP access is disabled for your domain.", NeedsRelink, "IMAP"),
        (b"You are yet to enable IMAP for your account.", NeedsRelink, "IMAP"),
        (b"User is authenticated but not connected.", NeedsRelink, "IMAP"),
        (b"Lookup failed", NeedsRelink, "administrator"),
        (b"[ALERT] Too many simultaneous connections. (Failure)", Throttled, ""),
        (b"[LIMIT] Rate limit hit.", Throttled, ""),
        (b"[OVERQUOTA] Account exceeded command or bandwidth limits.", Throttled, "limit"),
        (b"BYE [OVERQUOTA] bye", Throttled, "limit"),
        (b"Request is throttled. Suggested Backoff Time: 12000 milliseconds", Throttled, ""),
        (b"[NONEXISTENT] Unknown Mailbox: x (Failure)", MailboxGone, ""),
        (b"Mailbox doesn't exist: x", MailboxGone, ""),
        (b"System Error (Failure)", Transient, ""),
        (b"[UNAVAILABLE] Temporary authentication failure", Transient, ""),
        (b"[SERVERBUG] FETCH Server error", Transient, ""),
        (b"BYE backend not connected, try again", Transient, ""),
        (b"BYE Session expired, please login again.", Transient, ""),
        (b"", Transient, ""),
    ],
)
def test_the_texts_of_real_servers_are_known(text: bytes, kind: type[TwinboxError], advice: str) -> None:
    for said in (text, text.upper(), text.lower()):
        error = as_imap_error(said)
        assert type(error) is kind
        assert advice in error.advice


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"[OVERQUOTA] x", 3600.0),
        (b"too many simultaneous connections", 120.0),
        (b"Request is throttled. Suggested Backoff Time: 12000 milliseconds", 12.0),
        (b"Request is throttled. Suggested Backoff Time: 99999999 milliseconds", 300.0),
        (b"Request is throttled.", 300.0),
        (b"System Error", None),
    ],
)
def test_the_pause_is_the_servers_within_reason(text: bytes, seconds: float | None) -> None:
    error = as_imap_error(text)
    assert isinstance(error, Transient)
    assert error.retry_after == seconds


def test_only_an_unknown_refusal_may_be_about_single_messages() -> None:
    assert is_damage(as_imap_error(b"System Error (Failure)"))
    for text in (b"[OVERQUOTA] x", b"[AUTHENTICATIONFAILED] x", b"[NONEXISTENT] x"):
        assert not is_damage(as_imap_error(text))


def test_what_is_shown_is_short_and_printable() -> None:
    shown = str(as_imap_error(b"a\x00\x1b[31m\r\n\xff" + b"x" * 100_000))
    assert shown.isprintable()
    assert len(shown) < 300


def test_an_endless_refusal_costs_nothing() -> None:
    started = time.process_time()
    as_imap_error(b"suggested backoff time: " * 500_000)
    assert time.process_time() - started < 1


@given(st.binary(max_size=80))
def test_any_bytes_make_an_error_of_ours(text: bytes) -> None:
    assert isinstance(as_imap_error(text), TwinboxError)
