"""Connecting and signing in to IMAP and SMTP servers that play a script: what goes over the wire, and what never does.
Real servers are in the conformance tests, whole commands in test_bad_input."""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from core.errors import Misconfigured, NeedsRelink, Throttled, Transient, TwinboxError
from core.provider import Endpoint, ProviderSpec
from core.secret import Secret
from core.types import Security
from providers.protocols.imap_connection import GuardedIMAPClient, sign_in
from providers.protocols.imap_wire import READ_TIMEOUT
from providers.protocols.probe import Step, probe
from providers.protocols.smtp import open_smtp
from tests.support.scripted_mail import (
    CAPABILITIES,
    HOST,
    LOGIN,
    PASSWORD,
    TOKEN,
    Account,
    Certificates,
    Script,
    Server,
    Talk,
    imap,
    make_certificates,
    serving,
    smtp,
)

TLS, STARTTLS = Security.TLS, Security.STARTTLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ca"))


@contextmanager
def client_of(certificates: Certificates, server: Server, security: Security = TLS) -> Iterator[GuardedIMAPClient]:
    client = GuardedIMAPClient(certificates.guard, Endpoint(HOST, server.port, security))
    try:
        yield client
    finally:
        client.shutdown()


def test_a_password_signs_in_over_tls_and_says_who_we_are(certificates: Certificates) -> None:
    with serving(imap(), certificates.good) as server, client_of(certificates, server) as client:
        sign_in(client, Account())
    assert "LOGIN" in server.text
    assert PASSWORD in server.text
    assert "ID (" in server.text


@pytest.mark.parametrize("login", ["CORP ann", 'an"n', "ann)(", "", "back\\slash", "ann%*"])
def test_a_user_name_is_one_argument_whatever_is_in_it(certificates: Certificates, login: str) -> None:
    with serving(imap(), certificates.good) as server, client_of(certificates, server) as client:
        sign_in(client, Account(login))
    quoted = login.replace("\\", "\\\\").replace('"', '\\"')
    assert f'LOGIN "{quoted}" "{PASSWORD}"' in server.text


def test_letters_beyond_ascii_go_by_authenticate_plain(certificates: Certificates) -> None:
    seen: list[bytes] = []

    def script(talk: Talk) -> None:
        talk.say("* OK ready")
        while True:
            tag, _, rest = talk.hear().partition(" ")
            if rest.startswith("CAPABILITY"):
                talk.say("* CAPABILITY IMAP4rev1 AUTH=PLAIN")
            if rest.startswith("AUTHENTICATE"):
                talk.say("+ ")
                seen.append(base64.b64decode(talk.hear()))
            talk.say(f"{tag} OK done")

    with serving(script, certificates.good) as server, client_of(certificates, server) as client:
        sign_in(client, Account(password="pässword"))
    assert seen == ["\0ann@example.com\0pässword".encode()]


@pytest.mark.parametrize("bad", ["\r\nA2 LOGOUT", "\n", "\r", "\0"])
@pytest.mark.parametrize("where", ["login", "password", "token"])
def test_a_line_break_in_an_argument_never_leaves(certificates: Certificates, where: str, bad: str) -> None:
    account = {
        "login": Account(login=LOGIN + bad),
        "password": Account(password=PASSWORD + bad),
        "token": Account(tokens=[TOKEN + bad, TOKEN + bad]),
    }[where]
    with serving(imap(), certificates.good) as server, client_of(certificates, server) as client:
        with pytest.raises(Misconfigured) as caught:
            sign_in(client, account)
        assert "canary" not in str(caught.value)
    assert server.tells_no_secret()
    account.asked.clear()
    with serving(smtp(), certificates.good) as server, pytest.raises(Misconfigured):
        open_smtp(certificates.guard, Endpoint(HOST, server.port, TLS), account)
    assert server.tells_no_secret()


def test_a_token_that_is_refused_is_renewed_once(certificates: Certificates) -> None:
    account = Account(tokens=["canary-old", TOKEN])
    with serving(imap(), certificates.good) as server, client_of(certificates, server) as client:
        sign_in(client, account)
        assert {b"IDLE", b"MOVE"} <= set(client.capabilities())
    assert account.asked == [False, True]


