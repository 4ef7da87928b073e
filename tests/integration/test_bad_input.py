"""Whatever is wrong outside - server, network, disk, settings, password - a command says so in one line, says what to
do, ends with the right exit code and leaves nothing half-written. Files of providers are in test_cli_accounts."""

from __future__ import annotations

import random
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from models import db
from sandbox.gmail import Fault, GmailDouble, PlainProfile
from tests.support.app_factory import make_key
from tests.support.cli_run import Outcome, Terminal
from tests.support.mail_factory import make_mail
from tests.support.tls import Tls, write_tls

ADDRESS = "ann@example.com"
APP_PASSWORD = "abcdefghijklmnop"
NORMAL_PASSWORD = "canary-normal-password"
WRONG_PASSWORD = "canary-wrong-password"
SECRETS = (APP_PASSWORD, NORMAL_PASSWORD, WRONG_PASSWORD, make_key().partition(":")[2])


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return write_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def gmail(tls: Tls) -> Iterator[GmailDouble]:
    with GmailDouble(certfile=tls.certificate, keyfile=tls.key) as double:
        double.add_user(ADDRESS, password=NORMAL_PASSWORD, app_password=APP_PASSWORD)
        for number in range(3):
            double.mail.deliver(ADDRESS, make_mail(subject=f"Number {number}", message_id=f"<{number}@x>"))
        yield double


