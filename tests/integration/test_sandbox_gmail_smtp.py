"""The SMTP side of the Gmail double: sign-in on both ports, limits, the Sent copy, From rewriting.
Driven by smtplib over TLS."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator

import pytest

from sandbox.gmail import Fault, GmailDouble
from tests.integration.gmail_talk import ANN, APP_PASSWORD, TOKEN, Clock, check_token, mail
from tests.support.tls import Tls, write_tls

BOB = "bob@gmail.com"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return write_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def context(tls: Tls) -> ssl.SSLContext:
    return tls.client_context()


@pytest.fixture
def gmail(tls: Tls) -> Iterator[GmailDouble]:
    with GmailDouble(check_token=check_token, certfile=tls.certificate, keyfile=tls.key, clock=Clock()) as double:
        double.add_user(ANN, app_password=APP_PASSWORD, password="secret", aliases=frozenset({"me@ann.example"}))
        double.add_user(BOB)
        yield double


@pytest.fixture
def smtp(gmail: GmailDouble, context: ssl.SSLContext) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP_SSL("localhost", gmail.smtps_port, timeout=20, context=context) as client:
        yield client


def xoauth2(client: smtplib.SMTP, token: str) -> tuple[int, bytes]:
    payload = f"user={ANN}\1auth=Bearer {token}\1\1"
    client.ehlo()
    return client.auth("XOAUTH2", lambda challenge=None: payload if challenge is None else "")


def test_a_token_signs_in_and_a_bad_one_is_refused_after_the_json(smtp: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        xoauth2(smtp, "ya29.unknown")
    assert refused.value.smtp_code == 535
    assert b"5.7.8 Username and Password not accepted" in refused.value.smtp_error
    assert xoauth2(smtp, TOKEN)[0] == 235


def test_a_normal_password_asks_for_an_app_password(smtp: smtplib.SMTP) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        smtp.login(ANN, "secret")
    assert refused.value.smtp_code == 534
    assert str(refused.value.smtp_error).startswith("b'5.7.9")


def test_submission_offers_sign_in_only_after_starttls(gmail: GmailDouble, context: ssl.SSLContext) -> None:
    with smtplib.SMTP("localhost", gmail.submission_port, timeout=20) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        client.starttls(context=context)
        client.login(ANN, APP_PASSWORD)
        assert client.esmtp_features["size"] == "35651584"
        assert client.sendmail(ANN, [BOB], mail()) == {}
    assert len(gmail.mail.snapshot(BOB)) == 1


def test_sending_needs_sign_in(smtp: smtplib.SMTP) -> None:
    smtp.ehlo()
    assert smtp.mail(ANN)[0] == 530


def test_the_sent_copy_is_filed_and_an_unverified_from_rewritten(gmail: GmailDouble, smtp: smtplib.SMTP) -> None:
    smtp.login(ANN, APP_PASSWORD)
    smtp.sendmail(ANN, [BOB, "far@example.org"], mail())
    ((state, labels, flags, raw),) = gmail.mail.snapshot(ANN).values()
    assert (state, set(labels), set(flags)) == ("all", {"\\Sent"}, {"\\Seen"})
    assert raw.startswith(b'From: "Bob" <ann@gmail.com>\r\nX-Google-Original-From: Bob <bob@example.org>\r\n')
    assert b"Message-ID: <1@example.org>" in raw
    ((_, labels, flags, received),) = gmail.mail.snapshot(BOB).values()
    assert (set(labels), set(flags), received) == ({"\\Inbox"}, set(), raw)


def test_an_alias_may_be_used_as_from(gmail: GmailDouble, smtp: smtplib.SMTP) -> None:
    smtp.login(ANN, APP_PASSWORD)
    smtp.sendmail("me@ann.example", [BOB], b"From: me@ann.example\r\n\r\nhello\r\n")
    ((_, _, _, raw),) = gmail.mail.snapshot(ANN).values()
    assert b"X-Google-Original-From" not in raw
    assert b"\r\nFrom: me@ann.example\r\n" in raw
    assert raw.startswith(b"Message-ID: <")


def test_the_daily_limit_parks_sending(gmail: GmailDouble, smtp: smtplib.SMTP) -> None:
    gmail.box(ANN).sent_limit = 1
    smtp.login(ANN, APP_PASSWORD)
    smtp.sendmail(ANN, [BOB], mail(number=1))
    with pytest.raises(smtplib.SMTPDataError) as refused:
        smtp.sendmail(ANN, [BOB], mail(number=2))
    assert refused.value.smtp_code == 550
    assert str(refused.value.smtp_error).startswith("b'5.4.5")


def test_a_message_over_the_announced_size_is_refused(smtp: smtplib.SMTP) -> None:
    smtp.login(ANN, APP_PASSWORD)
    assert smtp.mail(ANN, ["SIZE=99999999"])[0] == 552


def test_a_scripted_reply_refuses_one_message(gmail: GmailDouble, smtp: smtplib.SMTP) -> None:
    gmail.faults.arm(ANN, Fault.smtp_reply())
    smtp.login(ANN, APP_PASSWORD)
    with pytest.raises(smtplib.SMTPDataError) as refused:
        smtp.sendmail(ANN, [BOB], mail())
    assert refused.value.smtp_code == 421
    assert gmail.mail.snapshot(ANN) == {}