def test_a_token_that_is_refused_twice_needs_the_user(certificates: Certificates) -> None:
    account = Account(tokens=["canary-old", "canary-new", "canary-more"])
    with (
        serving(imap(), certificates.good) as server,
        client_of(certificates, server) as client,
        pytest.raises(NeedsRelink) as caught,
    ):
        sign_in(client, account)
    assert account.asked == [False, True]
    assert caught.value.advice
    assert "401" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_grant_that_is_dead_is_not_asked_for_again(certificates: Certificates) -> None:
    @dataclass
    class Dead(Account):
        def secret(self, *, refresh: bool = False) -> Secret:
            self.asked.append(refresh)
            raise NeedsRelink("the permission was taken back")

    account = Dead(tokens=["x"])
    with (
        serving(imap(), certificates.good) as server,
        client_of(certificates, server) as client,
        pytest.raises(NeedsRelink),
    ):
        sign_in(client, account)
    assert account.asked == [False]
    assert server.tells_no_secret()


REFUSALS: tuple[tuple[str, type[TwinboxError]], ...] = (
    ("NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", NeedsRelink),
    ("NO [ALERT] Application-specific password required: https://support.google.com/185833 (Failure)", NeedsRelink),
    ("NO [ALERT] Invalid credentials (Failure)", NeedsRelink),
    ("NO [ALERT] Please log in via your web browser: https://support.google.com/78754 (Failure)", NeedsRelink),
    ("NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page", NeedsRelink),
    ("NO IMAP access is disabled for your domain.", NeedsRelink),
    ("NO Lookup failed", NeedsRelink),
    ("NO login incorrect", NeedsRelink),
    ("NO [ALERT] Too many simultaneous connections. (Failure)", Throttled),
    ("NO [LIMIT] slow down", Throttled),
    ("NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)", Throttled),
    ("BAD Request is throttled. Suggested Backoff Time: 9000 milliseconds", Throttled),
    ("NO [UNAVAILABLE] Temporary authentication failure.", Transient),
    ("NO [SERVERBUG] Internal error", Transient),
    ("NO [INUSE] try again", Transient),
)


@pytest.mark.parametrize(("text", "kind"), REFUSALS)
def test_a_refused_password_decides_who_must_act(certificates: Certificates, text: str, kind: type) -> None:
    answers = {"LOGIN": [f"# {text}"]}
    with (
        serving(imap(answers), certificates.good) as server,
        client_of(certificates, server) as client,
        pytest.raises(TwinboxError) as caught,
    ):
        sign_in(client, Account())
    assert type(caught.value) is kind
    assert caught.value.advice or kind in (Transient, Throttled)
    assert "b'" not in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_web_login_alert_beside_the_refusal_is_seen(certificates: Certificates) -> None:
    answers = {"LOGIN": ["* NO [WEBALERT https://accounts.example/x] Web login required.", "# NO Login denied"]}
    with (
        serving(imap(answers), certificates.good) as server,
        client_of(certificates, server) as client,
        pytest.raises(NeedsRelink) as caught,
    ):
        sign_in(client, Account())
    assert "browser" in caught.value.advice


@pytest.mark.parametrize("answers", [{"LOGIN": ["* BYE shutting down"]}, {"LOGIN": ["garbage", "more"]}])
def test_a_connection_that_ends_while_signing_in_is_a_passing_fault(
    certificates: Certificates, answers: Mapping[str, Sequence[str]]
) -> None:
    def once(talk: Talk) -> None:
        talk.say("* OK ready")
        while True:
            tag, _, rest = talk.hear().partition(" ")
            if rest.startswith("LOGIN"):
                talk.say(*answers["LOGIN"])
                return
            talk.say(f"* CAPABILITY {CAPABILITIES}", f"{tag} OK done")

    with (
        serving(once, certificates.good) as server,
        client_of(certificates, server) as client,
        pytest.raises(Transient),
    ):
        sign_in(client, Account())


@pytest.mark.parametrize("greeting", ["* BYE overloaded", "HTTP/1.1 400 Bad Request", "* NO nothing here", ""])
def test_a_greeting_that_is_none_is_a_passing_fault(certificates: Certificates, greeting: str) -> None:
    with serving(lambda talk: talk.say(greeting), certificates.good) as server, pytest.raises(Transient):
        GuardedIMAPClient(certificates.guard, Endpoint(HOST, server.port, TLS))


def test_starttls_protects_before_anything_is_told(certificates: Certificates) -> None:
    script = imap(upgrade=certificates.good)
    with serving(script) as server, client_of(certificates, server, STARTTLS) as client:
        assert isinstance(client.socket(), ssl.SSLSocket)
        sign_in(client, Account())
    lines = server.text
    assert lines.index("STARTTLS") < lines.index("LOGIN")


@pytest.mark.parametrize("security", [TLS, STARTTLS])
def test_a_silent_server_is_not_waited_for_without_end(certificates: Certificates, security: Security) -> None:
    implicit, upgrade = (certificates.good, None) if security is TLS else (None, certificates.good)
    with serving(imap(upgrade=upgrade), implicit) as server, client_of(certificates, server, security) as client:
        assert client.socket().gettimeout() == READ_TIMEOUT