@pytest.fixture(autouse=True)
def _no_fault_stays(gmail: GmailDouble) -> Iterator[None]:
    yield
    gmail.faults.clear()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with one user, copied for each test: migrating anew costs more than most of them."""
    folder = tmp_path_factory.mktemp("template") / "data"
    with pytest.MonkeyPatch.context() as patch:
        twinbox = Terminal(patch, {"TWINBOX_DATA_DIR": str(folder), "TWINBOX_KEYS": make_key()})
        assert twinbox("user", "add", "ann@crm.example").code == 0
    return folder


@pytest.fixture
def data(tmp_path: Path, template: Path) -> Path:
    return shutil.copytree(template, tmp_path / "data")


@pytest.fixture
def twinbox(data: Path, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    environment = {
        "TWINBOX_DATA_DIR": str(data),
        "TWINBOX_KEYS": make_key(),
        "TWINBOX_ALLOW_NETWORKS": "127.0.0.0/8,::1/128",
        "TWINBOX_CA_FILE": str(tls.ca),
    }
    return Terminal(monkeypatch, environment)


def done(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome.err
    return outcome


def told(outcome: Outcome, code: int, what: str, advice: str) -> None:
    """A failure as every failure must look: one line that says what, one that says what to do, and nothing else."""
    assert outcome.code == code, (outcome.out, outcome.err)
    lines = outcome.err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["error", "what to do"], outcome.err
    assert what in lines[0]
    assert advice in lines[1]
    assert outcome.out == ""
    clean(outcome)


def clean(outcome: Outcome) -> None:
    for text in (outcome.out, outcome.err):
        assert "Traceback" not in text
        assert [secret for secret in SECRETS if secret in text] == []


def server(twinbox: Terminal, port: int, host: str = "localhost", security: str = "tls", **more: str) -> None:
    options = ["--imap-host", host, "--imap-port", str(port), "--imap-security", security, "--smtp-host", host]
    for name, value in more.items():
        options += [f"--{name}", value]
    done(twinbox("provider", "add", "ours", *options))


def link(twinbox: Terminal, *options: str, password: str = APP_PASSWORD, provider: str = "ours") -> Outcome:
    command = ("account", "link", "--provider", provider, "--address", ADDRESS, "--password-stdin", *options)
    return twinbox(*command, stdin=password + "\n")


def nothing_linked(twinbox: Terminal) -> None:
    assert done(twinbox("account", "list", "--json")).json == []


@contextmanager
def closed_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound but not listening: refused, and nobody else gets it
        yield int(held.getsockname()[1])


# -- the server


def test_a_host_that_does_not_exist(twinbox: Terminal) -> None:
    server(twinbox, 993, host="imap.no-such-host.example")
    told(link(twinbox), 1, "imap.no-such-host.example cannot be resolved", "Check the host name")
    nothing_linked(twinbox)


def test_a_port_where_nobody_listens(twinbox: Terminal) -> None:
    with closed_port() as port:
        server(twinbox, port)
        told(link(twinbox), 1, f"localhost refuses connections on port {port}", "Check host and port")
    nothing_linked(twinbox)


def test_a_network_that_is_not_allowed(twinbox: Terminal, gmail: GmailDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    server(twinbox, gmail.imap_port)
    monkeypatch.delenv("TWINBOX_ALLOW_NETWORKS")
    told(link(twinbox), 1, "localhost", "TWINBOX_ALLOW_NETWORKS")
    nothing_linked(twinbox)


def test_a_certificate_nobody_vouches_for(
    twinbox: Terminal, gmail: GmailDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    server(twinbox, gmail.imap_port)
    monkeypatch.delenv("TWINBOX_CA_FILE")
    told(link(twinbox), 1, "the certificate of localhost is not accepted", "TWINBOX_CA_FILE")
    nothing_linked(twinbox)


def test_a_server_without_tls_where_tls_was_chosen(twinbox: Terminal) -> None:
    with GmailDouble(tls=False, profile=PlainProfile()) as plain:
        server(twinbox, plain.imap_port)
        told(link(twinbox), 1, "localhost does not speak TLS on this port", "TLS on 993")
    nothing_linked(twinbox)


def test_a_wrong_password(twinbox: Terminal, gmail: GmailDouble) -> None:
    server(twinbox, gmail.imap_port)
    told(link(twinbox, password=WRONG_PASSWORD), 3, "Invalid credentials", "Link the account again")
    nothing_linked(twinbox)


def test_a_password_with_accents_is_tried_as_it_is_and_told_as_wrong(twinbox: Terminal, gmail: GmailDouble) -> None:
    server(twinbox, gmail.imap_port)
    outcome = link(twinbox, password="pässwörd")
    assert outcome.code == 3
    assert not set("äö") & set(outcome.err)
    assert "codec" not in outcome.err


def test_the_normal_google_password_where_an_app_password_is_needed(twinbox: Terminal, gmail: GmailDouble) -> None:
    host = ("--imap-host", "localhost", "--imap-port", str(gmail.imap_port))
    done(twinbox("provider", "set", "gmail-app-password", *host))
    outcome = link(twinbox, password=NORMAL_PASSWORD, provider="gmail-app-password")
    told(outcome, 3, "Application-specific password required", "app password")
    nothing_linked(twinbox)


@pytest.mark.parametrize("fault", [Fault.imap_disabled(), Fault.imap_disabled_for_domain()])
def test_imap_switched_off_in_the_mailbox(twinbox: Terminal, gmail: GmailDouble, fault: Fault) -> None:
    server(twinbox, gmail.imap_port)
    gmail.faults.arm(ADDRESS, fault)
    told(link(twinbox), 3, "IMAP", "Switch IMAP on")
    nothing_linked(twinbox)


def test_a_server_in_trouble_costs_no_account(twinbox: Terminal, gmail: GmailDouble) -> None:
    server(twinbox, gmail.imap_port)
    done(link(twinbox))
    gmail.faults.arm(ADDRESS, Fault.login_no("[UNAVAILABLE] Temporary authentication failure"), times=None)
    outcome = twinbox("sync", "start", ADDRESS, "--wait", "--json")
    assert (outcome.code, outcome.json["outcome"]) == (1, "failed")
    assert done(twinbox("account", "list", "--json")).json[0]["state"] == "linked"


def test_a_grant_that_is_lost_is_told_by_every_command_until_the_account_is_linked_again(
    twinbox: Terminal, gmail: GmailDouble
) -> None:
    server(twinbox, gmail.imap_port)
    done(link(twinbox))
    gmail.faults.arm(ADDRESS, Fault.login_no("[AUTHENTICATIONFAILED] Invalid credentials (Failure)"), times=2)
    run = twinbox("sync", "start", ADDRESS, "--wait", "--json")
    assert (run.code, run.json["outcome"]) == (3, "needs_relink")
    assert twinbox("status").code == 3
    told(twinbox("sync", "start", ADDRESS, "--wait"), 3, "Invalid credentials", "ink the account again")
    told(twinbox("sync", "start", ADDRESS), 3, "Invalid credentials", "ink the account again")
    gmail.faults.clear()
    done(link(twinbox))
    assert done(twinbox("sync", "start", ADDRESS, "--wait", "--json")).json["outcome"] == "ok"
    assert twinbox("status").code == 0


# -- the database


def test_a_locked_database(twinbox: Terminal, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "BUSY_SECONDS", 0)
    with closing(sqlite3.connect(data / "twinbox.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        told(twinbox("user", "add", "bob@crm.example"), 1, "the database is busy", "Try again")
    assert len(done(twinbox("user", "list", "--json")).json) == 1


def test_a_database_file_that_is_none(twinbox: Terminal, data: Path) -> None:
    for leftover in data.glob("twinbox.db-*"):
        leftover.unlink()
    (data / "twinbox.db").write_bytes(b"not a database at all\n" * 1000)
    told(twinbox("account", "list"), 1, "damaged, or not a database", "Restore it from a backup")
    assert (data / "twinbox.db").read_bytes() == b"not a database at all\n" * 1000


def test_a_damaged_database(twinbox: Terminal, data: Path) -> None:
    path = data / "twinbox.db"
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (path.stat().st_size - 200))
    told(twinbox("account", "list"), 1, "damaged", "Restore it from a backup")


def test_a_database_of_a_newer_version(twinbox: Terminal, data: Path) -> None:
    with closing(sqlite3.connect(data / "twinbox.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    told(twinbox("account", "list"), 1, "newer version", "Run that version")


def full_disk(patch: pytest.MonkeyPatch, spare_bytes: int = 0) -> None:
    """From now on every database that is opened may grow by so many bytes, in whole pages, and no more."""
    plain = db._sqlite_pragmas  # the one place all connections pass

    def limited(connection: Any, record: object) -> None:
        plain(connection, record)
        (used,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count={used + spare_bytes // size}")

    patch.setattr(db, "_sqlite_pragmas", limited)


def test_a_disk_that_is_full_in_the_middle_of_a_sync(
    twinbox: Terminal, gmail: GmailDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    server(twinbox, gmail.imap_port)
    done(link(twinbox))
    chance = random.Random(1)  # what repeats itself would be compressed until it fits
    noise = ("".join(chr(chance.randrange(33, 123)) for _ in range(60)) + "\n" for _ in range(2_000))
    gmail.mail.deliver(ADDRESS, make_mail(subject="Big", message_id="<big@x>", text="".join(noise)))
    with monkeypatch.context() as patch:
        full_disk(patch, 8192)
        outcome = twinbox("sync", "start", ADDRESS, "--wait")
    assert outcome.code == 1
    clean(outcome)
    assert "the disk that holds the database is full" in outcome.out + outcome.err
    assert "Free disk space" in outcome.out + outcome.err
    assert done(twinbox("sync", "start", ADDRESS, "--wait", "--json")).json["outcome"] == "ok"
    listed = done(twinbox("messages", "list", "--json")).json
    assert len(listed) == len({row["subject"] for row in listed}) == 4


def test_a_disk_that_is_full_when_a_user_is_added(
    twinbox: Terminal, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        full_disk(patch)
        outcomes: list[Outcome] = []
        while not outcomes or outcomes[-1].code == 0:
            assert len(outcomes) < 200
            name = "x" * 1_000
            outcomes.append(twinbox("user", "add", f"{len(outcomes)}@crm.example", "--name", name))
    told(outcomes[-1], 1, "the disk that holds the database is full", "Free disk space")
    assert len(done(twinbox("user", "list", "--json")).json) == len(outcomes)


def test_a_file_where_the_data_folder_should_be(
    twinbox: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "occupied").write_text("mine")
    for place in ("occupied", "occupied/below"):
        monkeypatch.setenv("TWINBOX_DATA_DIR", str(tmp_path / place))
        told(twinbox("init"), 1, "cannot use the data folder", "TWINBOX_DATA_DIR")
    assert (tmp_path / "occupied").read_text() == "mine"


def test_a_folder_where_the_database_should_be(twinbox: Terminal, data: Path) -> None:
    for path in data.glob("twinbox.db*"):
        path.unlink()
    (data / "twinbox.db").mkdir()
    told(twinbox("account", "list"), 1, "cannot be opened", "TWINBOX_DATA_DIR")


# -- settings and keys


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("TWINBOX_DATADIR", "x", "did you mean TWINBOX_DATA_DIR?"),
        ("TWINBOX_MAIL_PERIOD", "five", "TWINBOX_MAIL_PERIOD: 'five' is not a whole number"),
        ("TWINBOX_MAIL_PERIOD", "0", "TWINBOX_MAIL_PERIOD"),
        ("TWINBOX_MAIL_PERIOD", "-1", "TWINBOX_MAIL_PERIOD"),
        ("TWINBOX_MAIL_PERIOD", "9" * 12, "TWINBOX_MAIL_PERIOD"),
        ("TWINBOX_LEASE_SECONDS", "9" * 5_000, "TWINBOX_LEASE_SECONDS"),
        ("TWINBOX_SLICE_SECONDS", "1e3", "TWINBOX_SLICE_SECONDS"),
        ("TWINBOX_MAIL_DAILY_BYTES", "9" * 19, "TWINBOX_MAIL_DAILY_BYTES"),
        ("TWINBOX_ALLOW_NETWORKS", "everywhere", "TWINBOX_ALLOW_NETWORKS"),
        ("TWINBOX_ALLOW_NETWORKS", "127.0.0.1/8", "TWINBOX_ALLOW_NETWORKS"),
        ("TWINBOX_MAIL_ATTACHMENTS", "always", "not one of on-demand, background"),
        ("TWINBOX_CALENDAR_GUESTS", "some", "not one of none, externalOnly, all"),
        ("TWINBOX_CALENDAR_KINDS", "none", "not one of ordinary, all"),
        ("TWINBOX_MAIL_GONE", "delete", "not one of keep, erase"),
        ("TWINBOX_LOG_LEVEL", "loud", "not one of debug, info"),
        ("TWINBOX_CA_FILE", "/nowhere/ca.pem", "the CA file /nowhere/ca.pem cannot be used"),
        ("TWINBOX_KEYS_FILE", "/nowhere/keys", "TWINBOX_KEYS_FILE: cannot read /nowhere/keys"),
        ("TWINBOX_KEYS", "k1:c2hvcnQ=", "5 bytes instead of 32"),
        ("TWINBOX_KEYS", "nonsense", "not of the form id:base64key"),
    ],
)
def test_a_setting_that_makes_no_sense(
    twinbox: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str
) -> None:
    if name == "TWINBOX_KEYS_FILE":
        monkeypatch.delenv("TWINBOX_KEYS")
    monkeypatch.setenv(name, value)
    told(twinbox("user", "add", "bob@crm.example"), 1, what, "")
    monkeypatch.delenv(name)
    monkeypatch.setenv("TWINBOX_KEYS", make_key())
    assert len(done(twinbox("user", "list", "--json")).json) == 1


def test_all_wrong_settings_are_told_at_once(twinbox: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINBOX_MAIL_PERIOD", "no")
    monkeypatch.setenv("TWINBOX_COLOUR", "no")
    outcome = twinbox("user", "list")
    told(outcome, 1, "TWINBOX_COLOUR: no such setting", "twinbox config show")
    assert "TWINBOX_MAIL_PERIOD" in outcome.err


@pytest.mark.parametrize("url", ["sqs://secretword@x", "amqp://u:secretword@host:port/", "redis://:secretword@h:x/0"])
def test_a_broker_url_that_cannot_be_understood(twinbox: Terminal, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TWINBOX_BROKER_URL", url)
    for command in ("serve", "worker", "scheduler"):
        outcome = twinbox(command)
        assert outcome.code == 1
        assert "TWINBOX_BROKER_URL" in outcome.err
        assert "secretword" not in outcome.err
        clean(outcome)


@pytest.mark.parametrize("command", ["worker", "scheduler"])
def test_a_process_of_its_own_needs_a_broker(twinbox: Terminal, command: str) -> None:
    told(twinbox(command), 1, "needs a broker", "TWINBOX_BROKER_URL")


def test_the_wrong_encryption_key(twinbox: Terminal, gmail: GmailDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    server(twinbox, gmail.imap_port)
    done(link(twinbox))
    for wrong in (make_key("other"), make_key("other").replace("other:", "test:")):
        monkeypatch.setenv("TWINBOX_KEYS", wrong)
        outcome = twinbox("sync", "start", ADDRESS, "--wait")
        assert outcome.code == 1
        clean(outcome)
        assert "key" in outcome.out + outcome.err
        assert "what to do:" in outcome.out + outcome.err
    monkeypatch.setenv("TWINBOX_KEYS", make_key())
    assert done(twinbox("sync", "start", ADDRESS, "--wait", "--json")).json["outcome"] == "ok"


# -- names


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("provider", "show", "gmial"), "gmail"),
        (("provider", "test", "gmial"), "gmail"),
        (("account", "pause", "nobody@example.com"), "nobody@example.com"),
        (("sync", "start", "nobody@example.com"), "nobody@example.com"),
        (("sync", "start", "nobody@example.com", "--wait"), "nobody@example.com"),
        (("runs", "show", "ffffffff"), "no run 'ffffffff'"),
        (("messages", "show", "17"), "no message '17'"),
        (("account", "mail", "nobody@example.com"), "nobody@example.com"),
        (("status", "--workspace", "other"), "other"),
    ],
)
def test_a_name_that_nobody_has(twinbox: Terminal, arguments: tuple[str, ...], what: str) -> None:
    outcome = twinbox(*arguments)
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")
    assert what in outcome.err
    assert "what to do: " in outcome.err
    clean(outcome)


def test_an_unknown_provider_links_nothing(twinbox: Terminal) -> None:
    told(link(twinbox, provider="gmial"), 1, "gmial", "gmail")
    nothing_linked(twinbox)


@pytest.mark.parametrize("text", ["[ours", "imap = {host = }", "a = 1\na = 2", "\xff\xfe", "imap = 7"])
def test_a_malformed_provider_file(twinbox: Terminal, tmp_path: Path, text: str) -> None:
    file = tmp_path / "ours.toml"
    file.write_bytes(text.encode("latin-1"))
    told(twinbox("provider", "add", "ours", "--file", str(file)), 1, "", "")
    assert "ours" not in [row["name"] for row in done(twinbox("provider", "list", "--json")).json]