STRIPPED: Mapping[str, Script] = {
    "not offered": imap(capabilities="IMAP4rev1 AUTH=PLAIN"),
    "refused": imap({"STARTTLS": ["# NO not today"]}),
    "not understood": imap({"STARTTLS": ["# BAD what"]}),
    "signed in already": imap(greeting="* PREAUTH welcome"),
    "promised and not kept": imap({"STARTTLS": ["# OK begin", "* OK still in clear"]}),
}


@pytest.mark.parametrize("how", STRIPPED)
def test_starttls_that_is_taken_away_ends_the_connection(certificates: Certificates, how: str) -> None:
    with serving(STRIPPED[how]) as server, pytest.raises((Misconfigured, Transient)):
        GuardedIMAPClient(certificates.guard, Endpoint(HOST, server.port, STARTTLS))
    assert server.tells_no_secret()


def test_capabilities_told_before_tls_are_forgotten(certificates: Certificates) -> None:
    forged = imap(
        {"STARTTLS": ["# OK [CAPABILITY IMAP4rev1 X-FORGED STARTTLS AUTH=PLAIN ID] begin"]}, upgrade=certificates.good
    )
    with serving(forged) as server, client_of(certificates, server, STARTTLS) as client:
        assert b"X-FORGED" not in client.capabilities()
        sign_in(client, Account())
        assert b"X-FORGED" not in client.capabilities()


def test_a_reply_slipped_in_before_tls_is_not_taken_for_one_after_it(certificates: Certificates) -> None:
    slipped = imap({"STARTTLS": ["# OK begin", "* CAPABILITY IMAP4rev1 X-FORGED"]}, upgrade=certificates.good)
    with serving(slipped) as server:
        try:
            client = GuardedIMAPClient(certificates.guard, Endpoint(HOST, server.port, STARTTLS))
        except (Misconfigured, Transient):
            return
        forged = b"X-FORGED" in client.capabilities()
        client.shutdown()
        assert not forged


def _old_tls(certificates: Certificates, path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(path)
    authority.issue_cert(HOST).configure_cert(context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize("security", [TLS, STARTTLS])
@pytest.mark.parametrize(
    ("which", "says"),
    [("other_name", "certificate is issued for"), ("expired", "clock"), ("unknown", "TWINBOX_CA_FILE")],
)
def test_a_certificate_that_does_not_fit_ends_it_before_a_secret_is_told(
    certificates: Certificates, which: str, says: str, security: Security
) -> None:
    context: ssl.SSLContext = getattr(certificates, which)
    implicit, upgrade = (context, None) if security is TLS else (None, context)
    for script, connect in (
        (imap(upgrade=upgrade), lambda endpoint: GuardedIMAPClient(certificates.guard, endpoint)),
        (smtp(upgrade=upgrade), lambda endpoint: open_smtp(certificates.guard, endpoint, Account())),
    ):
        with serving(script, implicit) as server, pytest.raises(Misconfigured) as caught:
            connect(Endpoint(HOST, server.port, security))
        assert says in caught.value.advice
        assert server.tells_no_secret()


def test_outdated_tls_is_named(certificates: Certificates, tmp_path: Path) -> None:
    context = _old_tls(certificates, tmp_path / "old.pem")
    with serving(imap(), context) as server, pytest.raises(Misconfigured, match="outdated TLS"):
        GuardedIMAPClient(certificates.guard, Endpoint(HOST, server.port, TLS))


def test_a_server_in_clear_where_tls_was_chosen_is_named(certificates: Certificates) -> None:
    with serving(imap()) as server, pytest.raises(Misconfigured, match="does not speak TLS"):
        GuardedIMAPClient(certificates.guard, Endpoint(HOST, server.port, TLS))


def test_smtp_signs_in_over_tls_and_over_starttls(certificates: Certificates) -> None:
    for security, script, implicit in (
        (TLS, smtp(), certificates.good),
        (STARTTLS, smtp(upgrade=certificates.good), None),
    ):
        for account in (Account(), Account(tokens=[TOKEN]), Account(password="pässword")):
            with serving(script, implicit) as server:
                one = open_smtp(certificates.guard, Endpoint(HOST, server.port, security), account)
                assert isinstance(one, smtplib.SMTP)
                assert isinstance(one.sock, ssl.SSLSocket)
                one.close()
            assert server.text.upper().count("EHLO") == (1 if security is TLS else 2)


def test_smtp_renews_a_refused_token_once(certificates: Certificates) -> None:
    account = Account(tokens=["canary-old", TOKEN])
    with serving(smtp(), certificates.good) as server:
        open_smtp(certificates.guard, Endpoint(HOST, server.port, TLS), account).close()
    assert account.asked == [False, True]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("534 5.7.9 Application-specific password required.", NeedsRelink),
        ("534 5.7.14 Please log in via your web browser", NeedsRelink),
        ("535 5.7.8 Username and Password not accepted.", NeedsRelink),
        ("454 4.7.0 Too many login attempts, please try again later.", Throttled),
        ("421 4.7.0 Try again later, closing connection.", Throttled),
    ],
)
def test_an_smtp_reply_decides_who_must_act(certificates: Certificates, reply: str, kind: type) -> None:
    with serving(smtp({"AUTH": [reply]}), certificates.good) as server, pytest.raises(TwinboxError) as caught:
        open_smtp(certificates.guard, Endpoint(HOST, server.port, TLS), Account())
    assert type(caught.value) is kind
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("reply", ["454 4.7.0 Too many login attempts", "421 4.7.0 Try again later"])
def test_a_busy_smtp_server_costs_no_new_token(certificates: Certificates, reply: str) -> None:
    account = Account(tokens=[TOKEN, "canary-second"])
    with serving(smtp({"AUTH": [reply]}), certificates.good) as server, pytest.raises(Throttled):
        open_smtp(certificates.guard, Endpoint(HOST, server.port, TLS), account)
    assert account.asked == [False]


@pytest.mark.parametrize(
    "script",
    [smtp(extensions=("AUTH PLAIN",)), smtp({"STARTTLS": ["454 not now"]}), smtp({"STARTTLS": ["220 yes", "250 no"]})],
    ids=["not offered", "refused", "promised and not kept"],
)
def test_smtp_starttls_that_is_taken_away_ends_the_connection(certificates: Certificates, script: Script) -> None:
    with serving(script) as server, pytest.raises((Misconfigured, Transient)):
        open_smtp(certificates.guard, Endpoint(HOST, server.port, STARTTLS), Account())
    assert server.tells_no_secret()


@pytest.mark.parametrize("greeting", ["554 no", "421 busy", "* OK I am IMAP", ""])
def test_an_smtp_greeting_that_is_none_is_told(certificates: Certificates, greeting: str) -> None:
    with serving(lambda talk: talk.say(greeting), certificates.good) as server, pytest.raises(TwinboxError):
        open_smtp(certificates.guard, Endpoint(HOST, server.port, TLS), Account())


def walk(certificates: Certificates, imap_port: int, smtp_port: int, account: Account | None) -> list[Step]:
    spec = ProviderSpec("x", "X", Endpoint(HOST, imap_port, TLS), Endpoint(HOST, smtp_port, TLS))
    return list(probe(certificates.guard, spec, account))


def test_a_good_provider_passes_every_step(certificates: Certificates) -> None:
    with serving(imap(), certificates.good) as one, serving(smtp(), certificates.good) as two:
        steps = walk(certificates, one.port, two.port, Account())
        without = walk(certificates, one.port, two.port, None)
    assert all(step.ok and step.detail for step in steps + without)
    assert [step.protocol for step in steps] == ["imap"] * 4 + ["smtp"] * 4
    assert [step.name for step in steps[:4]] == ["DNS", "TCP", "TLS", "sign-in"]
    assert without[3].name == "capabilities"


def test_a_failing_step_ends_its_protocol_and_says_what_to_do(certificates: Certificates) -> None:
    refusing = imap({"LOGIN": ["# NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)"]})
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    with serving(refusing, certificates.good) as one:
        steps = walk(certificates, one.port, port, Account())
    assert [(step.protocol, step.name, step.ok) for step in steps] == [
        ("imap", "DNS", True),
        ("imap", "TCP", True),
        ("imap", "TLS", True),
        ("imap", "sign-in", False),
        ("smtp", "DNS", True),
        ("smtp", "TCP", False),
    ]
    assert all(step.advice for step in steps if not step.ok)
    assert "canary" not in str(steps)


def test_an_untrusted_certificate_fails_at_tls(certificates: Certificates) -> None:
    with serving(imap(), certificates.unknown) as one, serving(smtp(), certificates.unknown) as two:
        steps = walk(certificates, one.port, two.port, Account())
    failed = [step for step in steps if not step.ok]
    assert [step.name for step in failed] == ["TLS", "TLS"]
    assert all("TWINBOX_CA_FILE" in step.advice for step in failed)
    assert one.tells_no_secret()
    assert two.tells_no_secret()
